//! Any bytes as a message: no panic, and one value has one encoding.
#![no_main]

use bulkhead_proto::{Header, Reply, Request, RequestKind, Wire};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    if let Ok((header, body)) = Header::split(data) {
        assert_eq!(&header.to_bytes()[..], &data[..16]);
        if let Ok(kind) = RequestKind::try_from(header.kind)
            && let Ok(request) = Request::decode(kind, body)
        {
            assert_eq!(request.encode(), body);
        }
    }
    if let Ok(reply) = Reply::decode(data) {
        assert_eq!(reply.encode(), data);
    }
});

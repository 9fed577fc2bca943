//! Any request, decided: no panic, and nothing beyond the policy under the hardened preset.
#![no_main]

use bulkhead_policy::{Peer, Permitted, Policy, decide};
use bulkhead_proto::{NetworkMode, Request, RequestKind, Share, UserMode};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Some((kind, body)) = data.split_first() else { return };
    let Ok(kind) = RequestKind::try_from(u16::from(*kind) * 2) else { return };
    let Ok(request) = Request::decode(kind, body) else { return };
    let policy = Policy::hardened(990);
    if let Ok(Permitted::Create(permit)) = decide(&policy, Peer { uid: 990 }, request) {
        let container = permit.granted();
        let namespaces = container.spec.namespaces;
        assert_eq!(namespaces.user, UserMode::Private);
        assert!(namespaces.pid != Share::Host && namespaces.ipc != Share::Host);
        assert!(namespaces.network != NetworkMode::Host);
        assert!(container.confinement.seccomp_floor && container.confinement.no_new_privs);
    }
});

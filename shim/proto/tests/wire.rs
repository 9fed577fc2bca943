//! The wire: bytes that may not change without a new version, and bytes that may not be read.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

use bulkhead_proto::*;
use proptest::prelude::*;

fn id(byte: u8) -> ContainerId {
    ContainerId::from_bytes([byte; 32])
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn process() -> ProcessSpec {
    ProcessSpec {
        args: vec![Argument::try_from("true").unwrap()].try_into().unwrap(),
        env: List::default(),
        cwd: ContainerPath::new(b"/").unwrap(),
        user: Name::default(),
        groups: List::default(),
        terminal: None,
        stdin: false,
        cap_add: 0,
        cap_drop: 0,
        no_new_privs: None,
        rlimits: List::default(),
        oom_score_adj: None,
        seccomp: Seccomp::Default,
    }
}

fn container() -> ContainerSpec {
    ContainerSpec {
        id: id(7),
        layers: vec![LayerId::from_bytes([1; 32])].try_into().unwrap(),
        read_only: false,
        process: process(),
        hostname: ByteString::try_from("box").unwrap(),
        domainname: ByteString::default(),
        namespaces: Namespaces {
            user: UserMode::Private,
            pid: Share::Private,
            ipc: Share::Private,
            network: NetworkMode::None,
            uts: HostOr::Private,
            cgroup: HostOr::Private,
        },
        mounts: List::default(),
        masked_paths: List::default(),
        readonly_paths: List::default(),
        unmask: false,
        sysctls: List::default(),
        resources: Resources::default(),
        devices: List::default(),
        privileged: false,
        init: false,
        shm_bytes: None,
        endpoints: List::default(),
    }
}

/// A change here is a change of the protocol: raise `PROTOCOL_VERSION` and say so in PRIVSEP.md.
#[test]
fn golden_bytes() {
    let seven = "07".repeat(32);
    for (request, golden) in [
        (Request::Start(id(7)), format!("5820{seven}")),
        (
            Request::Signal(SignalRequest {
                target: Target::Container { id: id(7) },
                signal: Signal::KILL,
                all: true,
            }),
            format!("a30082005820{seven}010902f5"),
        ),
        (Request::Recover(RecoverRequest { after: None }), "a10080".to_owned()),
        (
            Request::Hello(HelloRequest { client: ByteString::try_from("apid").unwrap() }),
            "a1004461706964".to_owned(),
        ),
    ] {
        assert_eq!(hex(&request.encode()), golden, "{request:?}");
        assert_eq!(Request::decode(request.kind(), &request.encode()).unwrap(), request);
    }
    let header = Header { kind: 0x0006, large: false, length: 34, sequence: 5 };
    assert_eq!(hex(&header.to_bytes()), "01000600000000002200000005000000");
    let whole = Request::Create(container());
    assert_eq!(Request::decode(RequestKind::Create, &whole.encode()).unwrap(), whole);
}

#[test]
fn numbers_on_the_wire_are_unique_and_even() {
    let mut seen = std::collections::BTreeSet::new();
    for kind in RequestKind::ALL {
        assert_eq!(*kind as u16 % 2, 0, "{kind:?}: odd numbers are replies");
        assert!(seen.insert(*kind as u16), "{kind:?}");
        assert_eq!(RequestKind::try_from(*kind as u16).unwrap(), *kind);
        assert!(*kind.fds().end() <= MAX_FDS);
    }
}

#[test]
fn what_breaks_a_rule_is_never_made() {
    let seven = "07".repeat(32);
    let signal = |signal: &str| format!("a30082005820{seven}01{signal}02f5");
    let bytes = |text: &str| -> Vec<u8> {
        let digit = |at: usize| u8::from_str_radix(&text[at..at + 2], 16).unwrap();
        (0..text.len()).step_by(2).map(digit).collect()
    };
    assert!(Request::decode(RequestKind::Signal, &bytes(&signal("0f"))).is_ok());
    for (rule, kind, bad) in [
        ("signal 0 only asks", RequestKind::Signal, signal("00")),
        ("there are 64 signals", RequestKind::Signal, signal("1841")),
        ("integers in shortest form", RequestKind::Signal, signal("180f")),
        ("no field twice", RequestKind::Recover, "a200800080".to_owned()),
        ("no unknown field", RequestKind::Recover, "a200800180".to_owned()),
        ("no missing field", RequestKind::Recover, "a0".to_owned()),
        ("no indefinite length", RequestKind::Recover, "bf0080ff".to_owned()),
        ("no trailing byte", RequestKind::Recover, "a1008000".to_owned()),
        ("no text where bytes belong", RequestKind::Start, format!("7820{seven}")),
        ("an id is 32 bytes", RequestKind::Start, format!("581f{}", "07".repeat(31))),
        ("nothing is not a request", RequestKind::Start, String::new()),
        ("an option holds one", RequestKind::Recover, "a1008281005820".to_owned()),
    ] {
        assert!(Request::decode(kind, &bytes(&bad)).is_err(), "{rule}: {bad}");
    }
}

#[test]
fn paths_are_absolute_and_normal() {
    for (given, normal) in [("/", "/"), ("//a///b/", "/a/b"), ("/a/./b", "/a/b"), ("/...", "/...")]
    {
        assert_eq!(ContainerPath::new(given.as_bytes()).unwrap().as_bytes(), normal.as_bytes());
    }
    for bad in ["", "a", "/..", "/a/../b", "./a", "/a\0b"] {
        assert!(ContainerPath::new(bad.as_bytes()).is_err(), "{bad:?}");
    }
    // What came over the wire must have been normal before: both sides mean the same path.
    let twisted = {
        let mut out = bulkhead_proto::codec::Encoder::default();
        out.bytes(b"/a//b");
        out.into_bytes()
    };
    assert!(ContainerPath::decode(&twisted).is_err());
}

#[test]
fn a_header_that_lies_is_refused() {
    let header = Header { kind: 6, large: false, length: 3, sequence: 1 };
    let mut message = header.to_bytes().to_vec();
    message.extend([1, 2, 3]);
    assert_eq!(Header::split(&message).unwrap(), (header, &[1u8, 2, 3][..]));
    for (rule, index, value) in [
        ("version", 0, 9),
        ("flags", 4, 2),
        ("reserved", 6, 1),
        ("length", 8, 4),
        ("large body inside", 4, 1),
    ] {
        let mut bad = message.clone();
        bad[index] = value;
        assert!(Header::split(&bad).is_err(), "{rule}");
    }
    assert!(Header::split(&message[..15]).is_err(), "truncated");
}

#[test]
fn a_declared_length_allocates_nothing() {
    // An array that says it has 2^60 items, and a byte string of 2^60 bytes.
    for body in [&[0x9b, 0x10, 0, 0, 0, 0, 0, 0, 0][..], &[0x5b, 0x10, 0, 0, 0, 0, 0, 0, 0]] {
        assert!(<List<u8, 64>>::decode(body).is_err());
        assert!(<ByteString<64>>::decode(body).is_err());
    }
}

proptest! {
    #[test]
    fn no_bytes_make_the_decoder_panic(kind in 0u16..0x40, bytes in prop::collection::vec(any::<u8>(), 0..512)) {
        if let Ok(kind) = RequestKind::try_from(kind)
            && let Ok(request) = Request::decode(kind, &bytes)
        {
            prop_assert_eq!(&request.encode(), &bytes, "one value has one encoding");
        }
        if let Ok(reply) = Reply::decode(&bytes) {
            prop_assert_eq!(&reply.encode(), &bytes);
        }
    }

    #[test]
    fn a_flipped_bit_is_an_error_or_another_value(bit in 0usize..8 * 200) {
        let good = Request::Create(container());
        let mut bytes = good.encode();
        let index = bit / 8 % bytes.len();
        bytes[index] ^= 1 << (bit % 8);
        if let Ok(other) = Request::decode(RequestKind::Create, &bytes) {
            prop_assert_ne!(&other, &good);
            prop_assert_eq!(other.encode(), bytes);
        }
    }

    #[test]
    fn every_integer_comes_back(value in any::<u64>(), signed in any::<i64>()) {
        prop_assert_eq!(u64::decode(&value.encode()).unwrap(), value);
        prop_assert_eq!(i64::decode(&signed.encode()).unwrap(), signed);
    }
}

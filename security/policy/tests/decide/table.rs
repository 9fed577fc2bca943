//! The table says what the policy says, or it is refused.

use crate::request::*;
use bulkhead_policy::proto::*;
use bulkhead_policy::{MAX_TABLE_BYTES, Policy, Section, TableError};

#[test]
fn a_policy_survives_its_table() {
    for policy in [Policy::hardened(7), Policy::compat(8), crate::grants::policy()] {
        let policy = Policy { host: Default::default(), ..policy };
        let table = policy.to_table();
        assert_eq!(Policy::from_table(&table).as_ref(), Ok(&policy));
        assert_eq!(policy.fingerprint().len(), 16);
    }
    assert_ne!(Policy::hardened(7).fingerprint(), Policy::hardened(8).fingerprint());
}

#[test]
fn a_damaged_table_is_refused_whatever_the_damage() {
    let table = crate::grants::policy().to_table();
    for at in 0..table.len() {
        for bit in 0..8 {
            let mut damaged = table.clone();
            damaged[at] ^= 1 << bit;
            assert!(Policy::from_table(&damaged).is_err(), "bit {bit} of byte {at}");
        }
        assert!(Policy::from_table(&table[..at]).is_err(), "cut at {at}");
    }
    let mut longer = table.clone();
    longer.push(0);
    assert_eq!(Policy::from_table(&longer), Err(TableError::Length));
    assert_eq!(Policy::from_table(&vec![0; MAX_TABLE_BYTES + 1]), Err(TableError::Length));
    assert_eq!(Policy::from_table(b""), Err(TableError::NotATable));
    let mut newer = table;
    newer[8] = 2;
    assert_eq!(Policy::from_table(&newer), Err(TableError::Version(2)));
}

/// A body that is not a policy behind a header that is right.
#[test]
fn a_well_framed_table_of_nonsense_is_refused() {
    for body in [&b""[..], b"\x00", b"\xff\xff", &[0x40, 0x80], &[0x40, 0x9b, 255, 255, 255, 255]] {
        let mut table = b"BULKHEAD".to_vec();
        table.extend(1u32.to_le_bytes());
        table.extend((body.len() as u32).to_le_bytes());
        let hash = body.iter().fold(0xcbf2_9ce4_8422_2325u64, |hash, byte| {
            (hash ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3)
        });
        table.extend(hash.to_le_bytes());
        table.extend(body);
        assert!(
            matches!(Policy::from_table(&table), Err(TableError::Body(_) | TableError::Invalid(_))),
            "{body:?}"
        );
    }
}

#[test]
fn a_policy_that_contradicts_itself_is_refused() {
    let changes: [(&str, fn(&mut Section)); 17] = [
        ("no such capability", |section| section.capabilities.max = u64::MAX),
        ("default above maximum", |section| section.capabilities.default = 1 << 21),
        ("a root twice", |section| {
            let root = Policy::compat(1).sections[0].binds[0].clone();
            section.binds = list([root.clone(), root]);
        }),
        ("a root of the kernel's", |section| {
            let mut root = Policy::compat(1).sections[0].binds[0].clone();
            root.source = outside("/proc/sys");
            section.binds = list([root]);
        }),
        ("shared without slave", |section| {
            let mut root = Policy::compat(1).sections[0].binds[0].clone();
            root.slave = false;
            section.binds = list([root]);
        }),
        ("devices outside /dev", |section| {
            let mut device = Policy::compat(1).sections[0].devices[0].clone();
            device.path = outside("/srv");
            section.devices = list([device]);
        }),
        ("a parameter of the host", |section| {
            section.sysctls.allow = list([text("kernel.core_pattern")]);
        }),
        ("parameters of the host", |section| section.sysctls.allow = list([text("vm.*")])),
        ("a value that is no number", |section| {
            let set = Sysctl { name: text("net.core.somaxconn"), value: text("|x") };
            section.sysctls.set = list([set]);
        }),
        ("soft above hard", |section| {
            section.rlimits.max = list([Rlimit { resource: 7, soft: 2, hard: 1 }]);
        }),
        ("an unknown limit", |section| {
            section.rlimits.default = list([Rlimit { resource: 99, soft: 1, hard: 1 }]);
        }),
        ("an impossible score", |section| section.oom.score_adj_min = -1001),
        ("no processes", |section| section.resources.pids_default = 0),
        ("default of processes above maximum", |section| section.resources.pids = 1),
        ("no memory", |section| section.resources.memory = Some(0)),
        ("a pool that is no subnet", |section| {
            section.networks.pools = list([Ipv4 { address: [10, 1, 0, 1], prefix: 16 }]);
        }),
        ("a pool of everything", |section| {
            section.networks.pools = list([Ipv4 { address: [0; 4], prefix: 0 }]);
        }),
    ];
    for (what, change) in changes {
        let mut policy = hardened();
        let mut section = policy.sections[0].clone();
        change(&mut section);
        policy.sections = list([section]);
        let table = policy.to_table();
        assert!(matches!(Policy::from_table(&table), Err(TableError::Invalid(_))), "{what}");
    }
    let twice = [Section::hardened(7), Section::compat(7)];
    let policy = Policy { sections: list(twice), ..hardened() };
    assert!(matches!(Policy::from_table(&policy.to_table()), Err(TableError::Invalid(_))));
    for name in ["", "a b", "a\nb"] {
        let policy = Policy { name: text(name), ..hardened() };
        assert!(matches!(Policy::from_table(&policy.to_table()), Err(TableError::Invalid(_))));
    }
    let policy = Policy { sections: List::default(), ..hardened() };
    assert!(matches!(Policy::from_table(&policy.to_table()), Err(TableError::Invalid(_))));
}

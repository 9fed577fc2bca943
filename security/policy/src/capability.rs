//! Capabilities of Linux (`capabilities(7)`, `linux/capability.h` of Linux 6.18) as sets of bits.

/// Names without `CAP_`, by number.
const NAMES: &str = "CHOWN DAC_OVERRIDE DAC_READ_SEARCH FOWNER FSETID KILL SETGID SETUID SETPCAP \
    LINUX_IMMUTABLE NET_BIND_SERVICE NET_BROADCAST NET_ADMIN NET_RAW IPC_LOCK IPC_OWNER SYS_MODULE \
    SYS_RAWIO SYS_CHROOT SYS_PTRACE SYS_PACCT SYS_ADMIN SYS_BOOT SYS_NICE SYS_RESOURCE SYS_TIME \
    SYS_TTY_CONFIG MKNOD LEASE AUDIT_WRITE AUDIT_CONTROL SETFCAP MAC_OVERRIDE MAC_ADMIN SYSLOG \
    WAKE_ALARM BLOCK_SUSPEND AUDIT_READ PERFMON BPF CHECKPOINT_RESTORE";

macro_rules! capabilities {
    ($($name:ident = $number:literal)*) => {
        $(
            #[doc = concat!("`CAP_", stringify!($name), "`")]
            pub const $name: u8 = $number;
        )*
    };
}

capabilities! {
    CHOWN = 0 DAC_OVERRIDE = 1 DAC_READ_SEARCH = 2 FOWNER = 3 FSETID = 4 KILL = 5 SETGID = 6
    SETUID = 7 SETPCAP = 8 NET_BIND_SERVICE = 10 NET_ADMIN = 12 NET_RAW = 13 SYS_MODULE = 16
    SYS_RAWIO = 17 SYS_CHROOT = 18 SYS_PTRACE = 19 SYS_PACCT = 20 SYS_ADMIN = 21 SYS_BOOT = 22
    SYS_NICE = 23 SYS_RESOURCE = 24 SYS_TIME = 25 SYS_TTY_CONFIG = 26 MKNOD = 27 AUDIT_WRITE = 29
    AUDIT_CONTROL = 30 SETFCAP = 31 MAC_OVERRIDE = 32 MAC_ADMIN = 33 SYSLOG = 34 WAKE_ALARM = 35
    BLOCK_SUSPEND = 36 AUDIT_READ = 37 PERFMON = 38 BPF = 39 CHECKPOINT_RESTORE = 40
}

macro_rules! set {
    ($($name:ident)*) => { 0 $(| bit($name))* };
}

/// All capabilities there are.
pub const ALL: u64 = (1 << (CHECKPOINT_RESTORE + 1)) - 1;

/// What Docker gives: 14.
pub const DOCKER: u64 = set! {
    CHOWN DAC_OVERRIDE FSETID FOWNER MKNOD NET_RAW SETGID SETUID SETFCAP SETPCAP NET_BIND_SERVICE
    SYS_CHROOT KILL AUDIT_WRITE
};

/// Docker's without what few programs need and attackers like: packets of any kind, device nodes,
/// audit records, file capabilities, and the right to hand capabilities on.
pub const HARDENED: u64 = DOCKER & !set! { NET_RAW MKNOD AUDIT_WRITE SETFCAP SETPCAP };

/// Those that are root on the host when the container has no user namespace of its own.
pub const HOST_FATAL: u64 = set! {
    DAC_READ_SEARCH SYS_MODULE SYS_RAWIO SYS_PTRACE SYS_ADMIN SYS_BOOT SYS_TIME MAC_OVERRIDE
    MAC_ADMIN SYSLOG AUDIT_CONTROL AUDIT_READ PERFMON BPF CHECKPOINT_RESTORE WAKE_ALARM
    BLOCK_SUSPEND NET_ADMIN MKNOD SYS_RESOURCE SYS_TTY_CONFIG
};

/// The set with this one.
pub const fn bit(capability: u8) -> u64 {
    1 << capability
}

/// The number of a capability, written with or without `CAP_`, in any case.
pub fn by_name(name: &str) -> Option<u8> {
    let upper = name.to_ascii_uppercase();
    let short = upper.strip_prefix("CAP_").unwrap_or(&upper);
    (0..).zip(NAMES.split(' ')).find(|(_, known)| *known == short).map(|(number, _)| number)
}

/// The set that a list of names means; `ALL` is all. The error is the first unknown name.
///
/// # Errors
/// A name that is not a capability's.
pub fn parse<'n>(names: impl IntoIterator<Item = &'n str>) -> Result<u64, &'n str> {
    names.into_iter().try_fold(0, |set, name| match by_name(name) {
        _ if name.eq_ignore_ascii_case("ALL") => Ok(ALL),
        Some(number) => Ok(set | bit(number)),
        None => Err(name),
    })
}

/// The names of a set's members, with `CAP_`, by number.
pub fn names(set: u64) -> impl Iterator<Item = String> {
    (0..)
        .zip(NAMES.split(' '))
        .filter(move |(number, _)| set & bit(*number) != 0)
        .map(|(_, name)| format!("CAP_{name}"))
}

//! The least that any engine has to do for one container, as a program: what `run` is compared with.
//!
//! One iteration: clone3(2) with all seven namespaces, identity maps, a veth pair whose host end is
//! a port of a bridge, an overlay, pivot_root(2), execve(2) of a static `true`, wait, and the
//! removal of the writable layer. No cgroup, filter, capabilities, `/proc` or `/dev`; nothing is
//! stored, asked or logged.
//!
//! `floor ROOTFS [N]`: ROOTFS is a directory with a static `bin/busybox`; without N one iteration
//! (time the process), with N the nanoseconds of each, a line each. Makes the bridge `bhfloor` if
//! there is none and leaves it: run it in a network namespace of its own (`unshare -n`).

use bulkhead_sys::clone::{Clone, clone};
use bulkhead_sys::exec::{Strings, execve};
use bulkhead_sys::fork::{Forked, SingleThreaded, exit};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::fs::CWD;
use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, MountPropagationFlags, MoveMountFlags, UnmountFlags,
};
use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, netdevice, recv, send,
    socket_with,
};
use rustix::process::{WaitOptions, waitpid};
use rustix::thread::UnshareFlags;
use std::error::Error;
use std::fs;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::time::Instant;

const BRIDGE: &str = "bhfloor";
const NAMESPACES: UnshareFlags = UnshareFlags::NEWUSER
    .union(UnshareFlags::NEWNS)
    .union(UnshareFlags::NEWPID)
    .union(UnshareFlags::NEWNET)
    .union(UnshareFlags::NEWIPC)
    .union(UnshareFlags::NEWUTS)
    .union(UnshareFlags::NEWCGROUP);

type Outcome<T> = Result<T, Box<dyn Error>>;

fn main() -> Outcome<()> {
    let mut arguments = std::env::args_os().skip(1);
    let rootfs = PathBuf::from(arguments.next().ok_or("usage: floor ROOTFS [N]")?);
    let count = arguments.next().map(|text| text.to_string_lossy().parse()).transpose()?;
    let floor = Floor::new(rootfs)?;
    for _ in 0..count.unwrap_or(1) {
        let began = Instant::now();
        floor.run()?;
        if count.is_some() {
            println!("{}", began.elapsed().as_nanos());
        }
    }
    Ok(())
}

struct Floor {
    alone: SingleThreaded,
    route: OwnedFd,
    bridge: u32,
    rootfs: PathBuf,
    scratch: PathBuf,
}

impl Floor {
    fn new(rootfs: PathBuf) -> Outcome<Self> {
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let route = socket_with(AddressFamily::NETLINK, SocketType::RAW, flags, None)?;
        let bridge = match netdevice::name_to_index(&route, BRIDGE) {
            Ok(index) => index,
            Err(_) => {
                ask(&route, &bridge_request())?;
                netdevice::name_to_index(&route, BRIDGE)?
            }
        };
        let scratch = rootfs.with_extension(format!("floor-{}", std::process::id()));
        Ok(Self { alone: SingleThreaded::check()?, route, bridge, rootfs, scratch })
    }

    /// One container.
    fn run(&self) -> Outcome<()> {
        fs::create_dir(&self.scratch)?;
        let done = self.start_and_wait();
        fs::remove_dir_all(&self.scratch)?;
        done
    }

    fn start_and_wait(&self) -> Outcome<()> {
        for name in ["upper", "work"] {
            fs::create_dir(self.scratch.join(name))?;
        }
        let (reader, writer) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC)?;
        let how = Clone { namespaces: Some(NAMESPACES), ..Clone::default() };
        match clone(self.alone, &how)? {
            Forked::Child => {
                drop(writer);
                let error = self.inside(&reader);
                eprintln!("floor: {error}");
                exit(1)
            }
            Forked::Parent { pidfd, pid } => {
                drop(reader);
                fs::write(format!("/proc/{pid}/uid_map"), "0 0 4294967295")?;
                fs::write(format!("/proc/{pid}/gid_map"), "0 0 4294967295")?;
                rustix::io::write(&writer, b"m")?;
                ask(&self.route, &veth_request(self.bridge, pid))?;
                rustix::io::write(&writer, b"n")?;
                poll(&mut [PollFd::new(&pidfd, PollFlags::IN)], None)?;
                let pid = rustix::process::Pid::from_raw(pid.cast_signed());
                let status = waitpid(pid, WaitOptions::empty())?;
                if status.is_none_or(|(_, status)| status.exit_status() != Some(0)) {
                    return Err("the program inside failed".into());
                }
            }
        }
        Ok(())
    }

    /// The new process's part; returns only if something failed.
    fn inside(&self, told: &OwnedFd) -> Box<dyn Error> {
        let enter = || -> Outcome<()> {
            hear(told)?;
            self.root()?;
            hear(told)
        };
        if let Err(error) = enter() {
            return error;
        }
        let arguments = Strings::new(vec![c"true".to_owned()]);
        execve(c"/bin/busybox", &arguments, &Strings::default()).into()
    }

    fn root(&self) -> Outcome<()> {
        let private = MountPropagationFlags::PRIVATE | MountPropagationFlags::REC;
        rustix::mount::mount_change("/", private)?;
        let context = rustix::mount::fsopen("overlay", FsOpenFlags::FSOPEN_CLOEXEC)?;
        let set = |key: &str, path: &Path| rustix::mount::fsconfig_set_string(&context, key, path);
        set("lowerdir", &self.rootfs)?;
        set("upperdir", &self.scratch.join("upper"))?;
        set("workdir", &self.scratch.join("work"))?;
        rustix::mount::fsconfig_set_flag(&context, "userxattr")?;
        rustix::mount::fsconfig_create(&context)?;
        let flags = FsMountFlags::FSMOUNT_CLOEXEC;
        let root = rustix::mount::fsmount(&context, flags, MountAttrFlags::empty())?;
        let flags = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH;
        rustix::mount::move_mount(&root, "", CWD, "/dev", flags)?;
        rustix::process::fchdir(&root)?;
        rustix::process::pivot_root(".", ".")?;
        rustix::mount::unmount(".", UnmountFlags::DETACH)?;
        Ok(rustix::process::chdir("/")?)
    }
}

/// Wait for one byte.
fn hear(told: &OwnedFd) -> Outcome<()> {
    match rustix::io::read(told, &mut [0_u8; 1])? {
        1 => Ok(()),
        _ => Err("the parent is gone".into()),
    }
}

/// Send one rtnetlink(7) request and read its acknowledgement.
fn ask(route: &OwnedFd, request: &[u8]) -> Outcome<()> {
    send(route, request, SendFlags::empty())?;
    let mut answer = [0_u8; 1024];
    recv(route, &mut answer[..], RecvFlags::empty())?;
    // `struct nlmsgerr` behind the header: minus errno.
    match i32::from_ne_bytes([answer[16], answer[17], answer[18], answer[19]]) {
        0 => Ok(()),
        errno => Err(std::io::Error::from_raw_os_error(-errno).into()),
    }
}

// linux/rtnetlink.h and linux/if_link.h.
const RTM_NEWLINK: u16 = 16;
const REQUEST_ACK_CREATE_EXCL: u16 = 0x1 | 0x4 | 0x400 | 0x200;
const IFF_UP: u32 = 1;
const IFLA_IFNAME: u16 = 3;
const IFLA_MASTER: u16 = 10;
const IFLA_LINKINFO: u16 = 18;
const IFLA_NET_NS_PID: u16 = 19;
const IFLA_INFO_KIND: u16 = 1;
const IFLA_INFO_DATA: u16 = 2;
const VETH_INFO_PEER: u16 = 1;

fn bridge_request() -> Vec<u8> {
    let kind = attribute(IFLA_INFO_KIND, b"bridge");
    new_link(&[attribute(IFLA_IFNAME, b"bhfloor\0"), attribute(IFLA_LINKINFO, &kind)].concat())
}

/// A pair: one end a port of the bridge, the other `eth0` in the namespace of `pid`, down: veth
/// refuses to make it up before it is connected.
fn veth_request(bridge: u32, pid: u32) -> Vec<u8> {
    let peer = [
        interface(0).to_vec(),
        attribute(IFLA_IFNAME, b"eth0\0"),
        attribute(IFLA_NET_NS_PID, &pid.to_ne_bytes()),
    ]
    .concat();
    let kind = attribute(IFLA_INFO_KIND, b"veth");
    let data = attribute(IFLA_INFO_DATA, &attribute(VETH_INFO_PEER, &peer));
    let info = attribute(IFLA_LINKINFO, &[kind, data].concat());
    new_link(&[attribute(IFLA_MASTER, &bridge.to_ne_bytes()), info].concat())
}

fn new_link(attributes: &[u8]) -> Vec<u8> {
    let length = u32::try_from(16 + 16 + attributes.len()).unwrap_or(u32::MAX);
    let mut message = Vec::with_capacity(256);
    message.extend_from_slice(&length.to_ne_bytes());
    message.extend_from_slice(&RTM_NEWLINK.to_ne_bytes());
    message.extend_from_slice(&REQUEST_ACK_CREATE_EXCL.to_ne_bytes());
    message.extend_from_slice(&[0; 8]);
    message.extend_from_slice(&interface(IFF_UP));
    message.extend_from_slice(attributes);
    message
}

/// `struct ifinfomsg`: the flags that an interface is to have.
fn interface(flags: u32) -> [u8; 16] {
    let mut header = [0; 16];
    header[8..12].copy_from_slice(&flags.to_ne_bytes());
    header[12..].copy_from_slice(&flags.to_ne_bytes());
    header
}

/// `struct rtattr` with its value, padded to four bytes.
fn attribute(kind: u16, value: &[u8]) -> Vec<u8> {
    let length = u16::try_from(4 + value.len()).unwrap_or(u16::MAX);
    let mut bytes = [length.to_ne_bytes(), kind.to_ne_bytes()].concat();
    bytes.extend_from_slice(value);
    bytes.resize(bytes.len().next_multiple_of(4), 0);
    bytes
}

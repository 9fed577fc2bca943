//! What every test needs: an image, ids, a cgroup, and a container that cleans up after itself.

use bulkhead_cgroup::{Cgroup, Hierarchy, Parent};
use bulkhead_network::EndpointPlan;
use bulkhead_policy::proto::{
    Argument, ContainerId, ContainerPath, ContainerSpec, ExecId, ExecSpec, HostOr, LayerId, List,
    MountSpec, Name, Namespaces, NetworkMode, ProcessSpec, Request, Resources, Seccomp, Share,
    UserMode,
};
use bulkhead_policy::{EffectiveContainer, EffectiveExec, Peer, Permit, Permitted, Policy, decide};
use bulkhead_runtime::{
    Created, Error, ExecPlan, Expected, Features, Gate, Ids, Joined, Mismatch, Plan, RANGE, Streams,
};
use rustix::fs::{Mode, OFlags};
use rustix::process::{WaitId, WaitIdOptions, waitid};
use std::cell::Cell;
use std::fs;
use std::io::Read;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::{PermissionsExt, chown, symlink};
use std::path::{Path, PathBuf};

/// Owner of the layers' files on disk.
pub(crate) const STORAGE: u32 = 0x7ffe_0000;
/// The first range that tests use.
const FIRST_BASE: u32 = 0x5000_0000;
const APPLETS: &str = "sh cat echo id ls mount umount stat readlink true false sleep head grep wc \
    touch mkdir chmod chown ln env tty stty hostname mknod dd kill ps test od tr sed cut ip rm find \
    printf ping awk nc unshare su";

pub(crate) struct Rig {
    pub dir: PathBuf,
    pub features: Features,
    parent: Option<Parent>,
    counter: Cell<u32>,
    cgroup_parent: String,
    cgroup_version: u8,
}

impl Rig {
    pub(crate) fn new() -> Self {
        let tag = format!("bulkhead-runtime-{}", std::process::id());
        let dir = Path::new("/var/tmp").join(&tag);
        fs::create_dir(&dir).unwrap();
        let hierarchy = Hierarchy::detect().unwrap();
        let parent = hierarchy.parent(&tag).unwrap();
        let rig = Self {
            features: Features::probe(),
            cgroup_parent: parent.path_for_stats(),
            cgroup_version: hierarchy.version(),
            parent: Some(parent),
            counter: Cell::new(0),
            dir,
        };
        base_layer(&rig.dir.join("base"));
        rig
    }

    fn number(&self) -> u32 {
        self.counter.set(self.counter.get() + 1);
        self.counter.get()
    }

    /// A container of the busybox image that runs these words in a shell.
    pub(crate) fn shell(&self, script: &str) -> Case<'_> {
        self.program(&["/bin/sh", "-c", script])
    }

    /// A container of the busybox image.
    pub(crate) fn program(&self, args: &[&str]) -> Case<'_> {
        let number = self.number();
        let mut id = [0; 32];
        id[..4].copy_from_slice(&number.to_be_bytes());
        id[4..8].copy_from_slice(&std::process::id().to_be_bytes());
        let dir = self.dir.join(format!("c{number}"));
        fs::create_dir(&dir).unwrap();
        Case {
            rig: self,
            spec: spec(ContainerId::from_bytes(id), args),
            ids: Ids::Range { base: FIRST_BASE + number * RANGE },
            policy: Policy::compat(0),
            layers: vec![self.dir.join("base")],
            join: Joined::default(),
            init: None,
            program: None,
            features: self.features,
            endpoints: Vec::new(),
            dir,
        }
    }
}

impl Drop for Rig {
    fn drop(&mut self) {
        self.parent.take().unwrap().remove().unwrap();
        fs::remove_dir_all(&self.dir).unwrap();
    }
}

/// A container to be.
pub(crate) struct Case<'r> {
    pub rig: &'r Rig,
    pub spec: ContainerSpec,
    pub ids: Ids,
    pub policy: Policy,
    pub layers: Vec<PathBuf>,
    pub join: Joined,
    pub init: Option<OwnedFd>,
    pub program: Option<Vec<u8>>,
    pub features: Features,
    pub endpoints: Vec<EndpointPlan>,
    pub dir: PathBuf,
}

impl<'r> Case<'r> {
    /// Change the request.
    pub(crate) fn with(mut self, change: impl FnOnce(&mut ContainerSpec)) -> Self {
        change(&mut self.spec);
        self
    }

    /// In the host's user namespace.
    pub(crate) fn host_ids(mut self) -> Self {
        self.spec.namespaces.user = UserMode::Host;
        self.ids = Ids::Host;
        self
    }

    pub(crate) fn hardened(mut self) -> Self {
        self.policy = Policy::hardened(0);
        self
    }

    pub(crate) fn user(self, user: &str) -> Self {
        self.with(|spec| spec.process.user = name(user))
    }

    pub(crate) fn mount(self, mount: MountSpec) -> Self {
        self.with(|spec| {
            let mut mounts = std::mem::take(&mut spec.mounts).into_vec();
            mounts.push(mount);
            spec.mounts = mounts.try_into().unwrap();
        })
    }

    /// One more layer, on top, filled by `fill`.
    pub(crate) fn layer(mut self, fill: impl FnOnce(&Path)) -> Self {
        let dir = self.dir.join(format!("layer{}", self.layers.len()));
        fs::create_dir(&dir).unwrap();
        fill(&dir);
        own(&dir, STORAGE);
        self.layers.push(dir);
        self
    }

    pub(crate) fn base(&self) -> u32 {
        self.ids.root()
    }

    pub(crate) fn permit(&mut self) -> Permit<EffectiveContainer> {
        let ids =
            (0..self.layers.len()).map(|n| LayerId::from_bytes([u8::try_from(n).unwrap(); 32]));
        self.spec.layers = ids.collect::<Vec<_>>().try_into().unwrap();
        let request = Request::Create(self.spec.clone());
        match decide(&self.policy, Peer { uid: 0 }, request) {
            Ok(Permitted::Create(permit)) => permit,
            other => panic!("{other:?}"),
        }
    }

    /// Make it; it waits.
    pub(crate) fn create(mut self) -> Result<Waiting<'r>, Error> {
        fs::create_dir(self.dir.join("w")).ok();
        let permit = self.permit();
        let container = permit.granted();
        let parent = self.rig.parent.as_ref().unwrap();
        let cgroup = parent.create(&self.spec.id.to_string()).unwrap();
        cgroup.apply(&container.spec.resources).unwrap();
        let rules = bulkhead_runtime::device_rules(container);
        let created = rules.and_then(|rules| {
            cgroup.set_devices(&rules).unwrap();
            let plan = Plan {
                permit: &permit,
                ids: self.ids,
                storage_base: STORAGE,
                layers: self.layers.iter().map(|layer| directory(layer)).collect(),
                writable: directory(&self.dir.join("w")),
                join: self.join.try_clone().unwrap(),
                cgroup: &cgroup,
                endpoints: self.endpoints.clone(),
                init: self.init.as_ref().map(AsFd::as_fd),
                seccomp_program: self.program.clone(),
                features: self.features,
            };
            bulkhead_runtime::create(&plan)
        });
        match created {
            Ok(Created { pid, pidfd, stdio, gate }) => Ok(Waiting {
                case: self,
                permit,
                cgroup: Some(cgroup),
                pid,
                pidfd,
                stdio: Some(stdio),
                gate: Some(gate),
                reaped: false,
            }),
            Err(error) => {
                assert!(cgroup.is_empty().unwrap(), "a failed create leaves no process");
                cgroup.remove().unwrap();
                Err(error)
            }
        }
    }

    /// Make it, audit it, let it go, and wait for its end.
    pub(crate) fn run(self) -> Outcome {
        let mut waiting = self.create().map_err(|error| chain(&error)).unwrap();
        waiting.audit().unwrap();
        waiting.open().map_err(|error| chain(&error)).unwrap();
        waiting.finish()
    }

    /// Why it cannot be made.
    pub(crate) fn refused(self) -> Error {
        match self.create() {
            Ok(_) => panic!("created"),
            Err(error) => error,
        }
    }
}

/// A container that waits, or runs.
pub(crate) struct Waiting<'r> {
    pub case: Case<'r>,
    pub permit: Permit<EffectiveContainer>,
    pub cgroup: Option<Cgroup>,
    pub pid: u32,
    pub pidfd: OwnedFd,
    pub stdio: Option<Streams>,
    pub gate: Option<Gate>,
    /// Somebody has waited for it.
    pub reaped: bool,
}

impl Waiting<'_> {
    pub(crate) fn audit(&self) -> Result<(), Vec<Mismatch>> {
        self.audit_as(self.permit.granted())
    }

    /// As if this had been permitted.
    pub(crate) fn audit_as(&self, container: &EffectiveContainer) -> Result<(), Vec<Mismatch>> {
        let expected = self.expected(container, false);
        bulkhead_runtime::audit(&self.pidfd, self.pid, &expected)
    }

    pub(crate) fn expected<'a>(
        &self,
        container: &'a EffectiveContainer,
        exec: bool,
    ) -> Expected<'a> {
        let rig = self.case.rig;
        Expected {
            container,
            base: self.case.base(),
            exec,
            cgroup: format!("{}/{}", rig.cgroup_parent, container.spec.id),
            cgroup_version: rig.cgroup_version,
        }
    }

    pub(crate) fn open(&mut self) -> Result<(), Error> {
        self.gate.take().unwrap().open()
    }

    /// A file of `/proc/PID`.
    pub(crate) fn proc(&self, name: &str) -> String {
        fs::read_to_string(format!("/proc/{}/{name}", self.pid)).unwrap()
    }

    /// Until its end.
    pub(crate) fn finish(mut self) -> Outcome {
        let (out, err) = read_all(self.stdio.take().unwrap());
        let code = wait(&self.pidfd);
        self.reaped = true;
        Outcome { code, out, err }
    }

    /// Run a further process in it, to its end.
    pub(crate) fn exec(&self, change: impl FnOnce(&mut ExecSpec)) -> Result<Outcome, Error> {
        let (created, permit) = self.create_exec(change)?;
        let expected = self.expected(self.permit.granted(), true);
        bulkhead_runtime::audit(&created.pidfd, created.pid, &expected).unwrap();
        drop(permit);
        created.gate.open().inspect_err(|_| {
            wait(&created.pidfd);
        })?;
        let (out, err) = read_all(created.stdio);
        Ok(Outcome { code: wait(&created.pidfd), out, err })
    }

    pub(crate) fn create_exec(
        &self,
        change: impl FnOnce(&mut ExecSpec),
    ) -> Result<(Created, Permit<EffectiveExec>), Error> {
        let mut spec = ExecSpec {
            container: self.case.spec.id,
            exec: ExecId::from_bytes([1; 32]),
            process: process(&["/bin/true"]),
            privileged: false,
        };
        change(&mut spec);
        let request = Request::Exec(spec);
        let Ok(Permitted::Exec(permit)) = decide(&self.case.policy, Peer { uid: 0 }, request)
        else {
            panic!("exec denied")
        };
        let plan = ExecPlan {
            permit: &permit,
            container: self.permit.granted(),
            init: self.pidfd.as_fd(),
            init_pid: self.pid,
            cgroup: self.cgroup.as_ref().unwrap(),
            ids: self.case.ids,
            seccomp_program: self.case.program.clone(),
        };
        bulkhead_runtime::exec(&plan).map(|created| (created, permit))
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        if !self.reaped {
            bulkhead_sys::fork::pidfd_signal(&self.pidfd, 9).ok();
            wait(&self.pidfd);
        }
        self.cgroup.take().unwrap().remove().unwrap();
    }
}

/// How a process ended and what it said.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Outcome {
    pub code: i32,
    pub out: String,
    pub err: String,
}

impl Outcome {
    /// What it said, if it said nothing on stderr and ended well.
    pub(crate) fn text(self) -> String {
        assert_eq!((self.code, self.err.as_str()), (0, ""), "stdout: {}", self.out);
        self.out
    }
}

pub(crate) fn wait(pidfd: &OwnedFd) -> i32 {
    let status = waitid(WaitId::PidFd(pidfd.as_fd()), WaitIdOptions::EXITED).unwrap().unwrap();
    status.exit_status().unwrap_or_else(|| 128 + status.terminating_signal().unwrap())
}

fn read_all(streams: Streams) -> (String, String) {
    let read = |fd: OwnedFd| {
        let mut bytes = Vec::new();
        // A terminal's master gives EIO once the last slave is closed.
        fs::File::from(fd).read_to_end(&mut bytes).ok();
        String::from_utf8_lossy(&bytes).into_owned()
    };
    match streams {
        Streams::Output { stdout, stderr } => (read(stdout), read(stderr)),
        Streams::InputOutput { stdin, stdout, stderr } => {
            drop(stdin);
            (read(stdout), read(stderr))
        }
        Streams::Terminal { master } => (read(master), String::new()),
    }
}

fn spec(id: ContainerId, args: &[&str]) -> ContainerSpec {
    ContainerSpec {
        id,
        layers: List::default(),
        read_only: false,
        process: process(args),
        hostname: "box".try_into().unwrap(),
        domainname: "".try_into().unwrap(),
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

pub(crate) fn process(args: &[&str]) -> ProcessSpec {
    ProcessSpec {
        args: arguments(args),
        env: arguments(&["PATH=/bin:/usr/bin"]),
        cwd: path("/"),
        user: name(""),
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

pub(crate) fn arguments<const MAX: usize>(args: &[&str]) -> List<Argument, MAX> {
    let args = args.iter().map(|arg| Argument::try_from(*arg).unwrap());
    args.collect::<Vec<_>>().try_into().unwrap()
}

pub(crate) fn path(path: &str) -> ContainerPath {
    ContainerPath::new(path.as_bytes()).unwrap()
}

pub(crate) fn name(text: &str) -> Name {
    Name::try_from(text).unwrap()
}

fn directory(path: &Path) -> OwnedFd {
    rustix::fs::open(path, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
        .unwrap()
}

/// An error and its causes.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        text = format!("{text}: {cause}");
        next = cause.source();
    }
    text
}

/// Everything below belongs to this id, which is on nothing else.
pub(crate) fn own(path: &Path, id: u32) {
    rustix::fs::chownat(
        rustix::fs::CWD,
        path,
        Some(rustix::fs::Uid::from_raw(id)),
        Some(rustix::fs::Gid::from_raw(id)),
        rustix::fs::AtFlags::SYMLINK_NOFOLLOW,
    )
    .unwrap();
    if fs::symlink_metadata(path).unwrap().is_dir() {
        for entry in fs::read_dir(path).unwrap() {
            own(&entry.unwrap().path(), id);
        }
    }
}

fn base_layer(dir: &Path) {
    for name in ["", "bin", "etc", "root", "tmp", "home", "var", "home/app"] {
        fs::create_dir(dir.join(name)).unwrap();
    }
    fs::copy("/bin/busybox", dir.join("bin/busybox")).unwrap();
    for applet in APPLETS.split_ascii_whitespace() {
        symlink("busybox", dir.join("bin").join(applet)).unwrap();
    }
    let passwd = "root:x:0:0:root:/root:/bin/sh\napp:x:1000:1001::/home/app:/bin/sh\n";
    fs::write(dir.join("etc/passwd"), passwd).unwrap();
    fs::write(dir.join("etc/group"), "root:x:0:\napp:x:1001:\nvideo:x:44:app\n").unwrap();
    own(dir, STORAGE);
    let sticky = fs::Permissions::from_mode(0o1777);
    fs::set_permissions(dir.join("tmp"), sticky).unwrap();
    chown(dir.join("home/app"), Some(STORAGE + 1000), Some(STORAGE + 1001)).unwrap();
}

/// For plans that want a borrowed descriptor.
pub(crate) fn open(path: &str) -> OwnedFd {
    rustix::fs::open(path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty()).unwrap()
}

/// Mounts of the host, as lines.
pub(crate) fn host_mounts() -> String {
    fs::read_to_string("/proc/self/mountinfo").unwrap()
}

//! Network namespaces as threads: a namespace belongs to a thread, and a thread's id names it as well
//! as a process's does.
#![allow(dead_code, reason = "each test program uses its part")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on ends")]

use bulkhead_network::{EndpointPlan, Instance, Network, attach, configure_inside, plan_endpoint};
use bulkhead_policy::proto::{ContainerId, Endpoint, Ipv4, NetworkId, NetworkSpec};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::process::Command;
use std::sync::mpsc;
use std::time::Duration;

/// Packets between namespaces need microseconds; a dropped one never comes.
const PATIENCE: Duration = Duration::from_millis(400);

type Job = Box<dyn FnOnce() + Send>;

/// A fresh network namespace; it ends with the value.
#[derive(Debug)]
pub(crate) struct Namespace {
    pub(crate) tid: u32,
    jobs: mpsc::Sender<Job>,
}

impl Namespace {
    pub(crate) fn new() -> Self {
        let (jobs, queue) = mpsc::channel::<Job>();
        let (ready, started) = mpsc::channel();
        std::thread::spawn(move || {
            #[allow(deprecated, reason = "a network namespace shares no descriptors")]
            rustix::thread::unshare(rustix::thread::UnshareFlags::NEWNET).unwrap();
            // A new namespace has what the machine has.
            std::fs::write("/proc/sys/net/ipv4/ip_forward", "0").unwrap();
            ready.send(rustix::thread::gettid().as_raw_nonzero().get().cast_unsigned()).unwrap();
            queue.into_iter().for_each(|job| job());
        });
        Self { tid: started.recv().unwrap(), jobs }
    }

    /// Do something in the namespace.
    pub(crate) fn run<T: Send + 'static>(&self, job: impl FnOnce() -> T + Send + 'static) -> T {
        let (answer, answered) = mpsc::channel();
        let job = move || drop(answer.send(catch_unwind(AssertUnwindSafe(job))));
        self.jobs.send(Box::new(job)).unwrap();
        answered.recv().unwrap().unwrap_or_else(|panic| resume_unwind(panic))
    }

    /// Run a command in the namespace; its output.
    pub(crate) fn sh(&self, command: &str) -> String {
        let command = command.to_owned();
        self.run(move || {
            let output = Command::new("sh").arg("-ec").arg(&command).output().unwrap();
            let error = String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success(), "{command}: {error}");
            String::from_utf8(output.stdout).unwrap()
        })
    }

    /// Connect to a fresh TCP port of another namespace; who was seen there, if it worked.
    pub(crate) fn reach(&self, to: &Self, address: [u8; 4]) -> Option<IpAddr> {
        let any = SocketAddr::from(([0; 4], 0));
        let listener = to.run(move || TcpListener::bind(any).unwrap());
        let port = listener.local_addr().unwrap().port();
        let address = SocketAddr::from((address, port));
        let stream = self.run(move || TcpStream::connect_timeout(&address, PATIENCE));
        stream.ok().map(|_| listener.accept().unwrap().1.ip())
    }

    /// Whether a fresh TCP port at this address of another namespace is reached.
    pub(crate) fn connects(&self, to: &Self, mut address: SocketAddr) -> bool {
        let listener = to.run(move || TcpListener::bind(address).unwrap());
        address.set_port(listener.local_addr().unwrap().port());
        self.run(move || TcpStream::connect_timeout(&address, PATIENCE)).is_ok()
    }

    /// A host with one uplink to an outside of its own: 192.0.2.1 and 192.0.2.2.
    pub(crate) fn host_and_outside() -> (Self, Self) {
        let (host, outside) = (Self::new(), Self::new());
        host.join(&outside, "uplink", "192.0.2.1/24", "192.0.2.2/24");
        (host, outside)
    }

    /// A cable to another namespace, whose end there has the same name.
    pub(crate) fn join(&self, other: &Self, name: &str, here: &str, there: &str) {
        let other_tid = other.tid;
        self.sh(&format!(
            "ip link add {name} type veth peer name {name} netns {other_tid}
             ip addr add {here} dev {name}; ip link set {name} up; ip link set lo up"
        ));
        other.sh(&format!(
            "ip addr add {there} dev {name}; ip link set {name} up; ip link set lo up"
        ));
    }

    /// A container with this address on a network of this host.
    pub(crate) fn container(&self, network: &Network, last: u8) -> Self {
        let container = Self::new();
        let plans = vec![plan(network, last)];
        container.attach_to(self, plans).unwrap();
        container
    }

    pub(crate) fn attach_to(
        &self,
        host: &Self,
        plans: Vec<EndpointPlan>,
    ) -> Result<(), bulkhead_network::Error> {
        let (tid, inside) = (self.tid, plans.clone());
        let ports: Vec<String> = plans.iter().map(|plan| plan.host_name.clone()).collect();
        host.run(move || attach(tid, &plans))?;
        self.run(move || configure_inside(&inside))?;
        for port in ports {
            let state = format!("ip -d link show dev {port} | grep -q 'state forwarding'");
            host.sh(&format!("timeout 10 sh -c \"until {state}; do :; done\""));
        }
        Ok(())
    }
}

pub(crate) fn installed() -> Instance {
    Instance::new("").unwrap()
}

pub(crate) fn id(number: u8) -> NetworkId {
    NetworkId::from_bytes([number; 32])
}

/// 10.`number`.0.1/24, with all that Docker's bridge has.
pub(crate) fn spec(number: u8) -> NetworkSpec {
    NetworkSpec {
        id: id(number),
        gateway: Ipv4 { address: [10, number, 0, 1], prefix: 24 },
        internal: false,
        inter_container: true,
        masquerade: true,
        mtu: 1500,
        default: false,
    }
}

pub(crate) fn create(host: &Namespace, spec: NetworkSpec) -> Network {
    host.run(move || bulkhead_network::create_network(&installed(), &spec).unwrap())
}

/// `eth0` of a container named after its address.
pub(crate) fn plan(network: &Network, last: u8) -> EndpointPlan {
    let [a, b, c, _] = network.spec().gateway.address;
    let endpoint = Endpoint {
        network: network.spec().id,
        ipv4: Ipv4 { address: [a, b, c, last], prefix: network.spec().gateway.prefix },
        mac: [0x02, 0x42, a, b, c, last],
        gateway: true,
    };
    let container = ContainerId::from_bytes([last ^ b; 32]);
    plan_endpoint(network, &endpoint, &container, 0).unwrap()
}

pub(crate) fn ip(address: [u8; 4]) -> IpAddr {
    IpAddr::V4(Ipv4Addr::from(address))
}

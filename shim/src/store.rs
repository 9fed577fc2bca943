//! Requests about layers and networks, and the greeting.

use crate::event_loop::Token;
use crate::layers::{self, MAX_WORKERS, Workshop};
use crate::refusal::{because, kernel, not_found, text};
use crate::reply::ReplyTo;
use crate::server::{Answer, Server};
use bulkhead_policy::Permit;
use bulkhead_proto::{
    ByteString, ContainerId, Hello, LayerId, NetworkId, NetworkSpec, PAGE, Refusal, Reply, Target,
    UnpackRequest,
};
use std::os::fd::OwnedFd;

impl Server {
    /// `Hello`
    pub(crate) fn hello(&mut self, to: ReplyTo) -> Result<Answer, Refusal> {
        fn short<const N: usize>(value: &str) -> Result<ByteString<N>, Refusal> {
            ByteString::try_from(value).map_err(because)
        }
        let uid = self.peers.get(to.peer).map_or(u32::MAX, |peer| peer.uid);
        let policy = &self.host.policy;
        let hello = Hello {
            version: short(env!("CARGO_PKG_VERSION"))?,
            instance: short(&self.host.tag)?,
            cgroup_version: self.host.hierarchy.version(),
            policy: short(&policy.name())?,
            policy_fingerprint: short(&policy.fingerprint())?,
            cgroup_parent: short(&self.host.cgroup_parent)?,
            default_bridge: short(&self.host.instance.default_bridge())?,
            no_new_privs: policy.default_no_new_privs(uid),
            default_pids: policy.default_pids(uid),
        };
        Ok(Answer::Now(Reply::Hello { hello }, Vec::new()))
    }

    /// `UnpackLayer`: a worker reads the stream; its result is the answer.
    pub(crate) fn unpack_layer(
        &mut self,
        permit: &Permit<UnpackRequest>,
        fds: &[OwnedFd],
        to: ReplyTo,
    ) -> Result<Answer, Refusal> {
        if self.workers.len() >= MAX_WORKERS {
            return Err(Refusal::Exhausted { what: text("layers being unpacked at a time") });
        }
        let source = fds.first().ok_or_else(|| kernel("no stream"))?;
        self.counter += 1;
        let number = self.counter;
        let workshop = Workshop {
            proof: self.host.proof,
            dirs: &self.host.dirs,
            program: &self.host.worker,
            number,
        };
        let worker = workshop.start(permit.granted(), source, to)?;
        self.poller.add(&worker.result, Token::Worker(number)).map_err(because)?;
        self.workers.insert(number, worker);
        Ok(Answer::Later)
    }

    /// `RemoveLayer`
    pub(crate) fn remove_layer(&mut self, permit: &Permit<LayerId>) -> Result<Answer, Refusal> {
        let id = permit.granted();
        if self.table.uses_layer(id) {
            return Err(Refusal::InUse { what: text(format_args!("layer sha256:{id}")) });
        }
        let path = self.host.dirs.layer(id);
        if !path.is_dir() {
            return Err(not_found(format_args!("layer sha256:{id}")));
        }
        layers::discard(&self.host.dirs, &path);
        self.clean_trash();
        Ok(Answer::DONE)
    }

    /// `ListLayers`
    pub(crate) fn list_layers(
        &mut self,
        permit: &Permit<Option<LayerId>>,
    ) -> Result<Answer, Refusal> {
        let layers = layers::list(&self.host.dirs, *permit.granted(), PAGE).map_err(because)?;
        let layers = layers.try_into().map_err(because)?;
        Ok(Answer::Now(Reply::Layers { layers }, Vec::new()))
    }

    /// `CreateNetwork`
    pub(crate) fn create_network(
        &mut self,
        permit: &Permit<NetworkSpec>,
    ) -> Result<Answer, Refusal> {
        bulkhead_network::create_network(&self.host.instance, permit.granted()).map_err(because)?;
        Ok(Answer::DONE)
    }

    /// `RemoveNetwork`
    pub(crate) fn remove_network(&mut self, permit: &Permit<NetworkId>) -> Result<Answer, Refusal> {
        // The kernel takes a dead container's link away some time after its last process.
        let network = bulkhead_network::open_network(&self.host.instance, permit.granted())
            .map_err(because)?;
        let lives =
            |id: &ContainerId| self.table.tasks.contains_key(&Target::Container { id: *id });
        bulkhead_network::detach_dead(&network, lives).map_err(because)?;
        bulkhead_network::remove_network(&self.host.instance, permit.granted()).map_err(because)?;
        Ok(Answer::DONE)
    }
}

//! `rename`, `update`, `resize`.

use super::record::Definition;
use super::{Container, Phase};
use crate::engine::Inner;
use crate::error::{EngineError, Result};
use crate::id;
use crate::translate::{for_update, validate_restart};
use bulkhead_proto::{Request, UpdateRequest};
use bulkhead_types::{ContainerUpdateBody, ContainerUpdateResponse, Resources};
use rustix::termios::Winsize;
use std::sync::Arc;

impl Container {
    /// `POST /containers/{id}/rename`
    pub(crate) async fn rename(self: &Arc<Self>, engine: &Arc<Inner>, new: &str) -> Result<()> {
        let phase = self.phase.lock().await;
        if matches!(&*phase, Phase::Gone) {
            return Err(self.gone());
        }
        if new.is_empty() {
            return Err(EngineError::bad("Neither old nor new names may be empty"));
        }
        let name = id::checked_name(new)?;
        let old = self.definition();
        if name == old.name {
            return Err(EngineError::bad(
                "Renaming a container with the same name as its current name",
            ));
        }
        let reserved = engine.index().reserve(&name, &self.id.to_string());
        reserved.map_err(|holder| super::create::taken(&name, &holder))?;
        let renamed = Definition { name: name.clone(), ..Definition::clone(&old) };
        if let Err(error) = engine.store.commit(vec![renamed.to_write()]).await {
            engine.index().release(&name);
            return Err(error.into());
        }
        self.redefine(renamed);
        engine.index().release(&old.name);
        self.emit(engine, "rename", &[("oldName", format!("/{}", old.name))]);
        Ok(())
    }

    /// `POST /containers/{id}/update`
    pub(crate) async fn update(
        self: &Arc<Self>,
        engine: &Arc<Inner>,
        body: ContainerUpdateBody,
    ) -> Result<ContainerUpdateResponse> {
        let ContainerUpdateBody { restart_policy, resources } = body;
        let phase = self.phase.lock().await;
        if matches!(&*phase, Phase::Gone) {
            return Err(self.gone());
        }
        let old = self.definition();
        let mut record = old.record.clone();
        if !restart_policy.name.is_empty() {
            validate_restart(&restart_policy)?;
            record.host.restart_policy = restart_policy;
        }
        let limits = for_update(&resources)?;
        merge_resources(&mut record.host.resources, &resources);
        let new = Definition::new(self.id, old.name.clone(), record, &engine.config)?;
        if matches!(&*phase, Phase::Running(_) | Phase::Paused(_))
            && resources != Resources::default()
        {
            let request = UpdateRequest { id: self.id, resources: limits };
            engine.shim.order(Request::Update(request)).await?;
        }
        engine.store.commit(vec![new.to_write()]).await?;
        self.redefine(new);
        self.emit(engine, "update", &[]);
        Ok(ContainerUpdateResponse { warnings: None })
    }

    /// `POST /containers/{id}/resize`
    pub(crate) async fn resize(&self, engine: &Inner, rows: u16, columns: u16) -> Result<()> {
        let phase = self.phase.lock().await;
        let (Phase::Running(running) | Phase::Paused(running)) = &*phase else {
            return Err(self.not_running());
        };
        let Some(master) = &running.master else {
            return Err(EngineError::bad(format!("container {} has no terminal", self.id)));
        };
        set_size(master, rows, columns)?;
        let size = [("height", rows.to_string()), ("width", columns.to_string())];
        self.emit(engine, "resize", &size);
        Ok(())
    }
}

/// Set the size of a terminal by its master.
pub(crate) fn set_size(master: &crate::stream::StdinFd, rows: u16, columns: u16) -> Result<()> {
    let size = Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
    rustix::termios::tcsetwinsize(&**master, size)
        .map_err(|error| EngineError::internal("setting the terminal's size").because(error))
}

/// What is given replaces what was; what is not stays (moby `container.UpdateContainer`).
fn merge_resources(old: &mut Resources, new: &Resources) {
    fn take<T: Clone + Default + PartialEq>(old: &mut T, new: &T) {
        if *new != T::default() {
            old.clone_from(new);
        }
    }
    // `--cpus` and `--cpu-period` with `--cpu-quota` are two ways to say one thing.
    if new.nano_cpus != 0 {
        (old.cpu_period, old.cpu_quota) = (0, 0);
    } else if new.cpu_period != 0 || new.cpu_quota != 0 {
        old.nano_cpus = 0;
    }
    take(&mut old.cpu_shares, &new.cpu_shares);
    take(&mut old.memory, &new.memory);
    take(&mut old.nano_cpus, &new.nano_cpus);
    take(&mut old.blkio_weight, &new.blkio_weight);
    take(&mut old.blkio_device_read_bps, &new.blkio_device_read_bps);
    take(&mut old.blkio_device_write_bps, &new.blkio_device_write_bps);
    take(&mut old.blkio_device_read_iops, &new.blkio_device_read_iops);
    take(&mut old.blkio_device_write_iops, &new.blkio_device_write_iops);
    take(&mut old.cpu_period, &new.cpu_period);
    take(&mut old.cpu_quota, &new.cpu_quota);
    take(&mut old.cpuset_cpus, &new.cpuset_cpus);
    take(&mut old.cpuset_mems, &new.cpuset_mems);
    take(&mut old.memory_reservation, &new.memory_reservation);
    take(&mut old.memory_swap, &new.memory_swap);
    take(&mut old.pids_limit, &new.pids_limit);
}

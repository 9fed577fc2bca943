//! Further processes in running containers. They are kept in memory only: one that runs on over a
//! restart of ours is read dry until it ends, and nobody can ask for it any more.
//!
//! ```text
//!   create         start            exit
//!  ───────> New ─────────> Running ──────> Ended (until the container goes, or 512 newer ones)
//! ```

use crate::container::Container;
use crate::container::change::set_size;
use crate::container::record::Status;
use crate::container::start::{program_code, program_error, streams};
use crate::engine::Inner;
use crate::error::{EngineError, Result, plain};
use crate::logs::{Copier, Hub};
use crate::shim_client::ShimError;
use crate::stream::{Attached, Input, Output, StdinFd, StdinState};
use crate::translate::exec_process;
use bulkhead_proto::{
    ContainerId, ExecId, ExecSpec, ExitStatus, Refusal, Request, Target, TerminalSize,
};
use bulkhead_types::{ExecCreateBody, ExecInspect, ExecProcess, ExecStartBody};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::{oneshot, watch};

/// How many that have ended can still be asked for.
const ENDED_KEPT: usize = 512;

/// All execs there are.
#[derive(Debug, Default)]
pub(crate) struct Execs(Mutex<Table>);

#[derive(Debug, Default)]
struct Table {
    by_id: BTreeMap<String, Arc<Exec>>,
    /// In the order in which they were made.
    order: std::collections::VecDeque<String>,
}

/// One exec.
#[derive(Debug)]
pub(crate) struct Exec {
    id: ExecId,
    container: Arc<Container>,
    body: ExecCreateBody,
    phase: Mutex<Phase>,
    hub: Arc<Hub>,
    stdin: watch::Sender<StdinState>,
}

/// Where an exec is, with what that phase needs.
#[derive(Debug)]
enum Phase {
    New,
    /// The shim has been asked.
    Starting,
    Running {
        copier: Option<Copier>,
        master: Option<StdinFd>,
        pid: u32,
        /// The connection to the shim that it came by.
        connection: u64,
    },
    Ended {
        code: i64,
    },
}

impl Execs {
    fn table(&self) -> MutexGuard<'_, Table> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The exec with this id.
    pub(crate) fn get(&self, id: &str) -> Result<Arc<Exec>> {
        let found = self.table().by_id.get(id).cloned();
        found.ok_or_else(|| EngineError::not_found(format!("No such exec instance: {id}")))
    }

    /// Whether there is one.
    pub(crate) fn has(&self, id: &str) -> bool {
        self.table().by_id.contains_key(id)
    }

    /// Those that run and came by an earlier connection.
    pub(crate) fn older_than(&self, connection: u64) -> Vec<Arc<Exec>> {
        let older = |exec: &&Arc<Exec>| matches!(&*exec.phase(), Phase::Running { connection: of, .. } if *of < connection);
        self.table().by_id.values().filter(older).cloned().collect()
    }

    /// Ids of a container's execs that have not ended.
    pub(crate) fn of(&self, container: &ContainerId) -> Vec<String> {
        let table = self.table();
        let live = table.by_id.iter().filter(|(_, exec)| {
            exec.container.id == *container && !matches!(&*exec.phase(), Phase::Ended { .. })
        });
        live.map(|(id, _)| id.clone()).collect()
    }

    /// A container is gone.
    pub(crate) fn forget(&self, container: &ContainerId) {
        let mut table = self.table();
        table.by_id.retain(|_, exec| exec.container.id != *container);
        let Table { by_id, order } = &mut *table;
        order.retain(|id| by_id.contains_key(id));
    }

    fn insert(&self, exec: Arc<Exec>) {
        let mut table = self.table();
        let id = exec.id.to_string();
        table.order.push_back(id.clone());
        table.by_id.insert(id, exec);
        let mut excess = table.order.len().saturating_sub(ENDED_KEPT);
        let Table { by_id, order } = &mut *table;
        order.retain(|id| {
            let ended =
                by_id.get(id).is_none_or(|exec| matches!(&*exec.phase(), Phase::Ended { .. }));
            let goes = excess > 0 && ended;
            if goes {
                excess -= 1;
                by_id.remove(id);
            }
            !goes
        });
    }
}

/// `POST /containers/{id}/exec`
pub(crate) fn create(
    engine: &Inner,
    container: Arc<Container>,
    body: ExecCreateBody,
) -> Result<String> {
    let conflict =
        |why: &str| Err(EngineError::conflict(format!("container {} {why}", container.id)));
    match container.state().status {
        Status::Running => {}
        Status::Paused => return conflict("is paused, unpause the container before exec"),
        Status::Restarting => {
            return conflict("is restarting, wait until the container is running");
        }
        Status::Created | Status::Starting | Status::Exited | Status::Removing | Status::Dead => {
            return conflict("is not running");
        }
    }
    if body.cmd.as_ref().is_none_or(|cmd| cmd.is_empty()) {
        return Err(EngineError::bad("no exec command specified"));
    }
    // What is wrong with it should be heard now.
    exec_process(&body, &container.definition().plan.spec.process)?;
    let id: ExecId = crate::id::random_hex()?
        .parse()
        .map_err(|error| EngineError::internal("exec id").because(error))?;
    let exec = Arc::new(Exec {
        id,
        container,
        body,
        phase: Mutex::new(Phase::New),
        hub: Arc::default(),
        stdin: watch::Sender::new(StdinState::default()),
    });
    exec.emit(engine, &format!("exec_create: {}", exec.command()), &[]);
    engine.execs.insert(Arc::clone(&exec));
    Ok(id.to_string())
}

impl Exec {
    fn phase(&self) -> MutexGuard<'_, Phase> {
        self.phase.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Its process towards the shim.
    pub(crate) fn target(&self) -> Target {
        Target::Exec { id: self.container.id, exec: self.id }
    }

    fn command(&self) -> String {
        self.body.cmd.as_ref().map(|cmd| cmd.join(" ")).unwrap_or_default()
    }

    fn emit(&self, engine: &Inner, action: &str, more: &[(&str, String)]) {
        let mut attributes = vec![("execID", self.id.to_string())];
        attributes.extend_from_slice(more);
        self.container.emit(engine, action, &attributes);
    }

    /// `POST /exec/{id}/start`
    pub(crate) async fn start(
        self: Arc<Self>,
        engine: Arc<Inner>,
        start: ExecStartBody,
    ) -> Result<Option<Attached>> {
        let again = |what: &str| {
            Err(EngineError::conflict(format!("Error: Exec command {} {what}", self.id)))
        };
        {
            let mut phase = self.phase();
            match &*phase {
                Phase::New => *phase = Phase::Starting,
                Phase::Starting | Phase::Running { .. } => return again("is already running"),
                Phase::Ended { .. } => return again("has already run"),
            }
        }
        // Before it runs, so that its first byte is seen.
        let attached = (!start.detach).then(|| self.attached(&engine));
        match self.run(&engine, &start).await {
            Ok(()) => Ok(attached),
            Err(error) => {
                let code = if let ShimError::Refused(Refusal::Program { errno, .. }) = &error {
                    program_code(*errno)
                } else {
                    126
                };
                *self.phase() = Phase::Ended { code };
                self.hub.end();
                Err(self.worded(error))
            }
        }
    }

    async fn run(
        self: &Arc<Self>,
        engine: &Arc<Inner>,
        start: &ExecStartBody,
    ) -> std::result::Result<(), ShimError> {
        let definition = self.container.definition();
        let invalid = |error: EngineError| {
            ShimError::Refused(Refusal::Invalid {
                what: error.message().try_into().unwrap_or_default(),
            })
        };
        let mut process =
            exec_process(&self.body, &definition.plan.spec.process).map_err(invalid)?;
        if let (Some(terminal), Some([rows, columns])) = (&mut process.terminal, start.console_size)
        {
            let fits = |value| u16::try_from(value).unwrap_or(u16::MAX);
            *terminal = TerminalSize { rows: fits(rows), columns: fits(columns) };
        }
        let spec = ExecSpec {
            container: self.container.id,
            exec: self.id,
            process,
            privileged: self.body.privileged,
        };
        let created = engine.shim.process(Request::Exec(spec), Vec::new()).await?;
        let (pid, connection) = (created.effective.pid, created.connection);
        let (sources, stdin, master) = streams(created.stdio)?;
        let copier = Copier::start(engine.log_runtime(), sources, Arc::clone(&self.hub), None)?;
        *self.phase() = Phase::Running { copier: Some(copier), master, pid, connection };
        self.stdin.send_replace(StdinState { run: 1, fd: stdin });
        self.emit(engine, &format!("exec_start: {}", self.command()), &[]);
        Ok(())
    }

    fn attached(self: &Arc<Self>, engine: &Arc<Inner>) -> Attached {
        let live = self.hub.subscribe(self.body.attach_stdout, self.body.attach_stderr);
        let input = self.body.attach_stdin.then(|| {
            let close = (!self.body.tty).then(|| self.close_with(engine));
            Input::new(self.stdin.subscribe(), 1, close)
        });
        Attached { terminal: self.body.tty, output: Output::new(None, Some(live)), input }
    }

    /// What to drop to close its standard input.
    fn close_with(self: &Arc<Self>, engine: &Arc<Inner>) -> oneshot::Sender<()> {
        let (close, closed) = oneshot::channel::<()>();
        let (exec, engine) = (Arc::downgrade(self), Arc::clone(engine));
        let mut stdin = self.stdin.subscribe();
        tokio::spawn(async move {
            // Dropped, never sent.
            drop(closed.await);
            let there = stdin.wait_for(|stdin| stdin.run == 1).await.is_ok();
            let Some(exec) = exec.upgrade().filter(|_| there) else { return };
            exec.stdin.send_replace(StdinState::closed(1));
            if let Err(error) = engine.shim.order(Request::CloseStdin(exec.target())).await {
                tracing::debug!("closing standard input of exec {}: {error}", exec.id);
            }
        });
        close
    }

    fn worded(&self, error: ShimError) -> EngineError {
        if let ShimError::Refused(Refusal::Program { errno, step }) = &error {
            let program = self.body.cmd.as_ref().and_then(|cmd| cmd.first().cloned());
            let text = program_error(*errno, &plain(step), &program.unwrap_or_default());
            let text = text.replacen("create failed", "exec failed: exec failed", 1);
            return EngineError::bad(format!("{text}: unknown"));
        }
        let gone = matches!(
            error,
            ShimError::Refused(Refusal::WrongPhase { .. } | Refusal::NotFound { .. })
        );
        if gone {
            EngineError::conflict(format!("container {} is not running", self.container.id))
        } else {
            error.into()
        }
    }

    /// The shim says that it ended.
    pub(crate) fn heard_exit(self: &Arc<Self>, engine: &Arc<Inner>, status: ExitStatus) {
        let (exec, engine) = (Arc::clone(self), Arc::clone(engine));
        tokio::spawn(async move { exec.ended(&engine, status).await });
    }

    async fn ended(self: &Arc<Self>, engine: &Arc<Inner>, status: ExitStatus) {
        let copier = match &mut *self.phase() {
            Phase::Running { copier, .. } => copier.take(),
            Phase::New | Phase::Starting | Phase::Ended { .. } => None,
        };
        // None: told twice, or between the shim's answer and our taking note of it.
        let Some(copier) = copier else {
            self.ended_early(engine, status);
            return;
        };
        copier.finish().await;
        let code = i64::from(status.code);
        *self.phase() = Phase::Ended { code };
        self.stdin.send_replace(StdinState::closed(1));
        // After the code is there: it is the next thing that clients ask for.
        self.hub.end();
        self.emit(engine, "exec_die", &[("exitCode", code.to_string())]);
        if let Err(error) = engine.shim.order(Request::Release(self.target())).await {
            tracing::warn!("releasing exec {}: {error}", self.id);
        }
    }

    /// The news of its end overtook that of its start.
    fn ended_early(self: &Arc<Self>, engine: &Arc<Inner>, status: ExitStatus) {
        if !matches!(&*self.phase(), Phase::Starting) {
            return;
        }
        let (exec, engine) = (Arc::clone(self), Arc::clone(engine));
        let mut stdin = self.stdin.subscribe();
        tokio::spawn(async move {
            // Set when it is taken note of.
            if stdin.wait_for(|stdin| stdin.run == 1).await.is_ok() {
                Box::pin(exec.ended(&engine, status)).await;
            }
        });
    }

    /// `POST /exec/{id}/resize`
    pub(crate) fn resize(&self, rows: u16, columns: u16) -> Result<()> {
        match &*self.phase() {
            Phase::Running { master: Some(master), .. } => set_size(master, rows, columns),
            Phase::Running { master: None, .. } => {
                Err(EngineError::bad(format!("exec {} has no terminal", self.id)))
            }
            Phase::New | Phase::Starting | Phase::Ended { .. } => {
                Err(EngineError::conflict(format!("exec process {} is not running", self.id)))
            }
        }
    }

    /// `GET /exec/{id}/json`
    pub(crate) fn inspect(&self) -> ExecInspect {
        let (running, exit_code, pid) = match &*self.phase() {
            Phase::New => (false, None, 0),
            Phase::Starting => (true, None, 0),
            Phase::Running { pid, .. } => (true, None, *pid),
            Phase::Ended { code } => (false, Some(*code), 0),
        };
        let mut words = self.body.cmd.iter().flat_map(|cmd| cmd.iter().cloned());
        ExecInspect {
            id: self.id.to_string(),
            running,
            exit_code,
            process_config: ExecProcess {
                tty: self.body.tty,
                entrypoint: words.next().unwrap_or_default(),
                arguments: words.collect(),
                privileged: Some(self.body.privileged),
                user: self.body.user.clone(),
            },
            open_stdin: self.body.attach_stdin,
            open_stderr: self.body.attach_stderr,
            open_stdout: self.body.attach_stdout,
            can_remove: exit_code.is_some(),
            container_id: self.container.id.to_string(),
            detach_keys: self.body.detach_keys.clone(),
            pid: i64::from(pid),
        }
    }
}

/// An exec that was started before we were: read its output, so that it can go on; when it ends,
/// [`Inner::heard_exit`] releases it.
pub(crate) async fn drain_stranger(engine: &Arc<Inner>, target: Target) {
    let created = match engine.shim.process(Request::Adopt(target), Vec::new()).await {
        Ok(created) => created,
        Err(error) => {
            tracing::debug!("taking up an exec: {error}");
            return;
        }
    };
    let copier = streams(created.stdio).and_then(|(sources, ..)| {
        Copier::start(engine.log_runtime(), sources, Arc::default(), None)
    });
    match copier {
        Ok(copier) => copier.until_end().await,
        Err(error) => tracing::warn!("taking up an exec: {error}"),
    }
    // If it has ended already, nobody tells again.
    engine.shim.order(Request::Release(target)).await.unwrap_or_default();
}

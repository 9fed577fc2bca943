//! Attach and logs.

use super::{Container, Phase};
use crate::engine::Inner;
use crate::error::{EngineError, Result};
use crate::logs::LogReader;
use crate::options::{AttachOptions, LogsOptions};
use crate::stream::{Attached, Input, Output};
use bulkhead_proto::Request;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use tokio::sync::oneshot;

impl Container {
    /// `POST /containers/{id}/attach`
    pub(crate) async fn attach(
        self: &Arc<Self>,
        engine: &Arc<Inner>,
        options: AttachOptions,
    ) -> Result<Attached> {
        let config = self.definition();
        let config = &config.record.config;
        // So that what is attached to is this run or the next, and not something in between.
        let phase = self.phase.lock().await;
        let run = self.run.load(Ordering::Acquire);
        let run = match &*phase {
            Phase::Running(_) => run,
            Phase::Idle => run + 1,
            Phase::Paused(_) => {
                return Err(EngineError::conflict(format!(
                    "container {} is paused, unpause the container before attach",
                    self.id
                )));
            }
            Phase::BackOff(_) => {
                return Err(EngineError::conflict(format!(
                    "container {} is restarting, wait until the container is running",
                    self.id
                )));
            }
            Phase::Gone => return Err(self.gone()),
        };
        let live = options.stream.then(|| self.hub.subscribe(options.stdout, options.stderr));
        let log = if options.logs { Some(self.read_log(&past(options))?) } else { None };
        let input = if options.stdin && options.stream && config.open_stdin {
            let close = (config.stdin_once && !config.tty).then(|| self.close_with(engine, run));
            Some(Input::new(self.stdin.subscribe(), run, close))
        } else {
            None
        };
        drop(phase);
        self.emit(engine, "attach", &[]);
        Ok(Attached { terminal: config.tty, output: Output::new(log, live), input })
    }

    /// `GET /containers/{id}/logs`
    pub(crate) fn logs(self: &Arc<Self>, options: LogsOptions) -> Result<Attached> {
        if !options.stdout && !options.stderr {
            return Err(EngineError::bad("Bad parameters: you must choose at least one stream"));
        }
        let log = self.read_log(&options)?;
        let terminal = self.definition().record.config.tty;
        Ok(Attached { terminal, output: Output::new(Some(log), None), input: None })
    }

    fn read_log(&self, options: &LogsOptions) -> Result<LogReader> {
        let Some(shelf) = &self.shelf else {
            return Err(EngineError::unsupported(
                "configured logging driver does not support reading",
            ));
        };
        LogReader::open(Arc::clone(shelf), *options)
            .map_err(|error| EngineError::internal("opening the log").because(error))
    }

    /// What to drop to close the standard input of this run.
    fn close_with(self: &Arc<Self>, engine: &Arc<Inner>, run: u64) -> oneshot::Sender<()> {
        let (close, closed) = oneshot::channel::<()>();
        let (container, engine) = (Arc::downgrade(self), Arc::clone(engine));
        let mut stdin = self.stdin.subscribe();
        tokio::spawn(async move {
            // Dropped, never sent.
            drop(closed.await);
            // Input may end before the container is started.
            let there = match stdin.wait_for(|stdin| stdin.run >= run).await {
                Ok(now) => now.run == run && now.fd.is_some(),
                Err(_) => false,
            };
            let Some(container) = container.upgrade().filter(|_| there) else { return };
            let request = Request::CloseStdin(container.target());
            if let Err(error) = engine.shim.order(request).await {
                tracing::debug!("closing standard input of {}: {error}", container.id);
            }
            container.stdin.send_if_modified(|stdin| {
                let open = stdin.run == run && stdin.fd.is_some();
                if open {
                    stdin.fd = None;
                }
                open
            });
        });
        close
    }
}

/// Attach with `logs=1`: everything up to now.
fn past(options: AttachOptions) -> LogsOptions {
    LogsOptions { stdout: options.stdout, stderr: options.stderr, ..LogsOptions::default() }
}

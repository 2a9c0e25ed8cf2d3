//! Keeping one service running: start, readiness, watchdog, restart with back-off, orderly stop.

use std::os::fd::{AsFd as _, OwnedFd};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use anyhow::Context as _;
use rustix::process::{Pid, Signal, kill_process, kill_process_group};
use tokio::net::UnixDatagram;
use tokio::process::Child;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout};

use super::executor::{Orders, start};
use super::log::Log;
use super::plan::ServicePlan;
use super::table::{State, Table};

/// A service that ran this long is no longer failing: its back-off starts anew.
const HEALTHY_AFTER: Duration = Duration::from_secs(30);

/// Everything needed to run a service again and again.
pub struct Supervised {
    /// What its unit says.
    pub plan: ServicePlan,
    /// What its child is told.
    pub orders: Orders,
    /// Its sockets.
    pub sockets: Vec<OwnedFd>,
    /// Where it says that it is ready and alive.
    pub notify: UnixDatagram,
}

/// How one run of a service ended.
enum End {
    Exited(ExitStatus),
    NotReady,
    Silent,
    Stopped,
}

impl Supervised {
    /// Runs the service until `stop` becomes true.
    pub async fn run(self, table: Table, log: Log, mut stop: watch::Receiver<bool>) {
        let name = self.plan.name.as_str();
        let mut pause = self.plan.restart.first;
        loop {
            let started = Instant::now();
            table.set(name, State::Starting, None);
            let end = match self.once(&table, &log, &mut stop).await {
                Ok(end) => end,
                Err(error) => {
                    log.line(name, &format!("not started: {error:#}"));
                    End::NotReady
                }
            };
            let (what, again) = match end {
                End::Stopped => {
                    table.set(name, State::Stopped, None);
                    return;
                }
                End::Exited(status) if status.success() => ("ended".to_owned(), self.plan.restart.on_success),
                End::Exited(status) => (format!("failed: {status}"), self.plan.restart.on_failure),
                End::NotReady => ("did not become ready".to_owned(), self.plan.restart.on_failure),
                End::Silent => (
                    "did not answer its watchdog".to_owned(),
                    self.plan.restart.on_failure,
                ),
            };
            if started.elapsed() > HEALTHY_AFTER {
                pause = self.plan.restart.first;
            }
            if !again {
                log.notice(name, &format!("{what}; its unit does not ask for a restart"));
                table.set(name, State::Failed, None);
                return;
            }
            log.notice(
                name,
                &format!("{what}; it is started again in {} ms", pause.as_millis()),
            );
            table.failed(name);
            tokio::select! {
                () = sleep(pause) => {}
                _ = stop.wait_for(|stop| *stop) => {
                    table.set(name, State::Stopped, None);
                    return;
                }
            }
            pause = (pause * 2).min(self.plan.restart.longest);
        }
    }

    /// One run, from start to end.
    async fn once(&self, table: &Table, log: &Log, stop: &mut watch::Receiver<bool>) -> anyhow::Result<End> {
        self.drain_notifications();
        let sockets: Vec<_> = self.sockets.iter().map(std::os::fd::AsFd::as_fd).collect();
        let mut child = start(&self.orders, &sockets, Stdio::null(), Stdio::piped())?;
        let pid = child
            .id()
            .and_then(|id| i32::try_from(id).ok())
            .and_then(Pid::from_raw)
            .context("no process id")?;
        if let Some(stderr) = child.stderr.take() {
            tokio::task::spawn_local(log.clone().follow(self.plan.name.clone(), stderr));
        }
        table.set(&self.plan.name, State::Starting, Some(pid));
        let end = self.watch(&mut child, pid, table, stop).await?;
        // Whatever the service started and left behind goes with it: its session is its process group.
        let _ = kill_process_group(pid, Signal::KILL);
        Ok(end)
    }

    async fn watch(
        &self,
        child: &mut Child,
        pid: Pid,
        table: &Table,
        stop: &mut watch::Receiver<bool>,
    ) -> anyhow::Result<End> {
        let mut ready = false;
        let mut alive_until = Instant::now() + self.plan.start_within;
        let mut message = [0; 512];
        loop {
            tokio::select! {
                status = child.wait() => return Ok(End::Exited(status.context("wait for the child")?)),
                received = self.notify.recv(&mut message) => {
                    let length = received.context("hear from the child")?;
                    let text = String::from_utf8_lossy(message.get(..length).unwrap_or_default());
                    for line in text.lines() {
                        if line == "READY=1" {
                            ready = true;
                            table.set(&self.plan.name, State::Running, Some(pid));
                        }
                    }
                    if ready {
                        alive_until = Instant::now() + self.plan.watchdog.unwrap_or(Duration::from_hours(24));
                    }
                }
                () = tokio::time::sleep_until(alive_until), if !ready || self.plan.watchdog.is_some() => {
                    let _ = kill_process(pid, Signal::KILL);
                    let _ = child.wait().await;
                    return Ok(if ready { End::Silent } else { End::NotReady });
                }
                _ = stop.wait_for(|stop| *stop) => {
                    table.set(&self.plan.name, State::Stopping, Some(pid));
                    let _ = kill_process(pid, Signal::TERM);
                    if timeout(self.plan.stop_within, child.wait()).await.is_err() {
                        let _ = kill_process(pid, Signal::KILL);
                        let _ = child.wait().await;
                    }
                    return Ok(End::Stopped);
                }
            }
        }
    }

    /// Forgets what an earlier run said.
    fn drain_notifications(&self) {
        let mut message = [0; 512];
        while rustix::net::recv(
            self.notify.as_fd(),
            &mut message[..],
            rustix::net::RecvFlags::DONTWAIT,
        )
        .is_ok()
        {}
    }
}

//! Processes that end with whoever started them.

use std::ffi::{OsStr, OsString};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use rustix::process::{self, Pid, WaitId, WaitIdOptions};
use tokio::sync::watch;
use tokio::time::timeout;

use crate::guard::Guard;
use crate::output::{Line, Lines, Output, Source};

pub use rustix::process::Signal;

/// Lines shown when a process did not do what was expected of it.
const TAIL: usize = 40;

/// A program in a process group of its own; dropping it kills the group, and so does the death of this process.
#[derive(Debug)]
pub struct Process {
    name: String,
    pid: Pid,
    state: Arc<State>,
    exits: watch::Receiver<Option<ExitStatus>>,
    output: Output,
    guard: Option<Guard>,
}

impl Process {
    /// A program to start: a path, or a name that is looked up on `PATH`.
    pub fn builder(program: impl AsRef<OsStr>) -> ProcessBuilder {
        let program = program.as_ref();
        ProcessBuilder {
            name: Path::new(program).file_name().unwrap_or(program).display().to_string(),
            command: Command::new(program),
            last_signal: Signal::KILL,
            folder: None,
        }
    }

    /// The process id, which is also the id of its group.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.pid.as_raw_nonzero().get().unsigned_abs()
    }

    /// Sends `signal` to the process. Nothing happens if it has ended.
    pub fn signal(&self, signal: Signal) {
        self.send(signal, process::kill_process);
    }

    /// Sends `signal` to the process and to all that it started in its group. Nothing happens if it has ended.
    pub fn signal_group(&self, signal: Signal) {
        self.send(signal, process::kill_process_group);
    }

    /// `kill -9` to the group, then waits until the process is gone.
    pub async fn kill(&mut self) -> ExitStatus {
        self.signal_group(Signal::KILL);
        self.exited().await
    }

    /// Asks the process to stop: `SIGTERM`.
    pub fn term(&self) {
        self.signal(Signal::TERM);
    }

    /// Freezes the process: `SIGSTOP`.
    pub fn stop(&self) {
        self.signal(Signal::STOP);
    }

    /// Lets a frozen process go on: `SIGCONT`.
    pub fn cont(&self) {
        self.signal(Signal::CONT);
    }

    /// `SIGTERM`, and `SIGKILL` to the group if the process is still there after `grace`.
    pub async fn shut_down(&mut self, grace: Duration) -> ExitStatus {
        self.term();
        match timeout(grace, self.exited()).await {
            Ok(status) => status,
            Err(_) => self.kill().await,
        }
    }

    /// How the process ended, if it has.
    #[must_use]
    pub fn try_exited(&self) -> Option<ExitStatus> {
        *self.state.lock()
    }

    /// Waits until the process has ended. Cancel-safe, and answers again when asked again.
    pub async fn exited(&self) -> ExitStatus {
        let mut exits = self.exits.clone();
        match exits.wait_for(Option::is_some).await.as_deref() {
            Ok(Some(status)) => *status,
            _ => unreachable!("the thread that waits for the process says how it ended before it lets go"),
        }
    }

    /// All lines of both streams, from the oldest kept (the last 2,000 are).
    #[must_use]
    pub fn lines(&self) -> Lines {
        self.output.lines()
    }

    /// The last lines that the process printed, for the message of a failure.
    #[must_use]
    pub fn tail(&self) -> String {
        self.output.tail(TAIL)
    }

    /// The first line that `wanted` accepts, printed already or within `deadline`.
    ///
    /// # Errors
    /// When the time is over or the streams end without such a line; the message shows what was printed last.
    pub async fn wait_for_line(&self, deadline: Duration, wanted: impl Fn(&str) -> bool) -> Result<Line> {
        let mut lines = self.lines();
        let search = async {
            while let Some(line) = lines.next().await {
                if wanted(&line.text) {
                    return Some(line);
                }
            }
            None
        };
        match timeout(deadline, search).await {
            Ok(Some(line)) => Ok(line),
            Ok(None) => bail!("{} ended without the expected line; it printed:\n{}", self.name, self.tail()),
            Err(_) => {
                bail!("{} did not print the expected line within {deadline:?}; it printed:\n{}", self.name, self.tail())
            }
        }
    }

    /// Waits for the end of the process without a runtime; `None` if `limit` passed first.
    pub(crate) fn wait(&self, limit: Duration) -> Option<ExitStatus> {
        let status = self.state.lock();
        let ended = self.state.ended.wait_timeout_while(status, limit, |status| status.is_none());
        *ended.unwrap_or_else(PoisonError::into_inner).0
    }

    fn send(&self, signal: Signal, to: fn(Pid, Signal) -> rustix::io::Result<()>) {
        // Under the lock the process is not reaped, so the number still is its own.
        if self.state.lock().is_none() {
            let _ = to(self.pid, signal); // fails only for a process that is a zombie by now
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.signal_group(Signal::KILL);
        self.wait(Duration::from_secs(5));
        self.guard = None;
    }
}

/// How a [`Process`] is started.
#[derive(Debug)]
#[must_use]
pub struct ProcessBuilder {
    name: String,
    command: Command,
    last_signal: Signal,
    folder: Option<PathBuf>,
}

impl ProcessBuilder {
    /// Adds one argument.
    pub fn arg(mut self, arg: impl AsRef<OsStr>) -> Self {
        self.command.arg(arg);
        self
    }

    /// Adds arguments.
    pub fn args(mut self, args: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Self {
        self.command.args(args);
        self
    }

    /// Sets an environment variable; the others are inherited.
    pub fn env(mut self, name: impl AsRef<OsStr>, value: impl Into<OsString>) -> Self {
        self.command.env(name, value.into());
        self
    }

    /// Removes an environment variable.
    pub fn env_remove(mut self, name: impl AsRef<OsStr>) -> Self {
        self.command.env_remove(name);
        self
    }

    /// Sets the folder the program starts in.
    pub fn current_dir(mut self, dir: impl AsRef<Path>) -> Self {
        self.command.current_dir(dir);
        self
    }

    /// Runs the program as another user, which only root may ask for.
    pub(crate) fn user(mut self, user: Option<(u32, u32)>) -> Self {
        if let Some((uid, gid)) = user {
            self.command.uid(uid).gid(gid);
        }
        self
    }

    /// What the guard sends if this process dies (default `SIGKILL`), and the folder it then removes.
    pub(crate) fn left_behind(mut self, signal: Signal, folder: Option<&Path>) -> Self {
        self.last_signal = signal;
        self.folder = folder.map(Path::to_owned);
        self
    }

    /// Starts the program.
    ///
    /// # Errors
    /// When it cannot be started; the message names it.
    pub fn spawn(mut self) -> Result<Process> {
        let mut child = self
            .command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .spawn()
            .with_context(|| format!("cannot start {}", self.name))?;
        let output = Output::new();
        if let Some(pipe) = child.stdout.take() {
            output.read(Source::Stdout, pipe);
        }
        if let Some(pipe) = child.stderr.take() {
            output.read(Source::Stderr, pipe);
        }
        let pid = Pid::from_child(&child);
        let guard = Guard::over(child.id(), self.last_signal, self.folder.as_deref());
        let (sender, exits) = watch::channel(None);
        let state = Arc::new(State::default());
        thread::spawn({
            let state = state.clone();
            move || reap(pid, child, &state, &sender)
        });
        let mut process = Process { name: self.name, pid, state, exits, output, guard: None };
        process.guard = Some(guard?); // on error the process is dropped, which ends it
        Ok(process)
    }
}

#[derive(Debug, Default)]
struct State {
    status: Mutex<Option<ExitStatus>>,
    ended: Condvar,
}

impl State {
    fn lock(&self) -> MutexGuard<'_, Option<ExitStatus>> {
        self.status.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Waits until the child has ended, and only then takes it from the kernel's table, under the lock of its signals:
/// so a signal never meets a process that got the same number.
fn reap(pid: Pid, mut child: Child, state: &State, exits: &watch::Sender<Option<ExitStatus>>) {
    while let Err(rustix::io::Errno::INTR) =
        process::waitid(WaitId::Pid(pid), WaitIdOptions::EXITED | WaitIdOptions::NOWAIT)
    {}
    let mut status = state.lock();
    // What it started in its group is its own to end; what is left of it now is nobody's.
    let _ = process::kill_process_group(pid, Signal::KILL);
    let ended = child.wait().expect("a child of this process that nobody else waits for");
    *status = Some(ended);
    state.ended.notify_all();
    exits.send_replace(Some(ended));
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::Process;

    const SOON: Duration = Duration::from_secs(10);

    fn shell(script: &str) -> Process {
        Process::builder("sh").args(["-c", script]).spawn().expect("sh starts")
    }

    #[tokio::test]
    async fn a_line_is_found_whether_it_was_printed_before_or_after() {
        let process = shell("echo one; echo two >&2; exec sleep 60");
        for wanted in ["two", "one", "two"] {
            let line = process.wait_for_line(SOON, |line| line == wanted).await.unwrap();
            assert_eq!(line.text, wanted);
        }
    }

    #[tokio::test]
    async fn a_process_that_ends_early_is_reported_with_what_it_said() {
        let process = shell("echo 'no such file' >&2; exit 3");
        let error = process.wait_for_line(SOON, |line| line == "ready").await.unwrap_err();
        assert!(error.to_string().contains("no such file"), "{error}");
        assert_eq!(process.exited().await.code(), Some(3));
    }

    #[tokio::test]
    async fn a_process_that_ignores_sigterm_is_killed_after_the_grace() {
        let mut process = shell("trap '' TERM; echo ready; while :; do sleep 0.05; done");
        process.wait_for_line(SOON, |line| line == "ready").await.unwrap();
        let status = process.shut_down(Duration::from_millis(200)).await;
        assert_eq!(status.code(), None);
    }

    #[tokio::test]
    async fn dropping_a_process_ends_what_it_started_too() {
        let process = shell("sleep 60 & echo $!; wait");
        let line = process.wait_for_line(SOON, |_| true).await.unwrap();
        let mut lines = process.lines();
        drop(process);
        lines.next().await.expect("the line above");
        assert_eq!(lines.next().await, None, "{} still holds the pipe", line.text);
    }
}

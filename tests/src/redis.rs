//! A private Redis.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};

use crate::clock;
use crate::disk::SmallDisk;
use crate::port::free_port;
use crate::process::Process;
use crate::programs::on_path;

/// A server that does not answer by then will not: loading the data of a test takes milliseconds.
const START: Duration = Duration::from_secs(20);
/// Other processes may take the port between its choice and its use; three in a row do not.
const TRIES: u32 = 3;

/// A `redis-server` or `valkey-server` on 127.0.0.1 that nobody else uses; dropping it ends it.
#[derive(Debug)]
pub struct Redis {
    process: Process,
    options: RedisBuilder,
    port: u16,
    dir: PathBuf,
    _own_dir: Option<TempDir>, // after `process`, so that the server is gone when its folder is removed
}

impl Redis {
    /// A server without persistence, on a free port, in a folder of its own.
    ///
    /// # Errors
    /// When no server program is installed (the message says how to install one) or it does not come up.
    pub async fn start() -> Result<Self> {
        Self::builder().start().await
    }

    /// A server with other settings.
    pub fn builder() -> RedisBuilder {
        RedisBuilder::default()
    }

    /// `redis://127.0.0.1:<port>`.
    #[must_use]
    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// The port it listens on, the same after a restart.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The process id of the running server.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.process.pid()
    }

    /// The folder of its files.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The process itself, for its output and for other signals.
    #[must_use]
    pub fn process(&self) -> &Process {
        &self.process
    }

    /// `kill -9`; returns when the server is gone. [`restart`](Self::restart) brings it back.
    pub async fn kill(&mut self) {
        self.process.kill().await;
    }

    /// Freezes the server: `SIGSTOP`.
    pub fn stop(&self) {
        self.process.stop();
    }

    /// Lets a frozen server go on: `SIGCONT`.
    pub fn cont(&self) {
        self.process.cont();
    }

    /// Leaves the server no byte on its [small disk](RedisBuilder::disk).
    ///
    /// # Errors
    /// When the server has none, or it can't be filled.
    pub fn fill_disk(&self) -> Result<()> {
        self.small_disk()?.fill(self.pid(), &self.dir)
    }

    /// Gives the server the space on its small disk back.
    ///
    /// # Errors
    /// When the server has none, or it can't be freed.
    pub fn free_disk(&self) -> Result<()> {
        self.small_disk()?.free(self.pid(), &self.dir)
    }

    fn small_disk(&self) -> Result<SmallDisk> {
        self.options.disk.context("this server was started without a small disk")
    }

    /// Sets the server's wall clock this many seconds ahead of the machine's, or behind it below 0, at once. It was started
    /// with [`own_clock`](RedisBuilder::own_clock).
    ///
    /// # Errors
    /// When the server has no clock of its own.
    pub fn set_clock(&self, seconds_ahead: i64) -> Result<()> {
        clock::set(&self.dir, seconds_ahead)
    }

    /// Starts the server anew on its port and folder, after `kill -9` if it still runs.
    ///
    /// # Errors
    /// When it does not come up again.
    pub async fn restart(&mut self) -> Result<()> {
        self.process.kill().await;
        self.process = self.options.spawn(self.port, &self.dir)?;
        ready(&self.process, self.port).await
    }
}

/// The settings of a [`Redis`].
#[derive(Clone, Debug, Default)]
#[must_use]
pub struct RedisBuilder {
    aof: bool,
    dir: Option<PathBuf>,
    port: Option<u16>,
    args: Vec<OsString>,
    disk: Option<SmallDisk>,
    own_clock: bool,
}

impl RedisBuilder {
    /// Whether writes go to an append-only file (default `false`), synced every second.
    pub fn aof(mut self, aof: bool) -> Self {
        self.aof = aof;
        self
    }

    /// The folder of its files (default: a temporary one that is removed at the end). It must exist.
    pub fn dir(mut self, dir: impl Into<PathBuf>) -> Self {
        self.dir = Some(dir.into());
        self
    }

    /// The port to listen on (default: a free one).
    pub fn port(mut self, port: u16) -> Self {
        self.port = Some(port);
        self
    }

    /// More arguments, such as `--maxmemory 10mb`; they win over the ones set here.
    pub fn args(mut self, args: impl IntoIterator<Item = impl Into<OsString>>) -> Self {
        self.args.extend(args.into_iter().map(Into::into));
        self
    }

    /// Puts the folder on a disk that [`Redis::fill_disk`] fills.
    pub fn disk(mut self, disk: SmallDisk) -> Self {
        self.disk = Some(disk);
        self
    }

    /// Gives the server a wall clock that [`Redis::set_clock`] sets.
    pub fn own_clock(mut self) -> Self {
        self.own_clock = true;
        self
    }

    /// Starts the server and waits until it answers.
    ///
    /// # Errors
    /// When no server program is installed (the message says how to install one) or it does not come up.
    pub async fn start(self) -> Result<Redis> {
        let own_dir = match self.dir {
            Some(_) => None,
            None => Some(tempfile::Builder::new().prefix("millstream-redis-").tempdir()?),
        };
        let dir = self.dir.clone().or_else(|| own_dir.as_ref().map(|dir| dir.path().to_owned()));
        let dir = dir.context("a server has a folder, its own or a given one")?;
        if self.own_clock {
            if self.disk.is_some() {
                bail!("the clock of a server is in its folder, which a small disk would hide");
            }
            clock::install(&dir)?;
        }
        let mut tries = 0;
        loop {
            tries += 1;
            let port = match self.port {
                Some(port) => port,
                None => free_port()?,
            };
            let process = self.spawn(port, &dir)?;
            match ready(&process, port).await {
                Ok(()) => {
                    return Ok(Redis { process, options: self, port, dir, _own_dir: own_dir });
                }
                Err(error) if tries == TRIES || self.port.is_some() => return Err(error),
                Err(_) => {}
            }
        }
    }

    fn spawn(&self, port: u16, dir: &Path) -> Result<Process> {
        let program = on_path(&["redis-server", "valkey-server"]).context(
            "neither redis-server nor valkey-server is on PATH: install one with `apt-get install redis-server`, \
             `dnf install valkey` or `brew install redis`",
        )?;
        let temporary = self.dir.is_none().then_some(dir);
        let mut process = match self.disk {
            Some(disk) => disk.command(&program, dir)?,
            None => Process::builder(program),
        };
        if self.own_clock {
            process = clock::wear(process, dir);
        }
        process
            .args(["--bind", "127.0.0.1", "--port"])
            .arg(port.to_string())
            .arg("--dir")
            .arg(dir)
            .args(["--save", "", "--appendonly", if self.aof { "yes" } else { "no" }])
            .args(&self.args)
            .left_behind(crate::process::Signal::KILL, temporary)
            .spawn()
    }
}

/// Waits until the server on `port` answers and is `process`.
async fn ready(process: &Process, port: u16) -> Result<()> {
    let answers = async {
        // A server that listens but still loads its data answers `-LOADING`. There is no event to wait for: a
        // connection is refused at once until the server listens.
        while !answers(process.pid(), port).await {
            sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::select! {
        status = process.exited() => bail!("the server ended at once ({status}):\n{}", process.tail()),
        answered = timeout(START, answers) => answered
            .with_context(|| format!("the server on port {port} does not answer:\n{}", process.tail())),
    }
}

/// Whether the server on `port` replies to PING, and is the process `pid`: another one may have taken the port.
async fn answers(pid: u32, port: u16) -> bool {
    async fn ask(pid: u32, port: u16) -> std::io::Result<bool> {
        let mut server = TcpStream::connect(("127.0.0.1", port)).await?;
        let pong = say(&mut server, "PING", |reply| reply.ends_with("\r\n")).await?;
        if pong.starts_with("-NOAUTH") {
            return Ok(true); // started with a password: it is up, and says no more
        }
        if !pong.starts_with("+PONG") {
            return Ok(false);
        }
        let own = format!("process_id:{pid}\r\n");
        // The reply is one bulk string, `$<length>\r\n<text>\r\n`, and no text of INFO has an empty last line.
        let info = say(&mut server, "INFO server", |reply| reply.ends_with("\r\n\r\n")).await?;
        Ok(info.contains(&own))
    }
    let answer = timeout(Duration::from_secs(2), ask(pid, port)).await;
    matches!(answer, Ok(Ok(true)))
}

/// Sends an inline command and reads until `complete` accepts the reply.
async fn say(server: &mut TcpStream, command: &str, complete: impl Fn(&str) -> bool) -> std::io::Result<String> {
    server.write_all(format!("{command}\r\n").as_bytes()).await?;
    let mut reply = Vec::new();
    loop {
        if server.read_buf(&mut reply).await? == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        let text = String::from_utf8_lossy(&reply);
        if complete(&text) || text.starts_with('-') {
            return Ok(text.into_owned());
        }
    }
}

//! A private Postgres.

use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;
use std::{env, fs};

use anyhow::{Context, Result, bail};
use tempfile::TempDir;
use tokio::process::Command;

use crate::namespace::unique;
use crate::port::free_port;
use crate::process::{Process, Signal};
use crate::programs;

/// The first start on a busy machine; it takes a second on a calm one.
const START: Duration = Duration::from_secs(60);
/// `SIGQUIT` makes Postgres end its backends at once.
const STOP: Duration = Duration::from_secs(5);
/// Other processes may take the port between its choice and its use; three in a row do not.
const TRIES: u32 = 3;

/// Two programs that only a server installation has, and one that comes with the client.
const PROGRAMS: [&str; 3] = ["initdb", "postgres", "createdb"];

/// A `postgres` on 127.0.0.1 that nobody else uses: no password, no sync to disk. Dropping it ends it.
#[derive(Debug)]
pub struct Postgres {
    process: Process,
    port: u16,
    settings: Vec<String>,
    dir: TempDir, // after `process`, so that the server is gone when its folder is removed
}

impl Postgres {
    /// A new cluster on a free port, in a temporary folder. As root the server runs as the user `postgres`.
    ///
    /// # Errors
    /// When Postgres is not installed (the message says how to install it) or does not come up.
    pub async fn start() -> Result<Self> {
        Self::start_with(&[]).await
    }

    /// The same with settings of the form `name=value`, as in `postgresql.conf`.
    ///
    /// # Errors
    /// Those of [`Postgres::start`].
    pub async fn start_with(settings: &[&str]) -> Result<Self> {
        let settings: Vec<String> = settings.iter().map(|setting| (*setting).to_owned()).collect();
        let programs = programs()?;
        let user = server_user().await?;
        // Always among the system's temporary files: another user's server could not enter a folder in a private home.
        let dir = tempfile::Builder::new().prefix("millstream-postgres-").tempdir()?;
        if let Some((uid, gid)) = user {
            chown(dir.path(), Some(uid), Some(gid)).context("cannot give the cluster's folder away")?;
        }
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o700))?;
        init(&programs, &dir.path().join("data"), user).await?;

        let mut tries = 0;
        loop {
            tries += 1;
            let port = free_port()?;
            let process = spawn(&programs, dir.path(), port, user, &settings)?;
            match ready(&process).await {
                Ok(()) => return Ok(Self { process, port, settings, dir }),
                Err(error) if tries == TRIES => return Err(error),
                Err(_) => {}
            }
        }
    }

    /// `postgres://postgres@127.0.0.1:<port>/postgres`.
    #[must_use]
    pub fn url(&self) -> String {
        format!("postgres://postgres@127.0.0.1:{}/postgres", self.port)
    }

    /// The process id of the server.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.process.pid()
    }

    /// The folder of the cluster, which is a temporary one.
    #[must_use]
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// The process itself, for its output and for other signals.
    #[must_use]
    pub fn process(&self) -> &Process {
        &self.process
    }

    /// Ends the server and all its connections in order, which keeps what was committed in spite of the missing syncs, and
    /// starts it anew on its port and folder; one that has ended is only started.
    ///
    /// # Errors
    /// When it does not come up again.
    pub async fn restart(&mut self) -> Result<()> {
        self.end().await;
        self.process = spawn(&programs()?, self.dir.path(), self.port, server_user().await?, &self.settings)?;
        ready(&self.process).await
    }

    /// Ends the server and all its connections in order; [`Postgres::restart`] starts it anew.
    pub async fn end(&self) {
        self.process.signal(Signal::INT);
        self.process.exited().await;
    }

    /// Ends the server at once, as a crash does; when it is started anew it recovers.
    pub async fn crash(&self) {
        self.process.signal(Signal::QUIT);
        self.process.exited().await;
    }

    /// Stops the server and its backends where they are: connections stay open and nobody answers, until
    /// [`Postgres::thaw`].
    ///
    /// # Errors
    /// When its processes can't be listed, as on a system without `pgrep`.
    pub async fn freeze(&self) -> Result<()> {
        self.process.stop(); // first, so that no new backend is missed
        signal_all("STOP", &self.backends().await?).await
    }

    /// Lets a frozen server go on.
    ///
    /// # Errors
    /// Those of [`Postgres::freeze`].
    pub async fn thaw(&self) -> Result<()> {
        signal_all("CONT", &self.backends().await?).await?;
        self.process.cont();
        Ok(())
    }

    async fn backends(&self) -> Result<Vec<String>> {
        let listed = Command::new("pgrep").args(["-P", &self.pid().to_string()]).output().await;
        let listed = listed.context("cannot list the server's processes by pgrep")?;
        Ok(String::from_utf8_lossy(&listed.stdout).lines().map(str::to_owned).collect())
    }

    /// Creates the empty database `name` and returns its URL.
    ///
    /// # Errors
    /// When the server refuses it, as it does if there is one of that name.
    pub async fn database(&self, name: &str) -> Result<String> {
        create_database(&self.url(), name).await
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        // Its backends are not in its process group: they end in order only if the postmaster tells them.
        self.process.signal(Signal::QUIT);
        self.process.wait(STOP);
    }
}

/// One that has ended meanwhile needs no signal.
async fn signal_all(signal: &str, pids: &[String]) -> Result<()> {
    let mut kill = Command::new("kill");
    kill.args(["-s", signal]).args(pids).stderr(Stdio::null());
    kill.status().await.map(drop).context("cannot start kill")
}

/// Creates an empty database with a new name on the server of `url`, and returns its URL.
///
/// # Errors
/// When the `createdb` program is missing or the server refuses.
pub async fn fresh_database(url: &str) -> Result<String> {
    create_database(url, &unique("test")).await
}

async fn create_database(url: &str, name: &str) -> Result<String> {
    let created = Command::new(programs()?.join("createdb"))
        .arg("--maintenance-db")
        .arg(url)
        .args(["--template", "template0", "--encoding", "UTF8", name])
        .stdin(Stdio::null())
        .output()
        .await
        .context("cannot start createdb")?;
    if !created.status.success() {
        bail!("cannot create the database {name}: {}", String::from_utf8_lossy(&created.stderr).trim());
    }
    with_database(url, name)
}

/// `url` with another database: what stands between the host and the `?`.
fn with_database(url: &str, name: &str) -> Result<String> {
    let (scheme, rest) = url.split_once("://").context("a database URL has the form postgres://host/name")?;
    let (place, parameters) = rest.split_once('?').map_or((rest, None), |(p, q)| (p, Some(q)));
    let host = place.split_once('/').map_or(place, |(host, _)| host);
    let parameters = parameters.map(|q| format!("?{q}")).unwrap_or_default();
    Ok(format!("{scheme}://{host}/{name}{parameters}"))
}

async fn init(programs: &Path, data: &Path, user: Option<(u32, u32)>) -> Result<()> {
    let initdb = Process::builder(programs.join("initdb"))
        .arg("--pgdata")
        .arg(data)
        .args(["--auth", "trust", "--username", "postgres"])
        .args(["--encoding", "UTF8", "--no-locale", "--no-sync"])
        .current_dir("/") // the user may not enter the folder that this process runs in
        .user(user)
        .spawn()?;
    let status = initdb.exited().await;
    if !status.success() {
        bail!("initdb failed ({status}):\n{}", initdb.tail());
    }
    Ok(())
}

fn spawn(programs: &Path, dir: &Path, port: u16, user: Option<(u32, u32)>, settings: &[String]) -> Result<Process> {
    Process::builder(programs.join("postgres"))
        .arg("-D")
        .arg(dir.join("data"))
        .arg("-p")
        .arg(port.to_string())
        .args(["-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories="])
        .args(["-c", "fsync=off", "-c", "synchronous_commit=off", "-c", "full_page_writes=off"])
        .args(["-c", "max_connections=300"]) // many tests at once, each with two pools
        .args(settings.iter().flat_map(|setting| ["-c", setting]))
        .env("LC_ALL", "C") // its messages are read below
        .current_dir("/")
        .user(user)
        .left_behind(Signal::QUIT, Some(dir))
        .spawn()
}

/// The server says when it takes connections; if the port was taken, it ends.
async fn ready(process: &Process) -> Result<()> {
    process.wait_for_line(START, |line| line.contains("database system is ready to accept connections")).await.map(drop)
}

/// The folder of Postgres' programs: on PATH, or where Debian, Fedora and Homebrew put them.
fn programs() -> Result<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let mut places: Vec<PathBuf> = env::split_paths(&path).collect();
    for parent in ["/usr/lib/postgresql", "/usr/local", "/usr", "/opt/homebrew/opt", "/usr/local/opt"] {
        let debian = parent == "/usr/lib/postgresql";
        let versions =
            programs::folders(parent, |name| debian || name.starts_with("pgsql-") || name.starts_with("postgresql"));
        places.extend(versions.into_iter().map(|version| version.join("bin")));
    }
    let complete = |place: &PathBuf| PROGRAMS.iter().all(|program| place.join(program).is_file());
    places.into_iter().find(complete).context(
        "Postgres is not installed: install it with `apt-get install postgresql`, `dnf install postgresql-server` or \
         `brew install postgresql@17`",
    )
}

/// The user and group to run the server as: `None` for oneself. Postgres refuses root.
async fn server_user() -> Result<Option<(u32, u32)>> {
    if !rustix::process::geteuid().is_root() {
        return Ok(None);
    }
    Ok(Some((postgres_id("-u").await?, postgres_id("-g").await?)))
}

async fn postgres_id(which: &str) -> Result<u32> {
    let id = Command::new("id").args([which, "postgres"]).output().await.context("cannot start id")?;
    String::from_utf8_lossy(&id.stdout).trim().parse().context(
        "Postgres does not run as root, and there is no user `postgres` to run it as: create one, or do not be root",
    )
}

#[cfg(test)]
mod tests {
    use super::with_database;

    #[test]
    fn only_the_database_of_a_url_is_replaced() {
        let cases = [
            ("postgres://me:pw@host:5/old", "postgres://me:pw@host:5/new"),
            ("postgresql://host", "postgresql://host/new"),
            ("postgres://host/old?sslmode=disable", "postgres://host/new?sslmode=disable"),
            ("postgres://host?user=me/you", "postgres://host/new?user=me/you"),
        ];
        for (url, expected) in cases {
            assert_eq!(with_database(url, "new").unwrap(), expected);
        }
    }
}

//! The programs of the two examples, on one Redis and in one namespace.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};
use millstream_queue::Client;
use millstream_store::Store;
use millstream_tests::{Process, built, namespace, shared_redis};
use tempfile::TempDir;

/// For what takes milliseconds on a quiet machine.
pub(crate) const SOON: Duration = Duration::from_secs(60);

/// What the processes of one test have in common.
pub(crate) struct Site {
    pub(crate) redis: String,
    pub(crate) namespace: String,
    pub(crate) database: String,
    folder: TempDir,
}

impl Site {
    /// A namespace and folders of its own, on the Redis that tests share.
    pub(crate) async fn new() -> Result<Self> {
        Ok(Self::on(shared_redis().await?))
    }

    /// The same on another Redis.
    pub(crate) fn on(redis: String) -> Self {
        let folder = TempDir::with_prefix("millstream-apps-").expect("a temporary folder can be made");
        let database = format!("sqlite://{}", folder.path().join("history.db").display());
        Self { redis, namespace: namespace(), database, folder }
    }

    pub(crate) async fn client(&self) -> Result<Client> {
        Ok(Client::builder(&self.redis).namespace(&self.namespace).await?)
    }

    /// The folder that gallery and workers share.
    pub(crate) fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// A new folder below the site's.
    pub(crate) fn new_folder(&self, name: &str) -> Result<PathBuf> {
        let folder = self.folder.path().join(name);
        std::fs::create_dir(&folder)?;
        Ok(folder)
    }

    pub(crate) async fn store(&self) -> Result<Store> {
        Ok(Store::connect(&self.database).await?)
    }

    /// A gallery, once it listens, and where it does.
    pub(crate) async fn gallery(&self, signaling: Option<&str>) -> Result<(Process, String)> {
        let mut args = vec!["--listen", "127.0.0.1:0", "--database-url", &self.database];
        args.extend(signaling.into_iter().flat_map(|url| ["--signaling-url", url]));
        let process = self.start("gallery", &args, Some(&self.data()))?;
        let host = self.announced(&process, "listening on http://").await?;
        Ok((process, host))
    }

    /// A worker, once it takes jobs.
    pub(crate) async fn worker(&self) -> Result<Process> {
        let process = self.start("gallery-worker", &["--concurrency", "2"], Some(&self.data()))?;
        process.wait_for_line(SOON, |line| line == "ready").await?;
        Ok(process)
    }

    /// A signalling server, once it listens, and its address for clients.
    pub(crate) async fn signaling(&self) -> Result<(Process, String)> {
        self.signaling_at("127.0.0.1:0").await
    }

    /// The same at a certain address.
    pub(crate) async fn signaling_at(&self, listen: &str) -> Result<(Process, String)> {
        let process = self.start("realtime_signaling", &["--listen", listen], None)?;
        let address = self.announced(&process, "listening on ws://").await?;
        Ok((process, format!("ws://{address}")))
    }

    fn start(&self, program: &str, args: &[&str], data: Option<&Path>) -> Result<Process> {
        let mut builder = Process::builder(built(program)?)
            .args(["--redis-url", &self.redis, "--namespace", &self.namespace])
            .args(args)
            .env("RUST_LOG", "info")
            .env_remove("SIGNALING_URL")
            .env_remove("GALLERY_DATA");
        if let Some(data) = data {
            builder = builder.arg("--data").arg(data);
        }
        builder.spawn()
    }

    async fn announced(&self, process: &Process, before: &str) -> Result<String> {
        let line = process.wait_for_line(SOON, |line| line.starts_with(before)).await?;
        line.text.strip_prefix(before).map(str::to_owned).context("the line begins as it was waited for")
    }
}

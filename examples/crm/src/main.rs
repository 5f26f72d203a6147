//! The whole program in one process: HTTP interface, worker, recorder. `crm import FILE` works off one file.

mod bar;

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context, anyhow};
use clap::{Parser, Subcommand};
use crm::{
    App, ImportContacts, MIGRATIONS, Uploads, ask_for_unfinished, begin, import_contacts,
    web::{Api, router},
};
use millstream_queue::{Client, Job};
use millstream_store::{Recorder, Store};
use millstream_worker::Worker;
use tokio::{
    net::TcpListener,
    signal::unix::{SignalKind, signal},
    task::JoinSet,
    time::timeout,
};
use tokio_util::{io::ReaderStream, sync::CancellationToken};
use tracing_subscriber::EnvFilter;

/// Longer than the worker's own; what is left then are uploads that trickle.
const GRACE: Duration = Duration::from_secs(30);

#[derive(Parser)]
#[command(name = "crm", version, about)]
struct Args {
    /// Where to listen; port 0 takes a free one.
    #[arg(long, default_value = "127.0.0.1:8082")]
    listen: SocketAddr,
    /// The tables: postgres://… or sqlite://….
    #[arg(long, env = "DATABASE_URL", default_value = "sqlite://crm.db", hide_env_values = true)]
    database_url: String,
    /// The Redis that carries the jobs.
    #[arg(long, env = "REDIS_URL", default_value = "redis://127.0.0.1/", hide_env_values = true)]
    redis_url: String,
    /// Prefix of all keys in Redis.
    #[arg(long, env = "MILLSTREAM_NAMESPACE", default_value = "ms")]
    namespace: String,
    /// The folder in which files wait for their import.
    #[arg(long, env = "CRM_UPLOADS", default_value = "crm-uploads")]
    uploads: PathBuf,
    /// Most bytes of a file to import.
    #[arg(long, env = "CRM_LARGEST_FILE", default_value_t = 64 << 20)]
    largest_file: u64,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Subcommand)]
enum Command {
    /// Imports a CSV file with the columns name, email, and maybe phone and company, and shows how far it is.
    Import {
        /// The file.
        file: PathBuf,
    },
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    let usual = if args.command.is_some() { "warn" } else { "info" };
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(usual));
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();

    let uploads = Uploads::new(&args.uploads, args.largest_file)
        .with_context(|| format!("can't use the folder {}; choose another with --uploads", args.uploads.display()))?;
    let store = Store::connect(&args.database_url).await?;
    store.migrator().with(MIGRATIONS).up().await?;
    let client = Client::builder(&args.redis_url).namespace(&args.namespace).await?;
    let recorder = Recorder::new(client.clone(), store.clone()).queues([ImportContacts::QUEUE]);
    recorder.register().await?; // before the first push
    let app = App { store: store.clone(), uploads: uploads.clone() };
    let worker = Worker::new(client.clone(), app).handle(import_contacts);
    let api = Api { store, client, uploads };

    let asked_to_stop = asked_to_stop()?;
    let stop = CancellationToken::new();
    let mut tasks: JoinSet<anyhow::Result<()>> = JoinSet::new();
    let stopped = stop.clone().cancelled_owned();
    tasks.spawn(async move { worker.run_until(stopped).await.context("the worker failed") });
    let stopped = stop.clone().cancelled_owned();
    tasks.spawn(async move { recorder.run_until(stopped).await.context("the recorder failed") });
    let ended = match args.command {
        None => {
            let listener = TcpListener::bind(args.listen)
                .await
                .with_context(|| format!("can't listen on {}; choose another address with --listen", args.listen))?;
            println!("listening on http://{}", listener.local_addr()?);
            tasks.spawn(ask_again(api.clone(), stop.clone()));
            let stopped = stop.clone().cancelled_owned();
            let serving = axum::serve(listener, router(api)).with_graceful_shutdown(stopped);
            tasks.spawn(async move { serving.await.context("the web server failed") });
            tokio::select! {
                Some(ended) = tasks.join_next() => ended?,
                () = asked_to_stop => Ok(()),
            }
        }
        Some(Command::Import { file }) => tokio::select! {
            Some(ended) = tasks.join_next() => ended?,
            imported = import(&api, &file) => imported,
            () = asked_to_stop => Err(anyhow!("interrupted; the next start goes on with it")),
        },
    };
    stop.cancel();
    match timeout(GRACE, drain(tasks)).await {
        Ok(drained) => drained?,
        Err(_) => tracing::warn!("cut off what went on for {} s after the end was asked for", GRACE.as_secs()),
    }
    ended
}

async fn drain(mut tasks: JoinSet<anyhow::Result<()>>) -> anyhow::Result<()> {
    while let Some(ended) = tasks.join_next().await {
        ended??;
    }
    Ok(())
}

async fn import(api: &Api, file: &Path) -> anyhow::Result<()> {
    let name = file.file_name().context("a file has a name")?.to_string_lossy();
    let opened = tokio::fs::File::open(file).await.with_context(|| format!("can't read {}", file.display()))?;
    let import = begin(&api.store, &api.client, &api.uploads, &name, ReaderStream::new(opened)).await?;
    let import = bar::follow(&api.client, &import).await?;
    bar::report(&api.store, &import).await
}

/// Once a minute asks for imports that are not over. Those that were asked for already cost a look.
async fn ask_again(api: Api, stop: CancellationToken) -> anyhow::Result<()> {
    loop {
        match ask_for_unfinished(&api.client, &api.store).await {
            Ok(imports) => tracing::debug!(imports, "asked for the imports that are not over"),
            Err(error) => tracing::warn!(%error, "can't ask for imports; asking again in a minute"),
        }
        tokio::select! {
            () = stop.cancelled() => return Ok(()),
            () = tokio::time::sleep(Duration::from_secs(60)) => {}
        }
    }
}

/// Listens for signals from now on; resolves at the first.
fn asked_to_stop() -> anyhow::Result<impl Future<Output = ()>> {
    let (mut term, mut int) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    Ok(async move {
        tokio::select! {
            _ = term.recv() => {}
            _ = int.recv() => {}
        }
    })
}

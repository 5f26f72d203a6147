//! The gallery's web server: keeps the originals, relays the jobs, records their history.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context;
use chrono::{DateTime, TimeDelta, Utc};
use clap::Parser;
use gallery::picture::Limits;
use gallery::web::{Gallery, router};
use gallery::{Albums, ContactSheet, MIGRATIONS, ProcessPhoto, add_forgotten, settle_dead};
use millstream_queue::{Client, Job};
use millstream_store::{Recorder, Relay, Store};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing_subscriber::EnvFilter;

#[derive(Parser)]
#[command(name = "gallery", version, about)]
struct Args {
    /// Where to listen; port 0 takes a free one. Folders can be imported only on a loopback address.
    #[arg(long, default_value = "127.0.0.1:8080")]
    listen: SocketAddr,
    /// Folder for the albums, shared with the workers.
    #[arg(long, env = "GALLERY_DATA", default_value = "data")]
    data: PathBuf,
    /// The Redis that carries jobs and events.
    #[arg(long, env = "REDIS_URL", default_value = "redis://127.0.0.1/", hide_env_values = true)]
    redis_url: String,
    /// Where the history is kept: postgres://… or sqlite://….
    #[arg(long, env = "DATABASE_URL", default_value = "sqlite://gallery.db", hide_env_values = true)]
    database_url: String,
    /// Prefix of all keys in Redis; the same for gallery, workers and signalling servers.
    #[arg(long, env = "MILLSTREAM_NAMESPACE", default_value = "ms")]
    namespace: String,
    /// The signalling server as a browser reaches it: ws://host:port/ws. Without one the page asks now and then.
    #[arg(long, env = "SIGNALING_URL")]
    signaling_url: Option<String>,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
    let args = Args::parse();

    let albums = Albums::open(&args.data).with_context(|| format!("the data folder {:?} can't be used", args.data))?;
    let client = Client::builder(&args.redis_url).namespace(&args.namespace).await?;
    let store = Store::connect(&args.database_url).await?;
    store.migrator().with(MIGRATIONS).up().await?;
    let recorder = Recorder::new(client.clone(), store.clone()).queues([ProcessPhoto::QUEUE, ContactSheet::QUEUE]);
    // Before the first push: jobs of a queue that nobody records leave no history.
    recorder.register().await?;
    let added = add_forgotten(&store, &albums).await?;
    if added > 0 {
        tracing::info!(photos = added, "added the photos of a gallery that stopped before it could");
    }

    let asked = asked_to_stop()?;
    let listener = TcpListener::bind(args.listen)
        .await
        .with_context(|| format!("can't listen on {}; choose another address with --listen", args.listen))?;
    let listen = listener.local_addr()?;
    let stop = CancellationToken::new();
    let app = router(Gallery {
        albums: albums.clone(),
        store: store.clone(),
        signaling: args.signaling_url,
        listen,
        max_bytes: Limits::default().bytes,
    });
    let mut tasks = JoinSet::new();
    tasks.spawn(named(recorder.run_until(stop.clone().cancelled_owned()), "the recorder failed"));
    let relay = Relay::new(client.clone(), store.clone());
    tasks.spawn(named(relay.run_until(stop.clone().cancelled_owned()), "the relay of the outbox failed"));
    tasks.spawn(sweep(client, store, albums, stop.clone()));
    let serving = axum::serve(listener, app).with_graceful_shutdown(stop.clone().cancelled_owned());
    tasks.spawn(named(serving.into_future(), "the web server failed"));
    println!("listening on http://{listen}");

    let ended = tokio::select! {
        Some(ended) = tasks.join_next() => ended?,
        () = asked => Ok(()),
    };
    stop.cancel();
    // Requests that are under way may end, but an upload that stalls can't hold the exit.
    let _ = tokio::time::timeout(Duration::from_secs(10), async { while tasks.join_next().await.is_some() {} }).await;
    ended
}

/// Every few seconds, settles photos whose jobs died without settling them.
async fn sweep(client: Client, store: Store, albums: Albums, stop: CancellationToken) -> anyhow::Result<()> {
    // The first look goes back far enough for a gallery that was off over a holiday.
    let mut since: DateTime<Utc> = Utc::now() - TimeDelta::days(14);
    loop {
        let now = Utc::now();
        match settle_dead(&client, &store, &albums, since).await {
            // Outcomes reach the history late, and by the clocks of other machines: looks overlap.
            Ok(_) => since = now - TimeDelta::minutes(10),
            Err(error) => tracing::warn!(error = format!("{error:#}"), "can't look for dead jobs; looking again"),
        }
        tokio::select! {
            () = stop.cancelled() => return Ok(()),
            () = tokio::time::sleep(Duration::from_secs(5)) => {}
        }
    }
}

async fn named<E: Into<anyhow::Error>>(
    task: impl Future<Output = Result<(), E>>,
    failed: &'static str,
) -> anyhow::Result<()> {
    task.await.map_err(|error| error.into().context(failed))
}

/// Resolves at SIGTERM or SIGINT, which are heard from the call on.
fn asked_to_stop() -> std::io::Result<impl Future<Output = ()>> {
    let (mut term, mut int) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    Ok(async move {
        tokio::select! {
            _ = term.recv() => {}
            _ = int.recv() => {}
        }
    })
}

//! The whole program in one process: HTTP interface, worker, recorder.

use std::{net::SocketAddr, time::Duration};

use anyhow::Context;
use chrono::Utc;
use clap::Parser;
use finance::{
    App, MIGRATIONS, MakeStatement, Month, ask_for_all, make_statement,
    web::{Api, router},
};
use millstream_queue::{Client, Job};
use millstream_store::{Recorder, Store};
use millstream_worker::Worker;
use tokio::{
    net::TcpListener,
    signal::unix::{SignalKind, signal},
    task::JoinSet,
};
use tokio_util::sync::CancellationToken;
use tracing_subscriber::EnvFilter;

#[derive(Parser)]
#[command(name = "finance", version, about)]
struct Args {
    /// Where to listen; port 0 takes a free one.
    #[arg(long, default_value = "127.0.0.1:8081")]
    listen: SocketAddr,
    /// The books: postgres://… or sqlite://….
    #[arg(long, env = "DATABASE_URL", default_value = "sqlite://finance.db", hide_env_values = true)]
    database_url: String,
    /// The Redis that carries the jobs.
    #[arg(long, env = "REDIS_URL", default_value = "redis://127.0.0.1/", hide_env_values = true)]
    redis_url: String,
    /// Prefix of all keys in Redis.
    #[arg(long, env = "MILLSTREAM_NAMESPACE", default_value = "ms")]
    namespace: String,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
    let args = Args::parse();

    let store = Store::connect(&args.database_url).await?;
    store.migrator().with(MIGRATIONS).up().await?;
    let client = Client::builder(&args.redis_url).namespace(&args.namespace).await?;
    let recorder = Recorder::new(client.clone(), store.clone()).queues([MakeStatement::QUEUE]);
    recorder.register().await?; // before the first push
    let worker = Worker::new(client.clone(), App { store: store.clone() }).handle(make_statement);
    let asked = asked_to_stop()?;
    let listener = TcpListener::bind(args.listen)
        .await
        .with_context(|| format!("can't listen on {}; choose another address with --listen", args.listen))?;
    println!("listening on http://{}", listener.local_addr()?);

    let stop = CancellationToken::new();
    let stopped = || stop.clone().cancelled_owned();
    let app = router(Api { store: store.clone(), client: client.clone() });
    let serving = axum::serve(listener, app).with_graceful_shutdown(stopped());
    let mut tasks: JoinSet<anyhow::Result<()>> = JoinSet::new();
    tasks.spawn(async move { serving.await.context("the web server failed") });
    tasks.spawn({
        let stopped = stopped();
        async move { worker.run_until(stopped).await.context("the worker failed") }
    });
    tasks.spawn({
        let stopped = stopped();
        async move { recorder.run_until(stopped).await.context("the recorder failed") }
    });
    tasks.spawn(close_months(client, store, stop.clone()));
    let ended = tokio::select! {
        Some(ended) = tasks.join_next() => ended?,
        () = asked => Ok(()),
    };
    stop.cancel();
    while let Some(ended) = tasks.join_next().await {
        ended??;
    }
    ended
}

/// Once an hour asks for the statements of the month before. What was asked for or made already costs a look.
async fn close_months(client: Client, store: Store, stop: CancellationToken) -> anyhow::Result<()> {
    loop {
        match ask_for_all(&client, &store, Month::before(Utc::now())).await {
            Ok(accounts) => tracing::debug!(accounts, "asked for the statements of last month"),
            Err(error) => tracing::warn!(%error, "can't ask for statements; asking again in an hour"),
        }
        tokio::select! {
            () = stop.cancelled() => return Ok(()),
            () = tokio::time::sleep(Duration::from_secs(3600)) => {}
        }
    }
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

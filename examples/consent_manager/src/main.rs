//! The whole service in one process: HTTP, worker, recorder and events.

use std::net::SocketAddr;

use anyhow::Context;
use clap::Parser;
use consent_manager::{Ledger, serve};
use millstream_queue::Client;
use millstream_store::Store;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::EnvFilter;

#[derive(Parser)]
#[command(name = "consent_manager", version, about)]
struct Args {
    /// Where to listen; port 0 takes a free one. Put something that knows who asks in front of it.
    #[arg(long, default_value = "127.0.0.1:8070")]
    listen: SocketAddr,
    /// The Redis that carries jobs and events.
    #[arg(long, env = "REDIS_URL", default_value = "redis://127.0.0.1/", hide_env_values = true)]
    redis_url: String,
    /// Where the consents and the history of the jobs are kept: postgres://… or sqlite://….
    #[arg(long, env = "DATABASE_URL", default_value = "sqlite://consents.db", hide_env_values = true)]
    database_url: String,
    /// Prefix of all keys in Redis.
    #[arg(long, env = "MILLSTREAM_NAMESPACE", default_value = "ms")]
    namespace: String,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
    let args = Args::parse();

    let client = Client::builder(&args.redis_url).namespace(&args.namespace).await?;
    let ledger = Ledger::open(Store::connect(&args.database_url).await?).await?;
    let listener = TcpListener::bind(args.listen)
        .await
        .with_context(|| format!("can't listen on {}; choose another address with --listen", args.listen))?;
    let (mut term, mut int) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    println!("listening on http://{}", listener.local_addr()?);

    let shutdown = async move {
        tokio::select! {
            _ = term.recv() => {}
            _ = int.recv() => {}
        }
    };
    serve(ledger, client, listener, shutdown).await
}

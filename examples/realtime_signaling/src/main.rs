//! One process of the signalling service; start as many as you like.

use std::net::SocketAddr;

use anyhow::Context;
use clap::Parser;
use millstream_queue::Client;
use realtime_signaling::Server;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::EnvFilter;

#[derive(Parser)]
#[command(name = "realtime_signaling", version, about)]
struct Args {
    /// Where to listen; port 0 takes a free one.
    #[arg(long, default_value = "127.0.0.1:8090")]
    listen: SocketAddr,
    /// The Redis that carries the events.
    #[arg(long, env = "REDIS_URL", default_value = "redis://127.0.0.1/", hide_env_values = true)]
    redis_url: String,
    /// Prefix of all keys in Redis; the same for all processes, and for the gallery whose events are relayed.
    #[arg(long, env = "MILLSTREAM_NAMESPACE", default_value = "ms")]
    namespace: String,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
    let args = Args::parse();

    let client = Client::builder(&args.redis_url).namespace(&args.namespace).await?;
    let listener = TcpListener::bind(args.listen)
        .await
        .with_context(|| format!("can't listen on {}; choose another address with --listen", args.listen))?;
    let server = Server::start(client, listener).await?;
    println!("listening on ws://{}/ws", server.address()?);

    let (mut term, mut int) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let shutdown = async move {
        tokio::select! {
            _ = term.recv() => {}
            _ = int.recv() => {}
        }
    };
    server.run_until(shutdown).await?;
    Ok(())
}

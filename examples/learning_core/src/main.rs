//! Courses, progress, streaks and reminders in one process; start as many as you like.

use std::net::SocketAddr;

use anyhow::Context;
use chrono::TimeDelta;
use clap::Parser;
use learning_core::{Learning, MailTable, run};
use millstream_queue::Client;
use millstream_store::Store;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::EnvFilter;

#[derive(Parser)]
#[command(name = "learning_core", version, about)]
struct Args {
    /// Where to listen; port 0 takes a free one.
    #[arg(long, env = "LISTEN", default_value = "127.0.0.1:8100")]
    listen: SocketAddr,
    /// The Redis that carries jobs and events.
    #[arg(long, env = "REDIS_URL", default_value = "redis://127.0.0.1/", hide_env_values = true)]
    redis_url: String,
    /// Where everything is kept: postgres://… or sqlite://….
    #[arg(long, env = "DATABASE_URL", default_value = "sqlite://learning.db", hide_env_values = true)]
    database_url: String,
    /// Prefix of all keys in Redis; the same for all processes.
    #[arg(long, env = "MILLSTREAM_NAMESPACE", default_value = "ms")]
    namespace: String,
    /// How many minutes before a streak breaks its reminder comes, 10 to 1200.
    #[arg(long, env = "REMIND_BEFORE", default_value = "240", value_parser = clap::value_parser!(i64).range(10..=1200))]
    remind_before: i64,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
    let args = Args::parse();

    let learning = Learning {
        client: Client::builder(&args.redis_url).namespace(&args.namespace).source("learning_core").await?,
        store: Store::connect(&args.database_url).await?,
        remind_before: TimeDelta::minutes(args.remind_before),
    };
    let mailer = MailTable(learning.store.clone());
    let listener = TcpListener::bind(args.listen)
        .await
        .with_context(|| format!("can't listen on {}; choose another address with --listen", args.listen))?;
    println!("listening on http://{}", listener.local_addr()?);

    let (mut term, mut int) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let shutdown = async move {
        tokio::select! {
            _ = term.recv() => {}
            _ = int.recv() => {}
        }
    };
    run(learning, mailer, listener, shutdown).await
}

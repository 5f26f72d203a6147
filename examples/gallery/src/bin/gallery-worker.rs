//! One of any number of processes that work for the gallery.

use std::path::PathBuf;
use std::thread::available_parallelism;

use anyhow::Context;
use clap::Parser;
use gallery::{Albums, App, ContactSheet, ProcessPhoto, contact_sheet, process_photo};
use millstream_queue::{Client, Job};
use millstream_worker::Worker;
use tracing_subscriber::EnvFilter;

#[derive(Parser)]
#[command(name = "gallery-worker", version, about)]
struct Args {
    /// The Redis that carries jobs and events.
    #[arg(long, env = "REDIS_URL", default_value = "redis://127.0.0.1/", hide_env_values = true)]
    redis_url: String,
    /// Prefix of all keys in Redis; the same for gallery, workers and signalling servers.
    #[arg(long, env = "MILLSTREAM_NAMESPACE", default_value = "ms")]
    namespace: String,
    /// Folder for the albums, shared with the gallery.
    #[arg(long, env = "GALLERY_DATA", default_value = "data")]
    data: PathBuf,
    /// Photos at a time. Default: one per core.
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..))]
    concurrency: Option<u16>,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
    let args = Args::parse();

    let albums = Albums::open(&args.data).with_context(|| format!("the data folder {:?} can't be used", args.data))?;
    let client = Client::builder(&args.redis_url).namespace(&args.namespace).await?;
    let photos = match args.concurrency {
        Some(photos) => photos.into(),
        None => available_parallelism().map_or(1, |cores| cores.get()),
    };
    let worker = Worker::new(client, App::new(albums))
        .handle(process_photo)
        .handle(contact_sheet)
        .concurrency(ProcessPhoto::QUEUE, photos)
        .concurrency(ContactSheet::QUEUE, 1);
    println!("ready");
    worker.run().await?;
    Ok(())
}

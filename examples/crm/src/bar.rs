//! The progress bar of an import, fed by what its job reports.

use std::time::Duration;

use anyhow::bail;
use crm::{BadRow, Import, ImportContacts, ask_for};
use indicatif::{ProgressBar, ProgressStyle};
use millstream_queue::{Client, Job};
use millstream_store::{Data, List, Op, Store};

/// How long to wait for the end: as long as it takes.
const PATIENCE: Duration = Duration::from_secs(7 * 24 * 3600);
/// How many bad rows are shown.
const SHOWN: u32 = 20;

/// Waits for the import's end.
pub(crate) async fn follow(client: &Client, import: &Import) -> anyhow::Result<Import> {
    let job = ask_for(client, import).await?;
    let style = ProgressStyle::with_template("{bar:40} {percent:>3}% {bytes_per_sec} {eta} {msg}")?;
    let bar = ProgressBar::new(import.bytes.unsigned_abs()).with_style(style);
    let mut ended = std::pin::pin!(client.result::<Import>(ImportContacts::QUEUE, job).within(PATIENCE).into_future());
    let mut look = tokio::time::interval(Duration::from_millis(250));
    loop {
        tokio::select! {
            ended = &mut ended => {
                bar.finish_and_clear();
                return Ok(ended?);
            }
            _ = look.tick() => {
                // A server that is away for a while only stops the bar.
                if let Ok(Some(progress)) = client.progress(ImportContacts::QUEUE, job).await {
                    bar.set_position(progress.done);
                    bar.set_message(progress.note.unwrap_or_default());
                }
            }
        }
    }
}

/// Prints what came of it.
pub(crate) async fn report(store: &Store, import: &Import) -> anyhow::Result<()> {
    println!("{}: {} contacts imported, {} bad rows", import.file, import.imported, import.bad);
    let bad = List::new().filter("import", Op::Eq, import.id).sort("line").limit(SHOWN);
    for BadRow { line, reason, .. } in store.list::<BadRow>(bad).await?.rows {
        println!("line {line}: {reason}");
    }
    if import.bad > SHOWN.into() {
        println!("the others are at /imports/{}/bad_rows", import.id);
    }
    match &import.error {
        Some(error) => bail!("{error}"),
        None => Ok(()),
    }
}

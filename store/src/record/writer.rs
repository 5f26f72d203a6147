//! Puts packs into SQL, then acknowledges them.

use std::{fmt::Display, future::Future, sync::Arc, time::Instant};

use millstream_queue::Outcome;
use tokio::sync::mpsc;

use super::{
    consumer::Consumer,
    progress::Progress,
    reader::{Batch, Pack},
    rejected::{self, Rejected},
    rows::{self, Row},
    searchable::Declared,
    trouble::Trouble,
    write::write,
};
use crate::{Error, Store};

pub(super) struct Writer {
    consumer: Consumer,
    store: Store,
    progress: Arc<Progress>,
    declared: Declared,
}

impl Writer {
    pub(super) fn new(consumer: Consumer, store: Store, progress: Arc<Progress>, declared: Declared) -> Self {
        Self { consumer, store, progress, declared }
    }

    /// Writes until the reader ends the line. May be aborted anywhere: what is not acknowledged is delivered again, and
    /// what is delivered again changes nothing.
    pub(super) async fn run(self, mut line: mpsc::Receiver<Batch>) {
        let mut sql = Trouble::new("writing the history");
        let mut redis = Trouble::new("acknowledging outcomes");
        while let Some(batch) = line.recv().await {
            let (mut rows, unreadable) = decode(&batch.packs);
            // Sets the same fields however often it is tried.
            while let Err(error) = self.declared.fill(self.consumer.client(), &mut rows).await {
                tokio::time::sleep(redis.failed(&error)).await;
            }
            redis.worked();
            self.record(&batch.packs, rows, unreadable, &mut sql).await;
            self.acknowledge(&batch.packs, &mut redis).await;
        }
    }

    async fn record(&self, packs: &[Pack], rows: Vec<Row>, unreadable: Vec<Rejected>, trouble: &mut Trouble) {
        let count = rows.len();
        let (rows, started): (Arc<[Row]>, _) = (rows.into(), Instant::now());
        let written = until_it_works(trouble, || async {
            let written = write(&self.store, &rows).await;
            self.progress.note(written.as_ref().err().map(Error::to_string));
            written
        });
        let refused = written.await;
        for one in unreadable.into_iter().chain(refused.into_iter().map(Rejected::outcome)) {
            until_it_works(trouble, || rejected::keep(&self.store, &one)).await;
            self.progress.set_aside();
        }
        self.progress.wrote(count, packs.len(), started.elapsed());
    }

    async fn acknowledge(&self, packs: &[Pack], trouble: &mut Trouble) {
        for of_queue in packs.chunk_by(|a, b| a.queue == b.queue) {
            let entries: Vec<Arc<str>> = of_queue.iter().map(|pack| pack.entry.clone()).collect();
            let acknowledge = || self.consumer.acknowledge(&of_queue[0].queue, &entries);
            until_it_works(trouble, acknowledge).await;
        }
    }
}

async fn until_it_works<T, E, F>(trouble: &mut Trouble, work: impl Fn() -> F) -> T
where
    E: Display,
    F: Future<Output = Result<T, E>>,
{
    loop {
        match work().await {
            Ok(done) => {
                trouble.worked();
                return done;
            }
            Err(error) => tokio::time::sleep(trouble.failed(&error)).await,
        }
    }
}

/// The rows of all packs, their heads chosen, and the packs that can't be read.
fn decode(packs: &[Pack]) -> (Vec<Row>, Vec<Rejected>) {
    let (mut rows, mut unreadable) = (Vec::new(), Vec::new());
    for pack in packs {
        // An entry that is gone was recorded by someone else.
        let Some(bytes) = &pack.bytes else { continue };
        match Outcome::decode_pack(bytes) {
            Ok(outcomes) => {
                rows.extend(outcomes.into_iter().map(|outcome| Row::new(&pack.queue, &pack.entry, outcome)));
            }
            Err(error) => unreadable.push(Rejected::pack(pack, error.to_string())),
        }
    }
    rows::choose_heads(&mut rows);
    (rows, unreadable)
}

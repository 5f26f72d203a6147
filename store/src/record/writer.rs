//! Puts packs into SQL, then acknowledges them.

use std::{fmt::Display, future::Future, sync::Arc, time::Instant};

use tokio::sync::mpsc;

use super::{
    consumer::Consumer,
    decoder::Decoded,
    progress::Progress,
    reader::Pack,
    rejected::{self, Rejected},
    rows::Row,
    trouble::Trouble,
    write::write,
};
use crate::{Error, Store};

pub(super) struct Writer {
    consumer: Consumer,
    store: Store,
    progress: Arc<Progress>,
}

impl Writer {
    pub(super) fn new(consumer: Consumer, store: Store, progress: Arc<Progress>) -> Self {
        Self { consumer, store, progress }
    }

    /// Writes until the decoder ends the line. May be aborted anywhere: what is not acknowledged is delivered again, and
    /// what is delivered again changes nothing.
    pub(super) async fn run(self, mut line: mpsc::Receiver<Decoded>) {
        let mut sql = Trouble::new("writing the history");
        let mut redis = Trouble::new("acknowledging outcomes");
        while let Some(Decoded { batch, rows, unreadable }) = line.recv().await {
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

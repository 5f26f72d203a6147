//! Takes packs of outcomes from the `done` streams.

use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant},
};

use millstream_queue::{Dedicated, keys::RECORDER};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio_util::sync::CancellationToken;
use tracing::debug;

use super::{IN_HAND, Recorder, consumer::Consumer, searchable::Declared, trouble::Trouble};
use crate::Error;

/// Longest blocking read; stop is looked at between reads.
const BLOCK: Duration = Duration::from_secs(2);
/// Registration is repeated this often, and new queues are found.
const REGISTER: Duration = Duration::from_secs(10);
/// Packs in hand are touched this often.
const TOUCH: Duration = Duration::from_secs(5);
/// Most packs of one read over all queues; a pack is at most 512 outcomes or 1 MiB.
const PACKS: usize = 16;

/// What XREADGROUP answers: per stream its entries by id, whose fields are nil where the entry is gone.
type Reply = Option<Vec<HashMap<String, Vec<HashMap<String, Option<HashMap<String, Vec<u8>>>>>>>>;

/// An entry of a `done` stream.
pub(super) struct Pack {
    pub(super) queue: Arc<str>,
    pub(super) entry: Arc<str>,
    /// Field `b`; none where the entry is gone or was written by a stranger.
    pub(super) bytes: Option<Vec<u8>>,
}

/// Packs on their way to the writer. The permit keeps the number of batches in hand bounded and ends with the
/// acknowledgement.
pub(super) struct Batch {
    pub(super) packs: Vec<Pack>,
    pub(super) _permit: OwnedSemaphorePermit,
}

pub(super) struct Reader {
    recorder: Recorder,
    consumer: Consumer,
    in_hand: Arc<Semaphore>,
    batches: mpsc::Sender<Batch>,
    stop: CancellationToken,
    declared: Declared,
    /// The stream and the name of each queue.
    streams: Vec<(String, Arc<str>)>,
    registered: Option<Instant>,
    touched: Instant,
    /// Whether packs may be pending for this consumer that it doesn't have in hand.
    pending: bool,
}

impl Reader {
    pub(super) fn new(
        recorder: Recorder,
        consumer: Consumer,
        batches: mpsc::Sender<Batch>,
        stop: CancellationToken,
        declared: Declared,
    ) -> Self {
        Self {
            recorder,
            consumer,
            in_hand: Arc::new(Semaphore::new(IN_HAND)),
            batches,
            stop,
            declared,
            streams: Vec::new(),
            registered: None,
            touched: Instant::now(),
            pending: false,
        }
    }

    /// Reads until stopped. Whatever fails (the connection, a group lost to FLUSHALL) ends a session, and the next one
    /// connects and registers anew.
    pub(super) async fn run(mut self) {
        let mut trouble = Trouble::new("reading outcomes from Redis");
        while let Err(error) = self.session(&mut trouble).await {
            let wait = trouble.failed(&error);
            tokio::select! {
                () = tokio::time::sleep(wait) => {}
                () = self.stop.cancelled() => return,
            }
        }
    }

    /// Reads on one connection until stopped.
    async fn session(&mut self, trouble: &mut Trouble) -> Result<(), Error> {
        let mut reads = self.recorder.client.dedicated(BLOCK).await?;
        self.consumer.reads_on(reads.client_id);
        self.registered = None;
        // A reply that was lost with the last connection left its packs pending for this consumer.
        self.pending = true;
        while !self.stop.is_cancelled() {
            self.keep_house().await?;
            if std::mem::take(&mut self.pending) {
                self.read_pending(&mut reads).await?;
            }
            let Some(permit) = self.permit(1).await? else { return Ok(()) };
            let packs = self.read(&mut reads, ">").await?;
            trouble.worked();
            self.hand_over(packs, permit).await;
        }
        Ok(())
    }

    /// Reads what is pending for this consumer until nothing is. Each page waits until all before it are acknowledged, so
    /// that none is in hand twice.
    async fn read_pending(&mut self, reads: &mut Dedicated) -> Result<(), Error> {
        loop {
            let Some(permit) = self.permit(IN_HAND as u32).await? else { return Ok(()) };
            let packs = self.read(reads, "0").await?;
            if packs.is_empty() {
                return Ok(());
            }
            self.hand_over(packs, permit).await;
        }
    }

    /// Never dropped half-way: nothing around it is a `select!`, and this task is never aborted.
    async fn read(&self, reads: &mut Dedicated, from: &str) -> Result<Vec<Pack>, Error> {
        if self.streams.is_empty() {
            tokio::select! {
                () = tokio::time::sleep(BLOCK) => {}
                () = self.stop.cancelled() => {}
            }
            return Ok(Vec::new());
        }
        let mut read = redis::cmd("XREADGROUP");
        read.arg("GROUP").arg(RECORDER).arg(self.consumer.name());
        read.arg("COUNT").arg((PACKS / self.streams.len()).max(1));
        read.arg("BLOCK").arg(BLOCK.as_millis() as u64).arg("STREAMS");
        for (stream, _) in &self.streams {
            read.arg(stream);
        }
        for _ in &self.streams {
            read.arg(from);
        }
        let reply: Reply = read.query_async(&mut reads.conn).await.map_err(millstream_queue::Error::from)?;
        Ok(self.packs(reply))
    }

    fn packs(&self, reply: Reply) -> Vec<Pack> {
        let mut packs = Vec::new();
        for (stream, entries) in reply.into_iter().flatten().flatten() {
            let Some((_, queue)) = self.streams.iter().find(|(name, _)| *name == stream) else { continue };
            for (entry, fields) in entries.into_iter().flatten() {
                let bytes = fields.and_then(|mut fields| fields.remove("b"));
                packs.push(Pack { queue: queue.clone(), entry: entry.into(), bytes });
            }
        }
        packs
    }

    async fn hand_over(&self, packs: Vec<Pack>, permit: OwnedSemaphorePermit) {
        if packs.is_empty() {
            return;
        }
        self.consumer.hold(&packs);
        // It is refused only where the writer is gone; then the packs stay pending for the next recorder.
        if self.batches.send(Batch { packs, _permit: permit }).await.is_err() {
            debug!("the writer is gone");
        }
    }

    /// Room for one more batch, or for a batch that must be alone; none when stopping.
    async fn permit(&mut self, count: u32) -> Result<Option<OwnedSemaphorePermit>, Error> {
        loop {
            tokio::select! {
                permit = self.in_hand.clone().acquire_many_owned(count) => return Ok(permit.ok()),
                () = self.stop.cancelled() => return Ok(None),
                () = tokio::time::sleep(TOUCH) => {}
            }
            // SQL is slow or away, and the workers go on: what the others may claim, and new queues, matter all the same.
            self.keep_house().await?;
        }
    }

    /// What is due of: touching the packs in hand, registering, finding new queues, claiming from the dead.
    async fn keep_house(&mut self) -> Result<(), Error> {
        if self.touched.elapsed() >= TOUCH {
            self.consumer.touch().await?;
            self.touched = Instant::now();
        }
        let every = REGISTER.min(self.recorder.claim_after);
        if self.registered.is_some_and(|at| at.elapsed() < every) {
            return Ok(());
        }
        let queues: Vec<Arc<str>> = self.recorder.known_queues().await?.into_iter().map(Arc::from).collect();
        for queue in &queues {
            self.recorder.client.record(queue).await?;
            self.consumer.sign(queue).await?;
            self.declared.refresh(&self.recorder.client, queue).await?;
        }
        let stream = |queue: &Arc<str>| (self.recorder.client.keys(queue).done(), queue.clone());
        self.streams = queues.iter().map(stream).collect();
        self.registered = Some(Instant::now());
        self.consumer.serves(&queues);
        self.consumer.sweep(&queues, self.recorder.claim_after).await?;
        self.pending |= self.consumer.claim(&queues, self.recorder.claim_after).await?;
        Ok(())
    }
}

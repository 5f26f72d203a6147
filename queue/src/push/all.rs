//! Many jobs: encoded while earlier pipelines are on their way, never more than a few of them at once.

use std::{
    collections::VecDeque,
    future::IntoFuture,
    pin::pin,
    time::{Duration, Instant},
};

use chrono::Utc;
use redis::Pipeline;
use tokio::{sync::oneshot, task::JoinHandle};

use super::{
    PUSH, PushScript, Pushed,
    chain::{Chain, Template, chained, chained_durability},
    not_stored,
    spread::Spread,
    when::When,
    xadd,
};
use crate::{
    Client, Connection, Error, Job,
    client::BoxFuture,
    connection::{Confirmation, Line},
    id,
    keys::QueueKeys,
};

/// Jobs in a pipeline, at most.
const JOBS: usize = 512;
/// Bytes of payload in a pipeline, at most (one payload may be larger).
const BYTES: usize = 1024 * 1024;
/// Pipelines on their way at once: one in the server's hands, one arriving.
const IN_FLIGHT: usize = 3;

/// Many jobs on their way; `.await` pushes them and returns how many.
#[must_use = "nothing is pushed until awaited"]
pub struct PushAll<'a, I> {
    client: &'a Client,
    jobs: I,
    chain: Chain,
    spread: Option<Duration>,
}

impl<'a, I> PushAll<'a, I>
where
    I: IntoIterator,
    I::Item: Job,
{
    pub(super) fn new(client: &'a Client, jobs: I) -> Self {
        Self { client, jobs, chain: Chain::default(), spread: None }
    }

    chained!();
    chained_durability!();

    /// Spreads the jobs evenly over `interval`, which begins now or when [`after`](Self::after) or [`at`](Self::at) says:
    /// in their order where the iterator knows how many they are, else in an order that covers the interval evenly
    /// however many come.
    pub fn spread(mut self, interval: Duration) -> Self {
        self.spread = Some(interval);
        self
    }

    async fn push(mut self) -> Result<u64, Error>
    where
        I::IntoIter: Send,
    {
        let template = self.chain.template::<I::Item>()?;
        let mut jobs = self.jobs.into_iter();
        let when = self.chain.when;
        let mut writer = Writer {
            client: self.client,
            keys: self.client.keys(<I::Item as Job>::QUEUE),
            template,
            when,
            spread: self.spread.map(|interval| Spread::new(when, interval, jobs.size_hint())),
            start: Instant::now(),
        };
        let mut lent = None;
        let mut in_flight: VecDeque<JoinHandle<Sent>> = VecDeque::new();
        let mut stored = 0;
        let mut line = None;
        let outcome = loop {
            let batch = match writer.next_batch(&mut jobs) {
                Ok(batch) => batch,
                Err(error) => break Err(error),
            };
            let at_end = batch.count == 0;
            if !at_end {
                let (conn, confirmation, turn) = match line.take() {
                    Some((conn, confirmation, turn)) => (conn, confirmation, Some(turn)),
                    None => match self.client.line(self.chain.durability).await {
                        Ok(line) => {
                            let line = lent.insert(line);
                            (line.conn.clone(), line.confirmation, None)
                        }
                        Err(error) => break Err(error),
                    },
                };
                let (sent, next_turn) = oneshot::channel();
                line = Some((conn.clone(), confirmation, next_turn));
                in_flight.push_back(batch.send(conn, confirmation, turn, sent));
            }
            if at_end || in_flight.len() == IN_FLIGHT {
                let Some(oldest) = in_flight.pop_front() else { break Ok(()) };
                match oldest.await.expect("a pipeline's task neither panics nor is cancelled") {
                    Sent { count, error: None } => stored += count,
                    Sent { count, error: Some(error) } => {
                        stored += count;
                        break Err(error);
                    }
                }
            }
        };
        // Those behind a failed pipeline are on their way already: what becomes of them is counted too.
        for pipeline in in_flight {
            stored += pipeline.await.expect("a pipeline's task neither panics nor is cancelled").count;
        }
        match outcome {
            Ok(()) => {
                lent.into_iter().for_each(Line::done);
                Ok(stored)
            }
            Err(source) => Err(Error::PartlyPushed { stored, source: Box::new(source) }),
        }
    }
}

struct Writer<'a> {
    client: &'a Client,
    keys: QueueKeys,
    template: Template,
    when: When,
    spread: Option<Spread>,
    /// When the first job was taken.
    start: Instant,
}

/// What became of a pipeline: how many of its jobs are stored for sure, and what went wrong.
struct Sent {
    count: u64,
    error: Option<Error>,
}

struct Batch {
    pipeline: Pipeline,
    count: u64,
    first: uuid::Uuid,
}

impl Writer<'_> {
    fn next_batch<J: Job>(&mut self, jobs: &mut impl Iterator<Item = J>) -> Result<Batch, Error> {
        let lane = self.template.lane;
        let lane_key = self.keys.ready(lane);
        let now_ms = Utc::now().timestamp_millis();
        let mut batch = Batch { pipeline: Pipeline::with_capacity(JOBS), count: 0, first: uuid::Uuid::nil() };
        let by_script = self.when != When::Now || self.spread.is_some() || self.template.unique.is_some();
        if by_script {
            // Else others' commands come in between, such as a SCRIPT FLUSH.
            batch.pipeline.atomic().load_script(&PUSH).ignore();
        }
        let mut bytes = 0;
        while bytes < BYTES && batch.count < JOBS as u64 {
            let Some(job) = jobs.next() else { break };
            let body = self.client.encode(J::KIND, &job)?;
            bytes += body.len();
            let (entry, unique_key) = self.template.entry(body, id::fresh(), now_ms)?;
            if batch.count == 0 {
                batch.first = entry.id;
            }
            if by_script {
                let elapsed = self.start.elapsed();
                let when = self.spread.as_mut().map_or(self.when, |spread| spread.next(elapsed));
                let unique = self.template.unique;
                let script = PushScript { keys: &self.keys, lane, when, window: None, now_ms, unique };
                batch.pipeline.invoke_script(&script.call(&entry, unique_key)?);
            } else {
                batch.pipeline.add_command(xadd(&lane_key, &entry)).ignore();
            }
            batch.count += 1;
        }
        Ok(batch)
    }
}

impl Batch {
    /// Sends the pipeline from a task of its own, so that the next one is encoded meanwhile; in turn and on one
    /// connection, so that jobs keep their order.
    fn send(
        self,
        mut conn: Connection,
        confirmation: Option<Confirmation>,
        turn: Option<oneshot::Receiver<()>>,
        sent: oneshot::Sender<()>,
    ) -> JoinHandle<Sent> {
        tokio::spawn(async move {
            if let Some(turn) = turn {
                let _ = turn.await; // an error: the one before is over
            }
            let confirmation = confirmation.map(|confirmation| (confirmation, conn.clone()));
            let mut sending = pin!(self.pipeline.query_async::<Vec<Pushed>>(&mut conn));
            // The first poll puts the pipeline into the connection's queue, or in line for it.
            let first = futures::poll!(&mut sending);
            drop(sent);
            let done = match first {
                std::task::Poll::Ready(done) => done,
                std::task::Poll::Pending => sending.await,
            };
            let by_script = match done {
                Ok(by_script) => by_script,
                Err(source) => return Sent { count: 0, error: Some(not_stored(self.first, source)) },
            };
            let kept_out = by_script.iter().filter(|(stored, _)| *stored == 0).count() as u64;
            // Not inside the pipeline: in a transaction WAIT does not wait.
            let confirmed = match confirmation {
                Some((confirmation, mut conn)) => confirmation.wait(&mut conn, self.first).await,
                None => Ok(()),
            };
            Sent { count: self.count - kept_out, error: confirmed.err() }
        })
    }
}

impl<'a, I> IntoFuture for PushAll<'a, I>
where
    I: IntoIterator + Send + 'a,
    I::Item: Job,
    I::IntoIter: Send,
{
    type Output = Result<u64, Error>;
    type IntoFuture = BoxFuture<'a, Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.push())
    }
}

//! Many jobs: encoded while earlier pipelines are on their way, never more than a few of them at once.

use std::{collections::VecDeque, future::IntoFuture, pin::pin};

use chrono::Utc;
use redis::Pipeline;
use tokio::{sync::oneshot, task::JoinHandle};

use super::{
    PUSH, PushScript, Pushed,
    chain::{Chain, Template, chained},
    not_stored,
    when::When,
    xadd,
};
use crate::{Client, Connection, Error, Job, client::BoxFuture, id, keys::QueueKeys};

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
}

impl<'a, I> PushAll<'a, I>
where
    I: IntoIterator,
    I::Item: Job,
{
    pub(super) fn new(client: &'a Client, jobs: I) -> Self {
        Self { client, jobs, chain: Chain::default() }
    }

    chained!();

    async fn push(mut self) -> Result<u64, Error>
    where
        I::IntoIter: Send,
    {
        let writer = Writer {
            client: self.client,
            keys: self.client.keys(<I::Item as Job>::QUEUE),
            template: self.chain.template::<I::Item>()?,
            when: self.chain.when,
        };
        let mut jobs = self.jobs.into_iter();
        let mut in_flight: VecDeque<JoinHandle<Result<u64, Error>>> = VecDeque::new();
        let mut stored = 0;
        let mut line = None;
        let outcome = loop {
            let batch = match writer.next_batch(&mut jobs) {
                Ok(batch) => batch,
                Err(error) => break Err(error),
            };
            let at_end = batch.count == 0;
            if !at_end {
                let (conn, turn) = match line.take() {
                    Some((conn, turn)) => (conn, Some(turn)),
                    None => match self.client.connection().await {
                        Ok(conn) => (conn, None),
                        Err(error) => break Err(error),
                    },
                };
                let (sent, next_turn) = oneshot::channel();
                line = Some((conn.clone(), next_turn));
                in_flight.push_back(batch.send(conn, turn, sent));
            }
            if at_end || in_flight.len() == IN_FLIGHT {
                let Some(oldest) = in_flight.pop_front() else { break Ok(()) };
                match oldest.await.expect("a pipeline's task neither panics nor is cancelled") {
                    Ok(count) => stored += count,
                    Err(error) => break Err(error),
                }
            }
        };
        // Those behind a failed pipeline are on their way already: what becomes of them is counted too.
        for pipeline in in_flight {
            stored += pipeline.await.expect("a pipeline's task neither panics nor is cancelled").unwrap_or(0);
        }
        match outcome {
            Ok(()) => Ok(stored),
            Err(source) => Err(Error::PartlyPushed { stored, source: Box::new(source) }),
        }
    }
}

struct Writer<'a> {
    client: &'a Client,
    keys: QueueKeys,
    template: Template,
    when: When,
}

struct Batch {
    pipeline: Pipeline,
    count: u64,
    first: uuid::Uuid,
}

impl Writer<'_> {
    fn next_batch<J: Job>(&self, jobs: &mut impl Iterator<Item = J>) -> Result<Batch, Error> {
        let lane = self.template.lane;
        let lane_key = self.keys.ready(lane);
        let now_ms = Utc::now().timestamp_millis();
        let mut batch = Batch { pipeline: Pipeline::with_capacity(JOBS), count: 0, first: uuid::Uuid::nil() };
        let by_script = self.when != When::Now || self.template.unique.is_some();
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
                let (when, unique) = (self.when, self.template.unique);
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
        turn: Option<oneshot::Receiver<()>>,
        sent: oneshot::Sender<()>,
    ) -> JoinHandle<Result<u64, Error>> {
        tokio::spawn(async move {
            if let Some(turn) = turn {
                let _ = turn.await; // an error: the one before is over
            }
            let mut sending = pin!(self.pipeline.query_async::<Vec<Pushed>>(&mut conn));
            // The first poll puts the pipeline into the connection's queue, or in line for it.
            let first = futures::poll!(&mut sending);
            drop(sent);
            let done = match first {
                std::task::Poll::Ready(done) => done,
                std::task::Poll::Pending => sending.await,
            };
            let by_script = done.map_err(|source| not_stored(self.first, source))?;
            let kept_out = by_script.iter().filter(|(stored, _)| *stored == 0).count() as u64;
            Ok(self.count - kept_out)
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

//! Enqueuing: one job, or any number of them in bounded pipelines.

mod all;
pub(crate) mod chain;
mod spread;
pub(crate) mod when;

use std::{future::IntoFuture, sync::LazyLock, time::Duration};

use chrono::Utc;
use redis::{Cmd, RedisError, Script};
use uuid::Uuid;

pub use all::PushAll;
use chain::{Chain, chained, chained_durability};
use when::When;

use crate::{
    Client, Entry, Error, Job, Stored,
    client::BoxFuture,
    id,
    keys::{Lane, QueueKeys},
    scripts,
    unique::{Unique, UniqueKey},
};

static PUSH: LazyLock<Script> = LazyLock::new(|| scripts::with_enqueue(include_str!("lua/push.lua")));

impl Client {
    /// Puts a job into its queue. When this returns, the job is in Redis, as durable as the server's persistence is;
    /// the id finds it again. Options are chained before `.await`.
    ///
    /// # Errors
    /// Nothing is stored on [`Error::Name`], [`Error::Tag`], [`Error::Traceparent`], [`Error::UniqueField`], [`Error::Encode`],
    /// [`Error::TooLarge`], [`Error::Time`], [`Error::Unreachable`] and [`Error::Redis`]; after [`Error::Indeterminate`] the job may or may not
    /// be stored; after [`Error::TooFewReplicas`] it is.
    pub fn push<J: Job>(&self, job: J) -> Push<'_, J> {
        Push { client: self, job, chain: Chain::default(), key: None }
    }

    /// Puts many jobs into their queue, in pipelines of bounded size: memory stays constant however long the iterator.
    ///
    /// # Errors
    /// Those of [`push`](Client::push), inside [`Error::PartlyPushed`].
    pub fn push_all<I>(&self, jobs: I) -> PushAll<'_, I>
    where
        I: IntoIterator,
        I::Item: Job,
    {
        PushAll::new(self, jobs)
    }
}

/// One job on its way; `.await` pushes it and returns its id.
#[must_use = "nothing is pushed until awaited"]
pub struct Push<'a, J> {
    client: &'a Client,
    job: J,
    chain: Chain,
    key: Option<String>,
}

impl<J: Job> Push<'_, J> {
    chained!();
    chained_durability!();

    /// An idempotency key: a second push under the same key within the
    /// [window](crate::ClientBuilder::dedup_window) stores nothing and returns the same id.
    pub fn id(mut self, key: impl Into<String>) -> Self {
        self.key = Some(key.into());
        self
    }

    async fn push(mut self) -> Result<Uuid, Error> {
        let template = self.chain.template::<J>()?;
        let body = self.client.encode(J::KIND, &self.job)?;
        let now_ms = Utc::now().timestamp_millis();
        let id = match &self.key {
            Some(key) => id::keyed(self.client.namespace(), J::QUEUE, key),
            None => id::fresh(),
        };
        let (entry, unique_key) = template.entry(body, id, now_ms)?;
        let (keys, lane, when, unique) = (self.client.keys(J::QUEUE), template.lane, self.chain.when, template.unique);
        let mut line = self.client.line(self.chain.durability).await?;
        let conn = &mut line.conn;
        let sent = if self.key.is_none() && when == When::Now && unique.is_none() {
            xadd(&keys.ready(lane), &entry).exec_async(conn).await.map(|()| id)
        } else {
            let window = self.key.map(|_| self.client.dedup_window());
            let script = PushScript { keys: &keys, lane, when, window, now_ms, unique };
            let pushed = script.call(&entry, unique_key)?.invoke_async::<Pushed>(conn).await;
            pushed.map(|(_, standing)| Uuid::try_parse(&standing).unwrap_or(id))
        };
        let id = sent.map_err(|source| not_stored(id, source))?;
        if let Some(confirmation) = line.confirmation {
            confirmation.wait(&mut line.conn, id).await?;
        }
        line.done();
        Ok(id)
    }
}

impl<'a, J: Job> IntoFuture for Push<'a, J> {
    type Output = Result<Uuid, Error>;
    type IntoFuture = BoxFuture<'a, Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.push())
    }
}

/// The plain push: one XADD, whose stream id tells when it was enqueued.
fn xadd(lane_key: &str, entry: &Entry) -> Cmd {
    let mut command = Cmd::with_capacity(12, 160 + lane_key.len() + entry.body.len());
    command.arg("XADD").arg(lane_key).arg("*");
    entry.each_field(false, |name, value| {
        command.arg(name).arg(value);
    });
    command
}

/// What the script answers: 1 where the job was stored or changed a waiting one, and the id of the job that stands.
type Pushed = (u64, String);

/// The push that needs a script: under an idempotency key, with a unique key, or for later.
struct PushScript<'a> {
    keys: &'a QueueKeys,
    lane: Lane,
    when: When,
    /// The idempotency window, where the job has a key.
    window: Option<Duration>,
    now_ms: i64,
    unique: Option<Unique>,
}

impl PushScript<'_> {
    fn call(&self, entry: &Entry, unique_key: Option<UniqueKey>) -> Result<redis::ScriptInvocation<'static>, Error> {
        let mut call = PUSH.key(self.keys.ready(self.lane));
        call.key(self.keys.later()).key(self.keys.later_jobs());
        let unique = self.unique.zip(unique_key);
        if let Some((_, held)) = &unique {
            call.key(self.keys.unique(&held.key));
        }
        let window_ms = self.window.map_or(0, |window| window.as_millis() as i64);
        if window_ms > 0 {
            let bucket = self.now_ms / window_ms;
            for near in [bucket, bucket - 1, bucket + 1] {
                call.key(self.keys.seen(near));
            }
        }
        let (kind, ms) = self.when.argument()?;
        call.arg(entry.id.to_string()).arg(kind).arg(ms).arg(window_ms).arg(self.keys.signal());
        call.arg(Stored { lane: self.lane, entry, error: None }.pack()).arg(self.keys.prefix());
        if let Some((unique, held)) = unique {
            call.arg(held.until.as_str()).arg(unique.time_ms()).arg(unique.conflict().as_str());
        }
        Ok(call)
    }
}

/// A connection that broke, or an answer that did not come in time, leaves open whether the write was applied.
fn not_stored(id: Uuid, source: RedisError) -> Error {
    if source.is_io_error() { Error::Indeterminate { id, source } } else { Error::Redis(source) }
}

//! Enqueuing: one job, or any number of them in bounded pipelines.

mod all;
mod when;

use std::{future::IntoFuture, sync::LazyLock, time::Duration};

use chrono::{DateTime, Utc};
use redis::{Cmd, RedisError, Script};
use uuid::Uuid;

pub use all::PushAll;
use when::When;

use crate::{
    Client, Entry, Error, Job, Priority, Stored,
    client::BoxFuture,
    id,
    keys::{Lane, QueueKeys},
    names,
    options::Options,
};

static PUSH: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("lua/push.lua")));

impl Client {
    /// Puts a job into its queue. When this returns, the job is in Redis, as durable as the server's persistence is;
    /// the id finds it again. Options are chained before `.await`.
    ///
    /// # Errors
    /// Nothing is stored on [`Error::Name`], [`Error::Encode`], [`Error::TooLarge`], [`Error::Time`],
    /// [`Error::Unreachable`] and [`Error::Redis`]; after [`Error::Indeterminate`] the job may or may not be stored.
    pub fn push<J: Job>(&self, job: J) -> Push<'_, J> {
        Push { client: self, job, when: When::Now, priority: J::PRIORITY, options: Options::default(), key: None }
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
    when: When,
    priority: Priority,
    options: Options,
    key: Option<String>,
}

impl<J: Job> Push<'_, J> {
    /// Runs the job when `delay` has passed on the server's clock.
    pub fn after(mut self, delay: Duration) -> Self {
        self.when = When::after(delay);
        self
    }

    /// Runs the job at `time`; a time in the past means now.
    pub fn at(mut self, time: DateTime<Utc>) -> Self {
        self.when = When::at(time);
        self
    }

    /// Overrides the job type's priority.
    pub fn priority(mut self, priority: Priority) -> Self {
        self.priority = priority;
        self
    }

    /// Overrides the job type's number of attempts.
    pub fn attempts(mut self, attempts: u32) -> Self {
        self.options.attempts = Some(attempts);
        self
    }

    /// Overrides the job type's time-out.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.options.timeout(timeout);
        self
    }

    /// From `time` on the job is not started any more: it ends as expired.
    pub fn expires(mut self, time: DateTime<Utc>) -> Self {
        self.options.expires_ms = Some(time.timestamp_millis());
        self
    }

    /// An idempotency key: a second push under the same key within the
    /// [window](crate::ClientBuilder::dedup_window) stores nothing and returns the same id.
    pub fn id(mut self, key: impl Into<String>) -> Self {
        self.key = Some(key.into());
        self
    }

    async fn push(self) -> Result<Uuid, Error> {
        check_names::<J>()?;
        let body = self.client.encode(J::KIND, &self.job)?;
        let now_ms = Utc::now().timestamp_millis();
        let id = match &self.key {
            Some(key) => id::keyed(self.client.namespace(), J::QUEUE, key),
            None => id::fresh(),
        };
        let entry = entry::<J>(body, id, now_ms, &self.options);
        let keys = self.client.keys(J::QUEUE);
        let lane = self.priority.lane();
        let sent = if self.key.is_none() && self.when == When::Now {
            let mut conn = self.client.connection().await?;
            xadd(&keys.ready(lane), &entry).exec_async(&mut conn).await
        } else {
            let window = self.key.map(|_| self.client.dedup_window());
            let mut conn = self.client.connection().await?;
            PushScript { keys: &keys, lane, when: self.when, window, now_ms }
                .call(&entry)?
                .invoke_async::<()>(&mut conn)
                .await
        };
        sent.map_err(|source| not_stored(id, source))?;
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

fn check_names<J: Job>() -> Result<(), Error> {
    names::check("queue", J::QUEUE)?;
    names::check("kind", J::KIND)
}

fn entry<J: Job>(body: Vec<u8>, id: Uuid, now_ms: i64, options: &Options) -> Entry {
    Entry { version: J::VERSION, options: options.to_field(), ..Entry::new(J::KIND, body, id, now_ms) }
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

/// The push that needs a script: under an idempotency key, or for later.
struct PushScript<'a> {
    keys: &'a QueueKeys,
    lane: Lane,
    when: When,
    /// The idempotency window, where the job has a key.
    window: Option<Duration>,
    now_ms: i64,
}

impl PushScript<'_> {
    fn call(&self, entry: &Entry) -> Result<redis::ScriptInvocation<'static>, Error> {
        let mut call = PUSH.key(self.keys.ready(self.lane));
        call.key(self.keys.later()).key(self.keys.later_jobs());
        let window_ms = self.window.map_or(0, |window| window.as_millis() as i64);
        if window_ms > 0 {
            let bucket = self.now_ms / window_ms;
            for near in [bucket, bucket - 1, bucket + 1] {
                call.key(self.keys.seen(near));
            }
        }
        let (kind, ms) = self.when.argument()?;
        call.arg(entry.id.to_string()).arg(kind).arg(ms).arg(window_ms).arg(self.keys.signal());
        call.arg(Stored { lane: self.lane, entry, error: None }.pack());
        Ok(call)
    }
}

/// A connection that broke, or an answer that did not come in time, leaves open whether the write was applied.
fn not_stored(id: Uuid, source: RedisError) -> Error {
    if source.is_io_error() { Error::Indeterminate { id, source } } else { Error::Redis(source) }
}

//! What can be chained on a push, be it of one job or of many.

use uuid::Uuid;

use super::when::When;
use crate::{
    Durability, Entry, Error, Job, Lane, Priority, Unique, UniqueKey, names,
    options::{Options, millis},
    tags, trace,
};

/// Longest time for which a result is kept: a year. Redis refuses to expire what is too far away.
const LONGEST_KEPT_MS: u64 = 366 * 24 * 60 * 60 * 1000;

/// What was chained so far.
#[derive(Clone, Debug, Default)]
pub(crate) struct Chain {
    pub(crate) when: When,
    pub(crate) priority: Option<Priority>,
    pub(crate) options: Options,
    pub(crate) traceparent: Option<String>,
    pub(crate) unique: Option<Unique>,
    pub(crate) durability: Option<Durability>,
}

/// The methods of [`Push`](super::Push), [`PushAll`](super::PushAll) and [`Deferred`](crate::Deferred) alike, for types with a field
/// `chain`.
macro_rules! chained {
    () => {
        /// Due when `delay` has passed on the server's clock.
        pub fn after(mut self, delay: std::time::Duration) -> Self {
            self.chain.when = $crate::push::when::When::after(delay);
            self
        }

        /// Due at `time`; a time in the past means now.
        pub fn at(mut self, time: chrono::DateTime<chrono::Utc>) -> Self {
            self.chain.when = $crate::push::when::When::at(time);
            self
        }

        /// Overrides [`Job::PRIORITY`](crate::Job::PRIORITY).
        pub fn priority(mut self, priority: $crate::Priority) -> Self {
            self.chain.priority = Some(priority);
            self
        }

        /// Overrides [`Job::ATTEMPTS`](crate::Job::ATTEMPTS). Zero counts as one.
        pub fn attempts(mut self, attempts: u32) -> Self {
            self.chain.options.attempts = Some(attempts);
            self
        }

        /// Overrides [`Job::TIMEOUT`](crate::Job::TIMEOUT), the longest run of one attempt.
        pub fn timeout(mut self, timeout: std::time::Duration) -> Self {
            self.chain.options.timeout_ms = Some($crate::options::millis(timeout));
            self
        }

        /// Overrides [`Job::EXPIRY`](crate::Job::EXPIRY): from `time` on no attempt is *started* any more, and the job ends
        /// as expired. An attempt that runs then goes on. See [`deadline`](Self::deadline) for one that does not.
        pub fn expires(mut self, time: chrono::DateTime<chrono::Utc>) -> Self {
            self.chain.options.expires_ms = Some(time.timestamp_millis());
            self
        }

        /// Overrides [`Job::DEADLINE`](crate::Job::DEADLINE): what the job has not done by `time` is not worth doing. An
        /// attempt that runs then is cut off as timed out, none is started after it, and the job is dead; so it is at
        /// once where the next attempt would be due too late.
        pub fn deadline(mut self, time: chrono::DateTime<chrono::Utc>) -> Self {
            self.chain.options.deadline_ms = Some(time.timestamp_millis());
            self
        }

        /// Overrides [`Job::BACKOFF`](crate::Job::BACKOFF) and [`Job::backoff`](crate::Job::backoff).
        pub fn backoff(mut self, backoff: $crate::Backoff) -> Self {
            self.chain.options.backoff = Some(backoff);
            self
        }

        /// Overrides [`Job::KEEP_RESULT`](crate::Job::KEEP_RESULT): what the handler returns, or how else the job ended, is
        /// kept in Redis for `time` after the end, at most 366 days, for [`Client::result`](crate::Client::result). Zero: not at
        /// all.
        pub fn keep_result(mut self, time: std::time::Duration) -> Self {
            self.chain.options.result_ms = Some($crate::options::millis(time));
            self
        }

        /// Labels that the history keeps, beside any given before: at most 16, each of 1 to 64 bytes without control
        /// characters. One that is given twice counts once.
        pub fn tags<T: Into<String>>(mut self, tags: impl IntoIterator<Item = T>) -> Self {
            for tag in tags {
                let tag = tag.into();
                if !self.chain.options.tags.contains(&tag) {
                    self.chain.options.tags.push(tag);
                }
            }
            self
        }

        /// Overrides [`Job::UNIQUE`](crate::Job::UNIQUE). Where another job holds the unique key, a push stores nothing, or
        /// changes that job while it waits, and returns its id.
        pub fn unique(mut self, unique: $crate::Unique) -> Self {
            self.chain.unique = Some(unique);
            self
        }

        /// No second job with the same payload for `time`: [`Unique::for_time`](crate::Unique::for_time).
        pub fn unique_for(self, time: std::time::Duration) -> Self {
            self.unique($crate::Unique::for_time(time))
        }

        /// The trace that the job belongs to, a [W3C traceparent](https://www.w3.org/TR/trace-context/#traceparent-header).
        /// Default: that of the current span, where the feature `opentelemetry` is on.
        pub fn traceparent(mut self, traceparent: impl Into<String>) -> Self {
            self.chain.traceparent = Some(traceparent.into());
            self
        }
    };
}
pub(crate) use chained;

/// The method of [`Push`](super::Push) and [`PushAll`](super::PushAll), which write to Redis themselves.
macro_rules! chained_durability {
    () => {
        /// Overrides the client's [`durability`](crate::ClientBuilder::durability): how durable the job must be before the
        /// push returns.
        pub fn durability(mut self, durability: $crate::Durability) -> Self {
            self.chain.durability = Some(durability);
            self
        }
    };
}
pub(crate) use chained_durability;

/// What the entries of one push have in common.
pub(crate) struct Template {
    pub(crate) lane: Lane,
    kind: &'static str,
    version: u32,
    options: Options,
    /// The text of the options, where it is the same for all jobs.
    opt: Option<String>,
    traceparent: Option<String>,
    pub(crate) unique: Option<Unique>,
}

impl Chain {
    /// Checks everything that was chained, and the job type's names.
    pub(crate) fn template<J: Job>(&mut self) -> Result<Template, Error> {
        names::check("queue", J::QUEUE)?;
        names::check("kind", J::KIND)?;
        tags::check(&self.options.tags)?;
        self.options.result_ms = self
            .options
            .result_ms
            .or(J::KEEP_RESULT.map(millis))
            .filter(|kept| *kept > 0)
            .map(|kept| kept.min(LONGEST_KEPT_MS));
        let traceparent = match self.traceparent.take() {
            Some(given) => Some(trace::check(given)?),
            None => trace::current_traceparent(),
        };
        Ok(Template {
            lane: self.priority.unwrap_or(J::PRIORITY).lane(),
            kind: J::KIND,
            version: J::VERSION,
            opt: self.options.to_field(),
            options: std::mem::take(&mut self.options),
            traceparent,
            unique: self.unique.or(J::UNIQUE),
        })
    }
}

impl Template {
    /// The entry of a job, and its unique key if it has one.
    pub(crate) fn entry(&self, body: Vec<u8>, id: Uuid, now_ms: i64) -> Result<(Entry, Option<UniqueKey>), Error> {
        let key = self.unique.map(|unique| unique.key(self.kind, &body)).transpose()?;
        let options = match &key {
            Some(key) => Options { unique: Some(key.clone()), ..self.options.clone() }.to_field(),
            None => self.opt.clone(),
        };
        let traceparent = self.traceparent.clone();
        let entry = Entry { version: self.version, options, traceparent, ..Entry::new(self.kind, body, id, now_ms) };
        Ok((entry, key))
    }
}

//! Every Redis key that Millstream uses, in one place. All keys that one script touches share a hash tag (`{mail}`),
//! so the same code runs on one server, behind Sentinel and on Cluster.

use std::fmt;

use uuid::Uuid;

/// The consumer group of a queue's lanes.
pub const WORKERS: &str = "workers";
/// The consumer group of the `done` stream.
pub const RECORDER: &str = "recorder";

/// One of a queue's streams of jobs that may run now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Lane {
    /// Read first.
    High,
    /// The default.
    Normal,
    /// Read last.
    Low,
    /// Jobs that killed two workers: run one at a time, so that the third crash can be blamed on them.
    Suspect,
}

impl Lane {
    /// All lanes; the index of a lane in here is its number in scripts and on the wire.
    pub const ALL: [Lane; 4] = [Lane::High, Lane::Normal, Lane::Low, Lane::Suspect];

    /// The name in the key: `high`, `normal`, `low`, `suspect`.
    pub fn as_str(self) -> &'static str {
        match self {
            Lane::High => "high",
            Lane::Normal => "normal",
            Lane::Low => "low",
            Lane::Suspect => "suspect",
        }
    }

    /// The number of the lane on the wire, 0 to 3.
    pub fn index(self) -> u8 {
        self as u8
    }

    /// The lane of a number on the wire.
    pub fn from_index(index: u8) -> Option<Lane> {
        Lane::ALL.get(usize::from(index)).copied()
    }
}

impl fmt::Display for Lane {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The keys of one queue. Built by [`Client::keys`](crate::Client::keys).
#[derive(Clone, Debug)]
pub struct QueueKeys {
    prefix: String,
}

impl QueueKeys {
    /// The keys of `queue` inside `namespace`.
    pub fn new(namespace: &str, queue: &str) -> Self {
        Self { prefix: format!("{namespace}:{{{queue}}}:") }
    }

    /// What all keys of the queue begin with, for scripts that make the names of unique keys and of job hashes.
    pub fn prefix(&self) -> &str {
        &self.prefix
    }

    fn key(&self, name: &str) -> String {
        [&self.prefix, name].concat()
    }

    /// Stream: jobs to run now, one lane of them.
    pub fn ready(&self, lane: Lane) -> String {
        self.key(&format!("ready:{lane}"))
    }
    /// Zset: ids of delayed jobs and retries by due time in Unix milliseconds.
    pub fn later(&self) -> String {
        self.key("later")
    }
    /// Hash: the jobs of `later` by id.
    pub fn later_jobs(&self) -> String {
        self.key("later:jobs")
    }
    /// Zset: ids of jobs that gave up, by time of death in Unix milliseconds.
    pub fn dead(&self) -> String {
        self.key("dead")
    }
    /// Hash: the jobs of `dead` by id, with their last error.
    pub fn dead_jobs(&self) -> String {
        self.key("dead:jobs")
    }
    /// Stream: packed outcomes on their way to SQL.
    pub fn done(&self) -> String {
        self.key("done")
    }
    /// Hash: consumer to beat, `<consumer>:fin` to the number of the last finish applied.
    pub fn alive(&self) -> String {
        self.key("alive")
    }
    /// Set: ids enqueued under a caller's key in one bucket of the idempotency window.
    pub fn seen(&self, bucket: i64) -> String {
        self.key(&format!("seen:{bucket}"))
    }
    /// String: the job that holds a unique key, as `<id> <until> <place>`.
    pub fn unique(&self, digest: &str) -> String {
        self.key(&format!("unique:{digest}"))
    }
    /// Zset: ids of jobs to drop when met, by the time of the request in Unix milliseconds.
    pub fn cancel(&self) -> String {
        self.key("cancel")
    }
    /// Hash with a TTL: progress, result and checkpoint of one job.
    pub fn job(&self, id: Uuid) -> String {
        self.key(&format!("job:{id}"))
    }
    /// Hash: the number of the last batch enqueued of each outbox, by the outbox's id.
    pub fn outbox(&self) -> String {
        self.key("outbox")
    }
    /// Hash: paused, limits, run-time settings, whether a recorder registered.
    pub fn control(&self) -> String {
        self.key("control")
    }
    /// Hash: how many entries Millstream has deleted from each lane and from `done`, and who counts there.
    pub fn books(&self) -> String {
        self.key("books")
    }
    /// Channel: wake-ups and cancels.
    pub fn signal(&self) -> String {
        self.key("signal")
    }
}

/// Stream: a topic's published events.
pub fn event_log(namespace: &str, topic: &str) -> String {
    format!("{namespace}:{{event:{topic}}}:log")
}

/// Hash: the number of the last batch published of each outbox, by the outbox's id.
pub fn event_outbox(namespace: &str, topic: &str) -> String {
    format!("{namespace}:{{event:{topic}}}:outbox")
}

/// Channel: a topic's broadcasts.
pub fn event_channel(namespace: &str, topic: &str) -> String {
    format!("{namespace}:{{event:{topic}}}")
}

/// Set: names of all queues.
pub fn queues(namespace: &str) -> String {
    format!("{namespace}:queues")
}

/// Set: names of all topics.
pub fn topics(namespace: &str) -> String {
    format!("{namespace}:topics")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_layout_is_the_documented_one() {
        let keys = QueueKeys::new("ms", "mail");
        assert_eq!(keys.ready(Lane::High), "ms:{mail}:ready:high");
        assert_eq!(keys.ready(Lane::Suspect), "ms:{mail}:ready:suspect");
        assert_eq!(keys.later(), "ms:{mail}:later");
        assert_eq!(keys.later_jobs(), "ms:{mail}:later:jobs");
        assert_eq!(keys.dead_jobs(), "ms:{mail}:dead:jobs");
        assert_eq!(keys.done(), "ms:{mail}:done");
        assert_eq!(keys.alive(), "ms:{mail}:alive");
        assert_eq!(keys.seen(3), "ms:{mail}:seen:3");
        assert_eq!(keys.unique("d1g"), "ms:{mail}:unique:d1g");
        assert_eq!(keys.cancel(), "ms:{mail}:cancel");
        assert_eq!(keys.signal(), "ms:{mail}:signal");
        assert_eq!(keys.outbox(), "ms:{mail}:outbox");
        assert_eq!(keys.books(), "ms:{mail}:books");
        assert_eq!(event_outbox("ms", "order_paid"), "ms:{event:order_paid}:outbox");
        assert_eq!(event_log("ms", "order_paid"), "ms:{event:order_paid}:log");
        assert_eq!(event_channel("ms", "cursor_moved"), "ms:{event:cursor_moved}");
        assert_eq!(queues("ms"), "ms:queues");
    }
}

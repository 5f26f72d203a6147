//! Until when a job may start and run: what its push said, or else its type. Pure: time is an argument.

use std::time::Duration;

use millstream_queue::{Entry, Options};

use crate::handler::Policy;

/// The ends that time sets to a job.
#[derive(Clone, Copy, Debug)]
pub(super) struct Times {
    timeout: Duration,
    /// Unix milliseconds from which on no attempt starts, and the job ends as expired.
    expires_ms: Option<i64>,
    /// Unix milliseconds at which an attempt is cut off, from which on none starts, and the job is dead.
    pub(super) deadline_ms: Option<i64>,
}

/// The longest run of an attempt.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Longest {
    pub(crate) time: Duration,
    /// The job's deadline ends the attempt before its time-out does.
    is_deadline: bool,
}

impl Times {
    pub(super) fn of(entry: &Entry, options: &Options, policy: Option<&Policy>) -> Self {
        let of_type = |time: Option<Duration>| {
            time.map(|time| entry.at_ms.saturating_add(i64::try_from(time.as_millis()).unwrap_or(i64::MAX)))
        };
        let timeout = options.timeout_ms.map(Duration::from_millis);
        Self {
            timeout: timeout.or(policy.map(|policy| policy.timeout)).unwrap_or_default(),
            expires_ms: options.expires_ms.or_else(|| of_type(policy?.expiry)),
            deadline_ms: options.deadline_ms.or_else(|| of_type(policy?.deadline)),
        }
    }

    pub(super) fn have_expired(&self, now_ms: i64) -> bool {
        self.expires_ms.is_some_and(|expires_ms| expires_ms <= now_ms)
    }

    pub(super) fn are_over(&self, now_ms: i64) -> bool {
        self.deadline_ms.is_some_and(|deadline_ms| deadline_ms <= now_ms)
    }

    pub(super) fn longest(&self, now_ms: i64) -> Longest {
        let left = self.deadline_ms.map(|deadline_ms| u64::try_from(deadline_ms.saturating_sub(now_ms)).unwrap_or(0));
        match left.map(Duration::from_millis) {
            Some(time) if time < self.timeout => Longest { time, is_deadline: true },
            _ => Longest { time: self.timeout, is_deadline: false },
        }
    }
}

impl Longest {
    /// What is said of an attempt that was cut off.
    pub(crate) fn exceeded(self) -> String {
        if self.is_deadline {
            format!("timed out at its deadline, after {:?}", self.time)
        } else {
            format!("timed out after {:?}", self.time)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn times(options: &str) -> Times {
        let entry = Entry::new("k", "{}", uuid::Uuid::nil(), 1_000);
        Times::of(&entry, &Options::parse(Some(options)), None)
    }

    #[test]
    fn the_earlier_of_time_out_and_deadline_ends_an_attempt() {
        let times = times(r#"{"timeout_ms":500,"deadline_ms":2000,"expires_ms":1800}"#);
        assert_eq!(times.longest(1_000).exceeded(), "timed out after 500ms");
        assert_eq!(times.longest(1_700).exceeded(), "timed out at its deadline, after 300ms");
        assert_eq!(times.longest(9_000).time, Duration::ZERO);
        assert_eq!((times.have_expired(1_799), times.have_expired(1_800)), (false, true));
        assert_eq!((times.are_over(1_999), times.are_over(2_000)), (false, true));
    }

    #[test]
    fn extreme_times_do_not_overflow() {
        let latest = times(&format!(r#"{{"timeout_ms":{},"deadline_ms":{}}}"#, u64::MAX, i64::MAX));
        assert_eq!(latest.longest(i64::MIN).time, Duration::from_millis(i64::MAX as u64));
        let earliest = times(&format!(r#"{{"deadline_ms":{}}}"#, i64::MIN));
        assert!(earliest.are_over(0) && earliest.longest(i64::MAX).time.is_zero());
    }
}

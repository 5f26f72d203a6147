//! What becomes of a job when a run of it has ended. Pure: randomness and time are arguments.

use std::time::Duration;

use millstream_queue::{Backoff, Entry, State};

use crate::{
    failure::{Failure, Verdict},
    settings::PARKED_FOR,
};

/// How a run ended.
#[derive(Debug)]
pub(super) enum Ending {
    /// The handler returned Ok, with its result as JSON.
    Completed(Option<Vec<u8>>),
    /// The handler returned a failure, panicked, or ran out of time.
    Failed(Failure),
    /// Someone asked to cancel the job.
    Cancelled,
    /// Cut off at shutdown.
    Interrupted,
    /// No handler here understands it.
    Parked,
    /// Not started: its expiry had passed.
    Expired,
}

/// Where the job goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// Nowhere: it is over.
    Gone,
    /// To its lane, at once.
    Ready,
    /// To `later`.
    Later(Duration),
    /// To the dead letters.
    Dead,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) struct Decision {
    pub(super) state: State,
    pub(super) next: Next,
    /// The attempt that runs next, where one does.
    pub(super) next_attempt: u32,
    pub(super) error: Option<String>,
}

/// The limits of a job: its type's, or those of its push.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    pub(super) attempts: u32,
    pub(super) backoff: Backoff,
}

pub(super) fn decide(entry: &Entry, ending: &Ending, limits: Limits, jitter: f64, now_ms: i64) -> Decision {
    let over = |state, next, error| Decision { state, next, next_attempt: entry.attempt, error };
    match ending {
        Ending::Completed(_) => over(State::Completed, Next::Gone, None),
        Ending::Interrupted => {
            let reason = "handed back: the worker shut down before the job was done".to_owned();
            over(State::Interrupted, Next::Ready, Some(reason))
        }
        Ending::Cancelled => over(State::Cancelled, Next::Gone, Some("cancelled on request".to_owned())),
        Ending::Parked => park(entry, now_ms),
        Ending::Expired => {
            over(State::Expired, Next::Gone, Some("its expiry had passed before it could run".to_owned()))
        }
        Ending::Failed(failure) => {
            let error = Some(failure.to_string());
            let is_last = entry.attempt >= limits.attempts;
            let retry = |delay| Decision {
                state: State::Failed,
                next: Next::Later(delay),
                next_attempt: entry.attempt.saturating_add(1),
                error: error.clone(),
            };
            match failure.verdict {
                Verdict::Snooze(delay) => over(State::Snoozed, Next::Later(delay), error),
                Verdict::Cancel => over(State::Cancelled, Next::Gone, error),
                Verdict::Dead => over(State::Dead, Next::Dead, error),
                Verdict::Retry | Verdict::RetryIn(_) if is_last => over(State::Dead, Next::Dead, error),
                Verdict::RetryIn(delay) => retry(delay),
                Verdict::Retry => retry(limits.backoff.delay(entry.attempt, jitter)),
            }
        }
    }
}

/// A job that this program does not understand waits for one that does, for a day at most.
fn park(entry: &Entry, now_ms: i64) -> Decision {
    let what = format!("no handler for the kind {:?} in version {}", entry.kind, entry.version);
    let waited = Duration::from_millis(u64::try_from(now_ms.saturating_sub(entry.at_ms)).unwrap_or(0));
    let (state, next, error) = if waited > PARKED_FOR {
        (State::Dead, Next::Dead, format!("{what} on any worker for {} hours", waited.as_secs() / 3600))
    } else {
        let longest = Duration::from_secs(10 * 60);
        let backoff = Backoff::Exponential { first: Duration::from_secs(5), most: longest };
        (State::Parked, Next::Later(backoff.delay(entry.run, 0.5)), format!("{what} on this worker"))
    };
    Decision { state, next, next_attempt: entry.attempt, error: Some(error) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: Limits = Limits { attempts: 3, backoff: Backoff::DEFAULT };

    fn entry(attempt: u32) -> Entry {
        Entry { attempt, ..Entry::new("k", "{}", uuid::Uuid::nil(), 0) }
    }

    fn decide_failure(attempt: u32, failure: Failure) -> (State, Next, u32) {
        let decision = decide(&entry(attempt), &Ending::Failed(failure), LIMITS, 0.5, 0);
        (decision.state, decision.next, decision.next_attempt)
    }

    #[test]
    fn failures_are_retried_until_the_attempts_are_used_up() {
        let sixteen = Next::Later(Duration::from_secs(16));
        assert_eq!(decide_failure(1, "x".into()), (State::Failed, sixteen, 2));
        assert_eq!(decide_failure(3, "x".into()), (State::Dead, Next::Dead, 3));
        assert_eq!(decide_failure(u32::MAX, "x".into()), (State::Dead, Next::Dead, u32::MAX));
    }

    #[test]
    fn a_failure_may_choose() {
        let second = Duration::from_secs(1);
        assert_eq!(decide_failure(1, Failure::retry_in(second, "x")), (State::Failed, Next::Later(second), 2));
        assert_eq!(decide_failure(3, Failure::snooze(second, "x")), (State::Snoozed, Next::Later(second), 3));
        assert_eq!(decide_failure(1, Failure::cancel("x")), (State::Cancelled, Next::Gone, 1));
        assert_eq!(decide_failure(1, Failure::dead("x")), (State::Dead, Next::Dead, 1));
    }

    #[test]
    fn what_nobody_understands_waits_a_day() {
        let parked = |now_ms| decide(&entry(1), &Ending::Parked, LIMITS, 0.5, now_ms).state;
        assert_eq!(parked(1000), State::Parked);
        assert_eq!(parked(25 * 3600 * 1000), State::Dead);
        let odd = Entry::new("k", "{}", uuid::Uuid::nil(), i64::MIN);
        assert_eq!(decide(&odd, &Ending::Parked, LIMITS, 0.5, i64::MAX).state, State::Dead);
    }
}

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
    /// Not started: its deadline had passed.
    TooLate,
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

impl Next {
    /// How long the job waits there.
    pub(super) fn delay(self) -> Duration {
        if let Next::Later(delay) = self { delay } else { Duration::ZERO }
    }
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
    /// The job type's own delay, which comes before `backoff` where it gives one.
    pub(super) chosen_backoff: Option<fn(u32, &str) -> Option<Duration>>,
    /// Unix milliseconds from which on no attempt starts.
    pub(super) deadline_ms: Option<i64>,
}

impl Limits {
    fn delay(&self, attempt: u32, error: &str, jitter: f64) -> Duration {
        // A panic in there must not take the job's finish with it.
        let chosen =
            self.chosen_backoff.and_then(|chosen| std::panic::catch_unwind(|| chosen(attempt, error)).ok().flatten());
        chosen.unwrap_or_else(|| self.backoff.delay(attempt, jitter))
    }

    /// Whether an attempt that is due in `delay` would start too late.
    fn is_too_late(&self, now_ms: i64, delay: Duration) -> bool {
        let due_ms = now_ms.saturating_add(i64::try_from(delay.as_millis()).unwrap_or(i64::MAX));
        self.deadline_ms.is_some_and(|deadline_ms| deadline_ms <= due_ms)
    }
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
        Ending::TooLate => {
            let reason = format!("its deadline had passed before attempt {} could start", entry.attempt);
            over(State::Dead, Next::Dead, Some(reason))
        }
        Ending::Failed(failure) => {
            let error = failure.to_string();
            let is_last = entry.attempt >= limits.attempts;
            let again = |state, delay, next_attempt, error: String| {
                if limits.is_too_late(now_ms, delay) {
                    let reason = format!("{error} (no further attempt before its deadline)");
                    return over(State::Dead, Next::Dead, Some(reason));
                }
                Decision { state, next: Next::Later(delay), next_attempt, error: Some(error) }
            };
            let next_attempt = entry.attempt.saturating_add(1);
            match failure.verdict {
                Verdict::Snooze(delay) => again(State::Snoozed, delay, entry.attempt, error),
                Verdict::Cancel => over(State::Cancelled, Next::Gone, Some(error)),
                Verdict::Dead => over(State::Dead, Next::Dead, Some(error)),
                Verdict::Retry | Verdict::RetryIn(_) if is_last => over(State::Dead, Next::Dead, Some(error)),
                Verdict::RetryIn(delay) => again(State::Failed, delay, next_attempt, error),
                Verdict::Retry => {
                    again(State::Failed, limits.delay(entry.attempt, &error, jitter), next_attempt, error)
                }
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

    const LIMITS: Limits = Limits { attempts: 3, backoff: Backoff::DEFAULT, chosen_backoff: None, deadline_ms: None };

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
    fn a_job_type_may_choose_the_delay_by_attempt_and_error() {
        fn chosen(attempt: u32, error: &str) -> Option<Duration> {
            assert_ne!(error, "a panic");
            (error == "slow down").then(|| Duration::from_secs(60 * u64::from(attempt)))
        }
        let limits = Limits { chosen_backoff: Some(chosen), ..LIMITS };
        let next = |error: &str| decide(&entry(2), &Ending::Failed(error.into()), limits, 0.5, 0).next;
        assert_eq!(next("slow down"), Next::Later(Duration::from_secs(120)));
        assert_eq!(next("gone"), Next::Later(Duration::from_secs(31)));
        assert_eq!(next("a panic"), Next::Later(Duration::from_secs(31)));
    }

    #[test]
    fn a_job_is_dead_where_its_next_attempt_would_start_too_late() {
        let limits = Limits { deadline_ms: Some(20_000), ..LIMITS };
        let decide_at = |now_ms, failure| decide(&entry(1), &Ending::Failed(failure), limits, 0.5, now_ms);
        assert_eq!(decide_at(3_999, "x".into()).state, State::Failed);
        let late = decide_at(4_000, "x".into());
        assert_eq!((late.state, late.next), (State::Dead, Next::Dead));
        assert_eq!(late.error.as_deref(), Some("x (no further attempt before its deadline)"));
        assert_eq!(decide_at(0, Failure::snooze(Duration::MAX, "x")).state, State::Dead);
        assert_eq!(decide(&entry(2), &Ending::TooLate, limits, 0.5, 30_000).state, State::Dead);
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

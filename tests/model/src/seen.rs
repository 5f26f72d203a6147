//! Rule 24: a push under a key looks for it in the buckets b-1, b and b+1 of its clock, so that a step of that clock does not
//! open the window again.

use std::fmt;

use crate::search::{Model, Steps};

/// A window, in units of time; the clock starts in the middle of its third.
const WINDOW: u8 = 4;
const START: u8 = 2 * WINDOW + WINDOW / 2;

/// A client pushes under one key again and again.
#[derive(Clone, Copy, Debug, Default)]
pub struct SeenKeys {
    /// The rule that is missing.
    pub without: Option<SeenMutant>,
}

/// A mistake built into the look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SeenMutant {
    /// Only the bucket of now is looked at.
    OneBucket,
    /// The bucket of now and the one before.
    NoBucketAhead,
    /// A bucket expires after one window.
    ShortLived,
}

/// The mutants of rule 24.
pub const SEEN_MUTANTS: &[SeenMutant] = &[SeenMutant::OneBucket, SeenMutant::NoBucketAhead, SeenMutant::ShortLived];

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
/// A state of the seen keys.
pub struct SeenState {
    /// The client's clock.
    clock: u8,
    can_step: bool,
    /// The bucket in which the key stands, and how long it will.
    seen: Option<(u8, u8)>,
    /// Observed: since the job was stored, time that has passed and steps of the clock, together.
    since_stored: Option<u8>,
    is_doubled: bool,
}

/// A step of the seen keys.
#[derive(Clone, Copy, Debug)]
pub enum SeenAction {
    /// A unit of time passes.
    Pass,
    /// The clock is set forth or back.
    Set(i8),
    /// The key is pushed.
    Push,
}

impl SeenKeys {
    /// The script of a push; whether the job is stored.
    fn push(&self, next: &mut SeenState) -> bool {
        let bucket = next.clock / WINDOW;
        let is_near = |seen: u8| match self.without {
            Some(SeenMutant::OneBucket) => seen == bucket,
            Some(SeenMutant::NoBucketAhead) => seen == bucket || seen + 1 == bucket,
            _ => seen.abs_diff(bucket) <= 1,
        };
        if next.seen.is_some_and(|(seen, _)| is_near(seen)) {
            return false;
        }
        let lives = if self.without == Some(SeenMutant::ShortLived) { WINDOW / 2 } else { 2 * WINDOW };
        next.seen = Some((bucket, lives));
        true
    }
}

impl Model for SeenKeys {
    type State = SeenState;
    type Action = SeenAction;

    fn initial(&self) -> SeenState {
        SeenState { clock: START, can_step: true, seen: None, since_stored: None, is_doubled: false }
    }

    fn steps(&self, state: &SeenState, out: &mut Steps<SeenState, SeenAction>) {
        if state.clock < 5 * WINDOW {
            out.step(state, SeenAction::Pass, |next| {
                next.clock += 1;
                next.since_stored = next.since_stored.map(|since| since.saturating_add(1));
                next.seen = match next.seen {
                    Some((bucket, left @ 2..)) => Some((bucket, left - 1)),
                    _ => None,
                };
            });
        }
        if state.can_step {
            for by in -(WINDOW as i8)..=WINDOW as i8 {
                out.fault(state, SeenAction::Set(by), |next| {
                    next.can_step = false;
                    next.clock = next.clock.saturating_add_signed(by);
                    next.since_stored = next.since_stored.map(|since| since.saturating_add(by.unsigned_abs()));
                });
            }
        }
        out.step(state, SeenAction::Push, |next| {
            if self.push(next) {
                next.is_doubled = next.since_stored.is_some_and(|since| since < WINDOW);
                next.since_stored = Some(0);
            }
        });
    }

    fn broken(&self, state: &SeenState) -> Option<&'static str> {
        state.is_doubled.then_some("a key is stored twice within its window")
    }

    fn is_settled(&self, _: &SeenState) -> bool {
        true
    }
}

impl fmt::Display for SeenAction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Pass => write!(f, "a quarter of a window passes"),
            Self::Set(by) => write!(f, "the clock is set by {by} quarters of a window"),
            Self::Push => write!(f, "the key is pushed"),
        }
    }
}

//! Leases: rules 2, 3, 4 and 6, in time. One consumer beats, another watches it; time goes in beats.
//!
//! Of a counter only one thing matters: whether it has moved since it was seen. So a state has no clock and no counter, and
//! runs of any length are searched.

use std::fmt;

use crate::search::{Model, Steps};

/// A lease, in beats.
const LEASE: u8 = 10;
/// Looks further apart than this prove nothing.
const LONGEST_GAP: u8 = 2;
/// A holder of a slot or a lock is cancelled this long after the sending of its last confirmed beat.
const LOST_AFTER: u8 = 8;

/// Beats, looks and fences under faults.
#[derive(Clone, Copy, Debug, Default)]
pub struct Lease {
    /// The rule that is missing.
    pub without: Option<LeaseMutant>,
}

/// A mistake built into the leases.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LeaseMutant {
    /// Rule 3: a fence does not ask whether the counter still stands where it was seen.
    FenceWithoutCounterCheck,
    /// Rule 3: a gap between looks does not start the watch afresh.
    GapsCount,
    /// Rule 4: an error is taken for "not alive".
    ErrorTakenForFenced,
    /// Rule 2: a beat enters a consumer again that was fenced.
    BeatRecreatesItsEntry,
    /// Rule 6: a holder is cancelled only when it is fenced.
    HolderCancelledLate,
    /// Rule 6: the age of a beat is taken from its confirmation, not from its sending.
    AgeFromTheReply,
}

/// The mutants of the leases.
pub const LEASE_MUTANTS: &[LeaseMutant] = &[
    LeaseMutant::FenceWithoutCounterCheck,
    LeaseMutant::GapsCount,
    LeaseMutant::ErrorTakenForFenced,
    LeaseMutant::BeatRecreatesItsEntry,
    LeaseMutant::HolderCancelledLate,
    LeaseMutant::AgeFromTheReply,
];

/// What happens to a beat of the watched consumer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Beat {
    /// It is applied and confirmed.
    Confirmed,
    /// It is applied, and the process freezes before it reads the reply.
    ConfirmedUnread,
    /// It is applied, the reply lost.
    ReplyLost,
    /// It is lost.
    Lost,
    /// The process is frozen.
    Frozen,
}

/// A step of the leases.
#[derive(Clone, Copy, Debug)]
pub enum LeaseAction {
    /// A beat's time passes while the server is there; whether the watcher looks before the beat.
    Pass {
        /// What becomes of the beat.
        beat: Beat,
        /// Whether the watcher looks first.
        looks_first: bool,
        /// Whether the fence that the look carries arrives much later.
        fence_is_late: bool,
    },
    /// The same while the server is away.
    Outage,
    /// A fence arrives that was sent long ago.
    LateFence,
    /// The watched process is killed.
    Kill,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
/// A state of the leases.
pub struct LeaseState {
    is_alive: bool,
    is_dead: bool,
    /// The consumer has ended its term.
    has_given_up: bool,
    /// For how long the watcher has seen the counter stand still, if it has seen it.
    still_for: Option<u8>,
    has_moved_since_seen: bool,
    since_last_look: u8,
    /// Since the sending of the last confirmed beat.
    age: u8,
    /// A reply that the frozen process has not read, and since when its beat was sent.
    unread: Option<u8>,
    is_cancelled: bool,
    /// A fence on its way, and whether the counter has moved since it was sent.
    late_fence: Option<bool>,
    /// Observed: in the time without a beat, the consumer itself was at fault.
    is_own_fault: bool,
    is_frozen: bool,
    broken: Option<&'static str>,
}

impl Lease {
    fn lacks(&self, mutant: LeaseMutant) -> bool {
        self.without == Some(mutant)
    }

    fn pass(&self, next: &mut LeaseState, beat: Beat, looks_first: bool, fence_is_late: bool) {
        next.still_for = next.still_for.map(|for_so_long| (for_so_long + 1).min(LEASE));
        next.since_last_look = (next.since_last_look + 1).min(LONGEST_GAP + 1);
        next.age = (next.age + 1).min(LEASE);
        next.unread = next.unread.map(|since| (since + 1).min(LEASE));
        next.is_frozen = beat == Beat::Frozen;
        if !next.is_frozen {
            if let Some(since) = next.unread.take() {
                next.age = if self.lacks(LeaseMutant::AgeFromTheReply) { 0 } else { next.age.min(since) };
            }
            // Who wakes up looks at the age of its last beat before anything else.
            self.check_age(next);
        }
        if looks_first {
            self.look(next, fence_is_late);
            self.beat(next, beat);
        } else {
            self.beat(next, beat);
            self.look(next, fence_is_late);
        }
    }

    /// The beat script as the watched consumer calls it.
    fn beat(&self, next: &mut LeaseState, beat: Beat) {
        if next.is_dead || next.has_given_up || matches!(beat, Beat::Lost | Beat::Frozen) {
            next.is_own_fault = true;
            return;
        }
        if !next.is_alive {
            if self.lacks(LeaseMutant::BeatRecreatesItsEntry) {
                next.is_alive = true;
                next.broken = Some("a consumer that was fenced is alive again");
            }
            next.has_given_up |= beat != Beat::ReplyLost;
            return;
        }
        next.has_moved_since_seen = true;
        next.late_fence = next.late_fence.map(|_| true);
        next.is_own_fault = false;
        match beat {
            Beat::Confirmed => next.age = 0,
            Beat::ConfirmedUnread => {
                next.unread = Some(0);
                next.is_frozen = true;
            }
            _ => {}
        }
    }

    /// The watcher's beat: the fence of what stood still, and a look.
    fn look(&self, next: &mut LeaseState, fence_is_late: bool) {
        let is_gap = next.since_last_look > LONGEST_GAP && !self.lacks(LeaseMutant::GapsCount);
        if !is_gap && next.still_for == Some(LEASE) {
            if fence_is_late {
                next.late_fence = Some(next.has_moved_since_seen);
            } else {
                self.fence(next, next.has_moved_since_seen);
            }
        }
        let goes_on = next.still_for.is_some() && !next.has_moved_since_seen && !is_gap;
        next.still_for = next.is_alive.then_some(if goes_on { next.still_for.unwrap_or(0) } else { 0 });
        next.has_moved_since_seen = false;
        next.since_last_look = 0;
    }

    fn fence(&self, next: &mut LeaseState, has_moved: bool) {
        if !next.is_alive || (has_moved && !self.lacks(LeaseMutant::FenceWithoutCounterCheck)) {
            return;
        }
        next.is_alive = false;
        if has_moved {
            next.broken = Some("a consumer is fenced that has beaten since it was seen");
        } else if !next.is_own_fault {
            next.broken = Some("a living consumer is fenced because the server was away");
        } else if !next.is_cancelled && !next.is_frozen && !next.is_dead && !next.has_given_up {
            next.broken = Some("a consumer is fenced before its handlers were cancelled");
        }
    }

    fn check_age(&self, next: &mut LeaseState) {
        next.is_cancelled |= next.age >= LOST_AFTER && !self.lacks(LeaseMutant::HolderCancelledLate);
    }
}

impl Model for Lease {
    type State = LeaseState;
    type Action = LeaseAction;

    fn initial(&self) -> LeaseState {
        LeaseState {
            is_alive: true,
            is_dead: false,
            has_given_up: false,
            still_for: None,
            has_moved_since_seen: false,
            since_last_look: LONGEST_GAP + 1,
            age: 0,
            is_cancelled: false,
            unread: None,
            late_fence: None,
            is_own_fault: false,
            is_frozen: false,
            broken: None,
        }
    }

    fn steps(&self, state: &LeaseState, out: &mut Steps<LeaseState, LeaseAction>) {
        for beat in [Beat::Confirmed, Beat::ConfirmedUnread, Beat::ReplyLost, Beat::Lost, Beat::Frozen] {
            for looks_first in [false, true] {
                for fence_is_late in [false, true] {
                    let action = LeaseAction::Pass { beat, looks_first, fence_is_late };
                    let change = |next: &mut LeaseState| self.pass(next, beat, looks_first, fence_is_late);
                    if beat == Beat::Confirmed && !fence_is_late {
                        out.step(state, action, change);
                    } else {
                        out.fault(state, action, change);
                    }
                }
            }
        }
        out.fault(state, LeaseAction::Outage, |next| {
            next.still_for = next.still_for.map(|for_so_long| (for_so_long + 1).min(LEASE));
            next.since_last_look = (next.since_last_look + 1).min(LONGEST_GAP + 1);
            next.age = (next.age + 1).min(LEASE);
            next.unread = next.unread.map(|since| (since + 1).min(LEASE));
            if !next.is_frozen {
                self.check_age(next);
            }
            if self.lacks(LeaseMutant::ErrorTakenForFenced) && !next.is_dead && next.is_alive {
                next.has_given_up = true;
                next.broken = Some("a consumer gives up although it is alive");
            }
        });
        if let Some(has_moved) = state.late_fence {
            out.fault(state, LeaseAction::LateFence, |next| {
                next.late_fence = None;
                self.fence(next, has_moved);
            });
        }
        if !state.is_dead {
            out.fault(state, LeaseAction::Kill, |next| next.is_dead = true);
        }
    }

    fn broken(&self, state: &LeaseState) -> Option<&'static str> {
        state.broken
    }

    /// A dead consumer is fenced, and a fenced one learns of it.
    fn is_settled(&self, state: &LeaseState) -> bool {
        state.is_alive != (state.is_dead || state.has_given_up)
    }
}

impl fmt::Display for LeaseAction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Pass { beat, looks_first, fence_is_late } => {
                let order = if *looks_first { "after" } else { "before" };
                let late = if *fence_is_late { ", whose fence is under way for long" } else { "" };
                write!(f, "a beat ({beat:?}) {order} a look{late}")
            }
            Self::Outage => write!(f, "the server is away for a beat"),
            Self::LateFence => write!(f, "a late fence arrives"),
            Self::Kill => write!(f, "the process is killed"),
        }
    }
}

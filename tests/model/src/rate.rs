//! Rule 11: a queue with a rate is read by one script that charges what it delivered.

use std::fmt;

use crate::search::{Model, Steps};

/// Permits that are granted over a run, at two times.
const GRANTS: [u8; 2] = [1, 1];
const JOBS: u8 = 3;
const WORKERS: usize = 2;

/// Two workers read a queue with a rate.
#[derive(Clone, Copy, Debug, Default)]
pub struct RatedQueue {
    /// The rule that is missing.
    pub without: Option<RateMutant>,
}

/// A mistake built into the reading.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RateMutant {
    /// The permits are looked at by one command and charged by another.
    ReadAndChargeApart,
    /// What was asked for is charged, not what was delivered.
    ChargesTheCount,
    /// A re-read is charged again.
    ChargesRereads,
}

/// The mutants of rule 11.
pub const RATE_MUTANTS: &[RateMutant] =
    &[RateMutant::ReadAndChargeApart, RateMutant::ChargesTheCount, RateMutant::ChargesRereads];

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
/// A state of a rated queue.
pub struct RateState {
    granted: u8,
    grants: u8,
    permits: u8,
    waiting: u8,
    pushed: u8,
    delivered: u8,
    finished: u8,
    /// Of each worker: jobs in hand, jobs that a lost reply delivered, permits it has seen.
    hand: [u8; WORKERS],
    unseen: [u8; WORKERS],
    seen: [Option<u8>; WORKERS],
    losses: u8,
}

/// A step of a rated queue.
#[derive(Clone, Copy, Debug)]
pub enum RateAction {
    /// Time grants a permit.
    Grant,
    /// A job is pushed.
    Push,
    /// A worker reads.
    Read(usize),
    /// A worker reads, and the reply is lost.
    ReadLost(usize),
    /// A worker re-reads what is pending for it.
    Reread(usize),
    /// A mutant looks at the permits.
    Look(usize),
    /// A worker finishes what it has.
    Finish(usize),
}

impl RatedQueue {
    fn lacks(&self, mutant: RateMutant) -> bool {
        self.without == Some(mutant)
    }

    /// The script: reads at most `most`, without blocking, and charges.
    fn read(&self, next: &mut RateState, most: u8) -> u8 {
        let delivered = most.min(next.waiting);
        let charged = if self.lacks(RateMutant::ChargesTheCount) { most } else { delivered };
        next.waiting -= delivered;
        next.delivered += delivered;
        next.permits = next.permits.saturating_sub(charged);
        delivered
    }
}

impl Model for RatedQueue {
    type State = RateState;
    type Action = RateAction;

    fn initial(&self) -> RateState {
        RateState { losses: 1, ..RateState::default() }
    }

    fn steps(&self, state: &RateState, out: &mut Steps<RateState, RateAction>) {
        if let Some(permits) = GRANTS.get(usize::from(state.grants)) {
            out.step(state, RateAction::Grant, |next| {
                next.grants += 1;
                next.granted += permits;
                next.permits += permits;
            });
        }
        if state.pushed < JOBS {
            out.step(state, RateAction::Push, |next| {
                next.pushed += 1;
                next.waiting += 1;
            });
        }
        for worker in 0..WORKERS {
            let mut permits = Some(state.permits);
            if self.lacks(RateMutant::ReadAndChargeApart) {
                out.step(state, RateAction::Look(worker), |next| next.seen[worker] = Some(next.permits));
                permits = state.seen[worker];
            }
            if let Some(most @ 1..) = permits {
                out.step(state, RateAction::Read(worker), |next| {
                    next.seen[worker] = None;
                    next.hand[worker] += self.read(next, most);
                });
                if state.losses > 0 {
                    out.fault(state, RateAction::ReadLost(worker), |next| {
                        next.losses -= 1;
                        next.seen[worker] = None;
                        next.unseen[worker] += self.read(next, most);
                    });
                }
            }
            if state.unseen[worker] > 0 {
                out.step(state, RateAction::Reread(worker), |next| {
                    let found = std::mem::take(&mut next.unseen[worker]);
                    next.hand[worker] += found;
                    if self.lacks(RateMutant::ChargesRereads) {
                        next.permits = next.permits.saturating_sub(found);
                    }
                });
            }
            if state.hand[worker] > 0 {
                out.step(state, RateAction::Finish(worker), |next| {
                    next.finished += std::mem::take(&mut next.hand[worker]);
                });
            }
        }
    }

    fn broken(&self, state: &RateState) -> Option<&'static str> {
        if state.delivered > state.granted {
            Some("more jobs are delivered than the rate allows")
        } else if state.delivered + state.permits < state.granted {
            Some("permits are charged for which no job was delivered")
        } else {
            None
        }
    }

    /// As many jobs as there are permits for are done.
    fn is_settled(&self, state: &RateState) -> bool {
        state.grants as usize == GRANTS.len() && state.finished == GRANTS.iter().sum::<u8>().min(JOBS)
    }
}

impl fmt::Display for RateAction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Grant => write!(f, "a permit is granted"),
            Self::Push => write!(f, "a job is pushed"),
            Self::Read(worker) => write!(f, "worker {worker} reads"),
            Self::ReadLost(worker) => write!(f, "worker {worker} reads, and the reply is lost"),
            Self::Reread(worker) => write!(f, "worker {worker} reads again"),
            Self::Look(worker) => write!(f, "worker {worker} looks at the permits"),
            Self::Finish(worker) => write!(f, "worker {worker} finishes"),
        }
    }
}

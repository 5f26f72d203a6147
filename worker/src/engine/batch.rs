//! A batch of ended runs, as the arguments of one finish.

use std::{fmt::Write, time::Duration};

use millstream_queue::{Lane, keys::WORKERS};
use redis::ScriptInvocation;
use uuid::Uuid;

use super::{hands::Place, lease::Lease, scripts, solitude::Alone};
use crate::settings::{BATCH, DEAD_KEPT, DEAD_KEPT_FOR};

/// Bytes of outcomes in a pack, at most (one outcome may be larger).
const PACK_BYTES: usize = 1024 * 1024;

/// A run that has ended, on its way to Redis.
#[derive(Debug)]
pub(super) struct Finished {
    pub(super) place: Place,
    pub(super) job: Uuid,
    /// The packed outcome; empty where the job type keeps none.
    pub(super) outcome: Vec<u8>,
    pub(super) step: Option<Step>,
    /// What becomes of the job's hash, where it has one.
    pub(super) report: Option<Step>,
    /// Keeps all other jobs of the process waiting until the finish of a suspect is confirmed.
    pub(super) _alone: Option<Box<Alone>>,
}

/// A move of a job that is not over, or is dead; or what else its end asks for.
#[derive(Debug)]
pub(super) struct Step {
    to: &'static str,
    /// A lane's number, or a delay in milliseconds.
    number: u64,
    /// The packed job, its unique key, or fields of its hash.
    packed: Vec<u8>,
}

impl Step {
    pub(super) fn ready(lane: Lane, packed: Vec<u8>) -> Self {
        Self { to: "ready", number: u64::from(lane.index()), packed }
    }

    pub(super) fn later(delay: Duration, packed: Vec<u8>) -> Self {
        // 2^48 ms are 8,900 years: what is beyond would lose digits as a score.
        let ms = u64::try_from(delay.as_millis()).unwrap_or(u64::MAX).min(1 << 48);
        Self { to: "later", number: ms, packed }
    }

    pub(super) fn dead(packed: Vec<u8>) -> Self {
        Self { to: "dead", number: 0, packed }
    }

    /// The job is over: its unique key, if it holds one, is free, and requests to cancel it are void.
    pub(super) fn over(unique_key: Option<String>) -> Self {
        Self { to: "over", number: 0, packed: unique_key.unwrap_or_default().into_bytes() }
    }

    /// Fields of the job's hash, which lives on for `kept`.
    pub(super) fn report(kept: Duration, packed: Vec<u8>) -> Self {
        Self { to: "report", ..Self::later(kept, packed) }
    }

    /// The same for a job that has ended, of which those who wait for its result are told.
    pub(super) fn result(kept: Duration, packed: Vec<u8>) -> Self {
        Self { to: "result", ..Self::later(kept, packed) }
    }
}

/// Runs that are finished together, in the order of their lanes.
#[derive(Debug, Default)]
pub(super) struct Batch {
    finished: Vec<Finished>,
}

impl Batch {
    /// Takes a batch out of what has gathered: at most 512 runs and one mebibyte of outcomes.
    pub(super) fn take_from(gathered: &mut Vec<Finished>) -> Self {
        let mut bytes = 0;
        let fits = |finished: &&Finished| {
            let is_first = bytes == 0;
            bytes += finished.outcome.len() + 1;
            is_first || bytes <= PACK_BYTES
        };
        let count = gathered.iter().take(BATCH).take_while(fits).count();
        let mut finished: Vec<_> = gathered.drain(..count).collect();
        finished.sort_by_key(|finished| finished.place.lane);
        Self { finished }
    }

    pub(super) fn places(&self) -> impl Iterator<Item = &Place> {
        self.finished.iter().map(|finished| &finished.place)
    }

    /// The finish number `number`, on the server `server`: careful where an entry was read from another.
    pub(super) fn call(&self, lease: &Lease, number: u64, server: u32) -> ScriptInvocation<'static> {
        let mut call = scripts::finish(lease.keys());
        call.arg(lease.consumer()).arg(number).arg(WORKERS).arg(lease.keys().signal()).arg(lease.keys().prefix());
        call.arg(DEAD_KEPT).arg(DEAD_KEPT_FOR.as_millis() as u64);
        self.add_outcomes(&mut call);
        let is_careful = self.places().any(|place| place.server != server);
        call.arg(if is_careful { self.job_ids() } else { String::new() });
        for lane in Lane::ALL {
            call.arg(self.places().filter(|place| place.lane == lane).count());
        }
        for place in self.places() {
            call.arg(place.position.to_string());
        }
        for (index, finished) in self.finished.iter().enumerate() {
            for step in finished.step.iter().chain(&finished.report) {
                let id = finished.job.to_string();
                call.arg(index + 1).arg(step.to).arg(id).arg(step.number).arg(&step.packed);
            }
        }
        call
    }

    /// The pack, its number of outcomes, and where the outcome of each run ends in it.
    fn add_outcomes(&self, call: &mut ScriptInvocation<'static>) {
        let size = self.finished.iter().map(|finished| finished.outcome.len()).sum();
        let mut pack = Vec::with_capacity(size);
        let mut ends = String::with_capacity(self.finished.len() * 7);
        for finished in &self.finished {
            pack.extend_from_slice(&finished.outcome);
            let _ = write!(ends, "{},", pack.len());
        }
        let outcomes = self.finished.iter().filter(|finished| !finished.outcome.is_empty()).count();
        call.arg(pack).arg(outcomes).arg(ends);
    }

    fn job_ids(&self) -> String {
        self.finished.iter().map(|finished| finished.job.to_string()).collect::<Vec<_>>().join(",")
    }
}

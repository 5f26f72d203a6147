//! What a recorder says of itself: counted for its metrics, told by events.

use std::{
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU8, AtomicU64, Ordering},
    },
    time::Duration,
};

use millstream_queue::Unrecorded;

use super::health::RecorderPhase;
use crate::{Histogram, Pruned, events, pool::Durations};

/// Shared by a recorder's tasks and the handles to its health.
#[derive(Debug, Default)]
pub(super) struct Progress {
    phase: AtomicU8,
    outcomes: AtomicU64,
    packs: AtomicU64,
    rejected: AtomicU64,
    pruned: AtomicU64,
    writes: Durations,
    /// Why writing fails, while it does.
    trouble: Mutex<Option<String>>,
    unrecorded: Mutex<Vec<Unrecorded>>,
}

impl Progress {
    pub(super) fn enter(&self, phase: RecorderPhase) {
        self.phase.store(phase as u8, Ordering::Relaxed);
    }

    pub(super) fn phase(&self) -> RecorderPhase {
        let phases = [RecorderPhase::NotStarted, RecorderPhase::Running, RecorderPhase::Stopping];
        let index = usize::from(self.phase.load(Ordering::Relaxed));
        phases.get(index).copied().unwrap_or(RecorderPhase::Ended)
    }

    pub(super) fn wrote(&self, outcomes: usize, packs: usize, took: Duration) {
        self.outcomes.fetch_add(outcomes as u64, Ordering::Relaxed);
        self.packs.fetch_add(packs as u64, Ordering::Relaxed);
        self.writes.add(took);
        events::record_written(outcomes as u64, packs, micros(took));
    }

    pub(super) fn set_aside(&self) {
        self.rejected.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn pruned(&self, pruned: &Pruned, took: Duration) {
        if *pruned != Pruned::default() {
            self.pruned.fetch_add(pruned.jobs, Ordering::Relaxed);
            let Pruned { jobs, rejected, outbox_rejected, statistics, .. } = *pruned;
            events::retention_pruned(jobs, rejected, outbox_rejected, statistics, micros(took));
        }
    }

    /// Notes why writing fails, or that it works.
    pub(super) fn note(&self, trouble: Option<String>) {
        *lock(&self.trouble) = trouble;
    }

    pub(super) fn trouble(&self) -> Option<String> {
        lock(&self.trouble).clone()
    }

    /// Notes what waits, and tells where that has passed half of the bound, either way.
    pub(super) fn measured(&self, now: Vec<Unrecorded>) {
        let mut last = lock(&self.unrecorded);
        for Unrecorded { queue, outcomes, limit, oldest, .. } in &now {
            events::record_lag(queue, *outcomes, *limit, oldest.map_or(0, millis));
        }
        for queue in &now {
            let was_high = last.iter().any(|before| before.queue == queue.queue && before.is_high());
            match (was_high, queue.is_high()) {
                (false, true) => events::record_behind(&queue.queue, queue.outcomes, queue.limit),
                (true, false) => events::record_caught_up(&queue.queue, queue.outcomes, queue.limit),
                _ => {}
            }
        }
        *last = now;
    }

    pub(super) fn unrecorded(&self) -> Vec<Unrecorded> {
        lock(&self.unrecorded).clone()
    }

    /// Outcomes, packs, set aside, pruned.
    pub(super) fn counts(&self) -> [u64; 4] {
        [&self.outcomes, &self.packs, &self.rejected, &self.pruned].map(|count| count.load(Ordering::Relaxed))
    }

    pub(super) fn writes(&self) -> Histogram {
        self.writes.snapshot()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

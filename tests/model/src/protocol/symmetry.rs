//! States that differ in nothing that matters: which of two equal workers is the first, and commands on their way that can't
//! change anything any more.

use std::cmp::Ordering;

use super::{
    Mutant, Protocol,
    server::{Consumer, Entry, Owner, Server},
    state::{Late, State, TERMS},
    worker::{Fetch, Finish},
};
use crate::fingerprint::fingerprint;

impl Protocol {
    pub(super) fn canonical(&self, mut state: State) -> State {
        if !state.late.is_empty() {
            let server = state.server;
            state.late.retain(|late| self.may_matter(&server, late));
        }
        if self.workers < 2 {
            return state;
        }
        match rank(&state, 0).cmp(&rank(&state, 1)) {
            Ordering::Less => state,
            Ordering::Greater => state.swapped(),
            Ordering::Equal => {
                let swapped = state.swapped();
                if fingerprint(&swapped) < fingerprint(&state) { swapped } else { state }
            }
        }
    }

    fn may_matter(&self, server: &Server, late: &Late) -> bool {
        match late {
            Late::Read(..) => true,
            Late::FreeUnique(_, job) => {
                server.unique == Some(*job) || self.without == Some(Mutant::UniqueFreedUnchecked)
            }
            Late::HandBack(consumer, entries) => {
                let is_pending =
                    |entry: &Entry| entry.owner == Owner::Pending(*consumer) && entries.contains(&entry.id);
                server.entries.iter().any(is_pending)
            }
            Late::Finish(batch) => {
                let is_refused = server.fenced & batch.consumer.bit() != 0;
                let may_return =
                    matches!(self.without, Some(Mutant::BeatRecreatesItsEntry | Mutant::FinishWithoutEpochCheck));
                !is_refused || may_return
            }
        }
    }
}

/// An order of the workers that tells most of them apart.
fn rank(state: &State, worker: usize) -> impl Ord {
    let this = &state.workers[worker];
    let fetch = match this.fetch {
        Fetch::Idle => 0,
        Fetch::Sent(_) => 1,
        Fetch::Delivered(..) => 2,
        Fetch::Answered(..) => 3,
        Fetch::HandingBack(_) => 4,
        Fetch::HandedBack(_) => 5,
        Fetch::HandBackUnanswered(_) => 6,
    };
    let finish = match this.finish {
        Finish::Idle => 0,
        Finish::Sent(_) => 1,
        Finish::Answered { .. } => 2,
        Finish::Unanswered(_) => 3,
    };
    let flags = (this.life as u8, this.is_registered, this.knows_paused, this.must_reread, this.is_alone);
    let fenced = state.server.fenced >> (worker as u8 * TERMS) & 0xff;
    (this.term, flags, fetch, finish, this.number, this.hand, fenced)
}

impl State {
    /// The same with the workers in the other order.
    fn swapped(mut self) -> Self {
        self.workers.swap(0, 1);
        self.observed.killed_by.swap(0, 1);
        self.server.swap_workers();
        if let Some(replica) = &mut self.replica {
            replica.swap_workers();
        }
        for worker in self.workers.iter_mut() {
            match &mut worker.fetch {
                Fetch::Delivered(_, entries) | Fetch::Answered(_, entries, _) => {
                    entries.iter_mut().for_each(|entry| entry.owner.swap_workers());
                }
                _ => {}
            }
            if let Finish::Sent(batch) | Finish::Answered { batch, .. } | Finish::Unanswered(batch) = &mut worker.finish
            {
                batch.consumer.swap();
            }
        }
        for late in self.late.iter_mut() {
            match late {
                Late::Read(consumer, _) | Late::HandBack(consumer, _) | Late::FreeUnique(consumer, _) => {
                    consumer.swap()
                }
                Late::Finish(batch) => batch.consumer.swap(),
            }
        }
        self.late.sort();
        self
    }
}

impl Server {
    fn swap_workers(&mut self) {
        self.entries.iter_mut().for_each(|entry| entry.owner.swap_workers());
        self.alive.iter_mut().for_each(|alive| alive.consumer.swap());
        self.alive.sort();
        self.slots.iter_mut().for_each(|slot| slot.consumer.swap());
        self.slots.sort();
        self.fenced = self.fenced.rotate_left(u32::from(TERMS));
        self.consumers = self.consumers.rotate_left(u32::from(TERMS));
    }
}

impl Owner {
    fn swap_workers(&mut self) {
        if let Self::Pending(consumer) = self {
            consumer.swap();
        }
    }
}

impl Consumer {
    fn swap(&mut self) {
        self.worker = 1 - self.worker;
    }
}

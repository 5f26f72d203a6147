//! Fencing and rescue: rules 2 to 4 (what they come to), 17 and 18.

use super::{
    Action, Mutant, Out, Protocol,
    server::{Alive, Consumer, End, Entry, Job, Lane, Owner},
    state::{State, TERMS},
    worker::Life,
};

/// After so many crashes a job is a suspect; one more, and it is dead.
const SUSPECT_AFTER: u8 = 2;

impl Protocol {
    pub(super) fn rescuing(&self, state: &State, out: &mut Out) {
        for worker in self.workers() {
            let this = &state.workers[worker];
            let consumer = state.consumer(worker);
            if this.is_registered && this.life != Life::Down && !state.server.is_alive(consumer) {
                out.step(state, Action::LearnFencedByBeat(consumer), |next| {
                    if self.lacks(Mutant::BeatRecreatesItsEntry) {
                        next.server.alive.push(Alive { consumer, applied: 0 });
                        next.server.alive.sort();
                    } else {
                        self.end_term(next, worker);
                    }
                });
            }
        }
        if !self.has_rescuer(state) {
            return;
        }
        for alive in &state.server.alive {
            let consumer = alive.consumer;
            if self.is_gone(state, consumer) {
                out.step(state, Action::Fence(consumer), |next| next.server.fence(consumer));
            } else if state.left.false_fences > 0 {
                out.fault(state, Action::FenceLiving(consumer), |next| {
                    next.left.false_fences -= 1;
                    next.observed.blows += 1;
                    next.server.fence(consumer);
                });
            }
        }
        for entry in &state.server.entries {
            let Owner::Pending(consumer) = entry.owner else { continue };
            if !state.server.is_alive(consumer) {
                self.requeueing(state, consumer, entry, out);
            }
        }
        self.forgetting(state, out);
    }

    /// Whether there is a living worker to do it.
    fn has_rescuer(&self, state: &State) -> bool {
        self.workers().any(|worker| {
            let this = &state.workers[worker];
            this.is_registered && this.life != Life::Down && state.server.is_alive(state.consumer(worker))
        })
    }

    /// Whether nobody beats for a consumer any more.
    fn is_gone(&self, state: &State, consumer: Consumer) -> bool {
        let worker = &state.workers[usize::from(consumer.worker)];
        worker.life == Life::Down || worker.term != consumer.term
    }

    /// The script that deletes a consumer: it is not alive, and holds nothing.
    fn forgetting(&self, state: &State, out: &mut Out) {
        for bit in 0..u16::BITS as u8 {
            let consumer = Consumer { worker: bit / TERMS, term: bit % TERMS };
            let is_known = state.server.consumers & consumer.bit() != 0;
            let holds_nothing = state.server.pending(consumer) == 0 || self.lacks(Mutant::ForgottenBeforeRequeue);
            if is_known && holds_nothing && !state.server.is_alive(consumer) {
                out.step(state, Action::Forget(consumer), |next| {
                    next.server.consumers &= !consumer.bit();
                    for entry in next.server.entries.iter_mut().filter(|entry| entry.owner == Owner::Pending(consumer))
                    {
                        entry.owner = Owner::Forgotten;
                    }
                });
            }
        }
    }

    fn requeueing(&self, state: &State, consumer: Consumer, entry: &Entry, out: &mut Out) {
        let action = Action::Requeue(entry.id, entry.job);
        if self.lacks(Mutant::RequeueInTwoSteps) {
            let copy = Job { run: entry.job.run + 1, crash: entry.job.crash + 1, ..entry.job };
            return out.step(state, action, |next| next.server.add(copy));
        }
        out.step(state, action, |next| self.requeue_crashed(next, consumer, entry));
    }

    /// The requeue script for one orphan.
    fn requeue_crashed(&self, next: &mut State, consumer: Consumer, entry: &Entry) {
        let position = next.server.position(entry.id).expect("the entry is there");
        next.server.entries.remove(position);
        let job = entry.job;
        let crash = job.crash + 1;
        let can_die = job.lane == Lane::Suspect || self.lacks(Mutant::BlameInNormalLane);
        if can_die && crash > SUSPECT_AFTER {
            self.observe_death_by_crash(next, consumer, job.id);
            return self.end(next, job.id, job.run, End::Dead);
        }
        next.record(job.id, job.run, None);
        if self.lacks(Mutant::UniqueFreedAtRequeue) && self.unique.is_some() {
            self.free_unique(next, job.id);
        }
        let is_suspect = crash >= SUSPECT_AFTER && !self.lacks(Mutant::BlameInNormalLane);
        let lane = if is_suspect { Lane::Suspect } else { job.lane };
        let again = Job { lane, run: job.run + 1, crash, ..job };
        if !self.drop_if_cancelled(next, again, Mutant::CancelUncheckedAtRequeue) {
            next.server.add(again);
        }
    }
}

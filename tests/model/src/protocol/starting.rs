//! From an entry in hand to the end of its run: rules 16, 25 (slots) and the starts of 23 and 26.

use super::{
    Action, Mutant, Out, Protocol, Unique,
    server::{Consumer, Entry, Job, Owner, Server, Slot},
    state::{Late, State},
    worker::{Ending, Held, Life, Stage},
};

impl Protocol {
    pub(super) fn starting(&self, state: &State, worker: usize, out: &mut Out) {
        let consumer = state.consumer(worker);
        if state.workers[worker].life == Life::Down {
            return;
        }
        for (index, held) in state.workers[worker].hand.iter().enumerate() {
            match held.stage {
                Stage::Asking => out.step(state, Action::AskForMarks(consumer, held.job.id), |next| {
                    if next.server.is_marked(held.job.id) {
                        next.workers[worker].set_stage(index, Stage::Ended(Ending::Cancelled));
                    } else {
                        self.make_ready(next, worker, index);
                    }
                }),
                Stage::Ready => self.taking_permissions(state, worker, index, out),
                Stage::Running => self.ending(state, worker, index, out),
                Stage::Ended(_) | Stage::Sent => {}
            }
            // The signal may be lost, so nothing may depend on it.
            let hears = matches!(held.stage, Stage::Ready | Stage::Running);
            if hears && state.server.is_marked(held.job.id) {
                out.fault(state, Action::HearCancel(consumer, held.job.id), |next| {
                    next.workers[worker].set_stage(index, Stage::Ended(Ending::Cancelled));
                });
            }
        }
    }

    pub(super) fn take_in_hand(
        &self,
        next: &mut State,
        consumer: Consumer,
        entry: &Entry,
        server: u8,
        has_marks: bool,
    ) {
        let worker = usize::from(consumer.worker);
        let held = Held { entry: entry.id, job: entry.job, server, stage: Stage::Asking, ban: entry.ban };
        next.workers[worker].hand.push(held);
        next.workers[worker].hand.sort();
        if !has_marks || self.lacks(Mutant::CancelUncheckedAtStart) {
            let index = next.workers[worker].hand.iter().position(|other| *other == held).expect("it is in hand");
            self.make_ready(next, worker, index);
        }
    }

    fn make_ready(&self, next: &mut State, worker: usize, index: usize) {
        next.workers[worker].set_stage(index, Stage::Ready);
        if self.slots.is_none() && self.unique != Some(Unique::UntilStarted) {
            self.start(next, worker, index);
        }
    }

    fn taking_permissions(&self, state: &State, worker: usize, index: usize, out: &mut Out) {
        let consumer = state.consumer(worker);
        let job = state.workers[worker].hand[index].job;
        if let Some(slots) = self.slots {
            // Where it is denied, nothing changes and it is tried again.
            let mut next = *state;
            if self.take_slot(&mut next, consumer, job, slots) {
                out.step(state, Action::TakeSlot(consumer, job.id), |granted| {
                    *granted = next;
                    self.start(granted, worker, index);
                });
                if state.left.losses > 0 {
                    out.fault(state, Action::LoseReply(consumer, "taking of a slot"), |granted| {
                        *granted = next;
                        granted.left.losses -= 1;
                    });
                }
            }
        } else if self.unique == Some(Unique::UntilStarted) {
            self.freeing_unique(state, worker, index, out);
        }
    }

    /// The job starts even where its key could not be freed: its end will do it.
    fn freeing_unique(&self, state: &State, worker: usize, index: usize, out: &mut Out) {
        let consumer = state.consumer(worker);
        let job = state.workers[worker].hand[index].job;
        out.step(state, Action::FreeUniqueAtStart(consumer, job.id), |next| {
            self.free_unique(next, job.id);
            next.observed.released |= 1 << job.id;
            self.start(next, worker, index);
        });
        if state.left.losses > 0 {
            out.fault(state, Action::LoseRequest(consumer, "freeing of a unique key"), |next| {
                next.left.losses -= 1;
                self.start(next, worker, index);
            });
        }
        if state.left.losses > 0 && state.left.late > 0 {
            out.fault(state, Action::LoseConnection(consumer, "freeing of a unique key"), |next| {
                next.left.losses -= 1;
                next.leave_behind(Late::FreeUnique(consumer, job.id));
                self.start(next, worker, index);
            });
        }
    }

    /// The script that takes a slot. It is idempotent: a job has one slot, whoever takes it. A consumer that is not alive is
    /// refused, or it would take over the slot of a job that was given to another.
    fn take_slot(&self, next: &mut State, consumer: Consumer, job: Job, slots: u8) -> bool {
        let server = &mut next.server;
        if !server.is_alive(consumer) && !self.lacks(Mutant::SlotTakenWhenFenced) {
            return false;
        }
        if !self.lacks(Mutant::SlotTakenTwice)
            && let Some(slot) = server.slots.iter_mut().find(|slot| slot.job == job.id)
        {
            slot.consumer = consumer;
            server.slots.sort();
            return true;
        }
        if server.slots.len() >= usize::from(slots) && !self.lacks(Mutant::SlotsNotSwept) {
            server.sweep_slots();
        }
        let is_free = server.slots.len() < usize::from(slots);
        if is_free {
            server.slots.push(Slot { job: job.id, consumer });
            server.slots.sort();
        }
        is_free
    }

    fn start(&self, next: &mut State, worker: usize, index: usize) {
        let held = next.workers[worker].hand[index];
        next.workers[worker].set_stage(index, Stage::Running);
        self.observe_start(next, worker, &held);
    }

    fn ending(&self, state: &State, worker: usize, index: usize, out: &mut Out) {
        let consumer = state.consumer(worker);
        let job = state.workers[worker].hand[index].job;
        if self.poison >> job.id & 1 == 1 {
            return out.step(state, Action::KillWorker(consumer, job.id), |next| {
                next.observed.killed_by[worker] = Some((consumer.term, job.id));
                next.observed.blows += 1;
                self.go_down(next, worker);
            });
        }
        let mut end = |ending, is_whim: bool, pay: &dyn Fn(&mut State)| {
            let change = |next: &mut State| {
                pay(next);
                next.workers[worker].set_stage(index, Stage::Ended(ending));
            };
            let action = Action::EndRun(consumer, job.id, ending);
            if is_whim { out.fault(state, action, change) } else { out.step(state, action, change) }
        };
        end(Ending::Completed, false, &|next| next.observed.succeeded |= 1 << job.id);
        if state.left.failures > 0 {
            end(Ending::Failed, true, &|next| next.left.failures -= 1);
        }
        if state.left.snoozes > 0 {
            end(Ending::Snoozed, true, &|next| next.left.snoozes -= 1);
        }
    }
}

impl Server {
    /// Frees the slots of consumers that are not alive, and of jobs that are not pending for theirs.
    pub(super) fn sweep_slots(&mut self) {
        let before = *self;
        self.slots.retain(|slot| before.slot_is_held(slot));
    }

    pub(super) fn slot_is_held(&self, slot: &Slot) -> bool {
        let is_pending = |entry: &Entry| entry.job.id == slot.job && entry.owner == Owner::Pending(slot.consumer);
        self.is_alive(slot.consumer) && self.entries.iter().any(is_pending)
    }
}

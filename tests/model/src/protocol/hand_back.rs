//! What goes back to its lane with no crash counted: rule 8, pause and shutdown.

use super::{
    Action, Mutant, Out, Protocol,
    server::{Consumer, Entry, Job, Owner},
    state::{EntryId, State},
    worker::{Ending, Fetch, Finish, Life, Stage},
};
use crate::few::Few;

impl Protocol {
    pub(super) fn handing_back(&self, state: &State, worker: usize, out: &mut Out) {
        let consumer = state.consumer(worker);
        let this = &state.workers[worker];
        match this.fetch {
            Fetch::HandingBack(entries) => out.step(state, Action::RunHandBack(consumer), |next| {
                self.run_hand_back(next, consumer, &entries);
                next.workers[worker].fetch = Fetch::HandedBack(entries);
            }),
            Fetch::HandedBack(_) if this.life != Life::Down => {
                out.step(state, Action::ConfirmHandBack(consumer), |next| next.workers[worker].fetch = Fetch::Idle);
            }
            Fetch::HandBackUnanswered(entries) if this.life != Life::Down => {
                out.step(state, Action::ResendHandBack(consumer), |next| {
                    next.workers[worker].fetch = Fetch::HandingBack(entries);
                });
            }
            _ => {}
        }
        if state.left.pauses > 0 && !state.server.is_paused {
            out.fault(state, Action::Pause, |next| {
                next.left.pauses -= 1;
                next.server.is_paused = true;
            });
        }
        if state.server.is_paused && worker == 0 {
            out.step(state, Action::Unpause, |next| next.server.is_paused = false);
        }
        if this.knows_paused && !state.server.is_paused {
            out.step(state, Action::SeeUnpaused(consumer), |next| next.workers[worker].knows_paused = false);
        }
    }

    /// The requeue script as a living consumer calls it. It touches only what is pending for it.
    pub(super) fn run_hand_back(&self, next: &mut State, consumer: Consumer, entries: &[EntryId]) {
        for entry in entries {
            let Some(position) = next.server.position(*entry) else { continue };
            if next.server.entries[position].owner != Owner::Pending(consumer) {
                continue;
            }
            let job = next.server.entries.remove(position).job;
            let crash = job.crash + u8::from(self.lacks(Mutant::HandBackCountsACrash));
            let again = Job { run: job.run + 1, crash, ..job };
            if !self.drop_if_cancelled(next, again, Mutant::CancelUncheckedAtRequeue) {
                next.server.add(again);
            }
        }
    }

    pub(super) fn shutting_down(&self, state: &State, worker: usize, out: &mut Out) {
        let consumer = state.consumer(worker);
        let this = &state.workers[worker];
        match this.life {
            Life::Up if state.left.stops > 0 && this.is_registered => {
                out.fault(state, Action::Stop(consumer), |next| {
                    next.left.stops -= 1;
                    next.workers[worker].life = Life::Stopping;
                });
            }
            Life::Stopping => self.stopping(state, worker, out),
            Life::Down => out.step(state, Action::Restart(consumer), |next| {
                next.workers[worker].life = Life::Up;
                self.next_term(next, worker);
            }),
            Life::Up => {}
        }
    }

    fn stopping(&self, state: &State, worker: usize, out: &mut Out) {
        let consumer = state.consumer(worker);
        let this = &state.workers[worker];
        for (index, held) in this.hand.iter().enumerate() {
            if matches!(held.stage, Stage::Asking | Stage::Ready | Stage::Running) {
                out.step(state, Action::CutOff(consumer, held.job.id), |next| {
                    next.workers[worker].set_stage(index, Stage::Ended(Ending::Interrupted));
                });
            }
            let is_on_its_way = matches!(held.stage, Stage::Ended(_) | Stage::Sent);
            if held.stage == Stage::Running || (is_on_its_way && self.lacks(Mutant::EndedJobsHandedBack)) {
                out.step(state, Action::Abandon(consumer, held.job.id), |next| {
                    next.workers[worker].hand.remove(index);
                    self.run_hand_back(next, consumer, &[held.entry]);
                });
            }
        }
        let is_done = this.hand.is_empty() && this.fetch == Fetch::Idle && this.finish == Finish::Idle;
        if is_done || !this.is_registered {
            out.step(state, Action::Leave(consumer), |next| {
                if !self.lacks(Mutant::LeavesWithPending) {
                    let is_mine = |entry: &&Entry| entry.owner == Owner::Pending(consumer);
                    let pending: Few<_, 4> = next.server.entries.iter().filter(is_mine).map(|entry| entry.id).collect();
                    self.run_hand_back(next, consumer, &pending);
                }
                self.leave(next, worker);
            });
        } else if state.left.losses > 0 {
            out.fault(state, Action::GiveUp(consumer), |next| {
                next.left.losses -= 1;
                next.observed.blows += 1;
                self.leave(next, worker);
            });
        }
    }

    fn leave(&self, next: &mut State, worker: usize) {
        let consumer = next.consumer(worker);
        next.server.fence(consumer);
        self.go_down(next, worker);
    }
}

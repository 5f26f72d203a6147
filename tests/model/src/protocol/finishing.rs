//! Finishing: rules 9, 12, 13, 14, 21, and what of 23, 25 and 26 the finish script does.

use super::{
    Action, Mutant, Out, Protocol,
    server::{End, Job, Owner},
    state::State,
    worker::{Batch, Ending, Finish, Finished, Held, Life, Stage},
};

impl Protocol {
    pub(super) fn finishing(&self, state: &State, worker: usize, out: &mut Out) {
        let consumer = state.consumer(worker);
        let this = &state.workers[worker];
        if let Finish::Sent(batch) = this.finish {
            out.step(state, Action::RunFinish(consumer), |next| {
                let is_applied = self.run_finish(next, &batch);
                next.workers[worker].finish = Finish::Answered { batch, is_applied };
            });
        }
        if this.life == Life::Down {
            return;
        }
        match this.finish {
            Finish::Idle if this.hand.iter().any(|held| matches!(held.stage, Stage::Ended(_))) => {
                out.step(state, Action::SendFinish(consumer), |next| self.send_finish(next, worker));
            }
            Finish::Answered { batch, is_applied: true } => {
                out.step(state, Action::ConfirmFinish(consumer), |next| {
                    let this = &mut next.workers[worker];
                    this.finish = Finish::Idle;
                    let is_confirmed = |held: &Held| {
                        let is_it =
                            |finished: &Finished| finished.entry == held.entry && finished.job.id == held.job.id;
                        held.stage == Stage::Sent && batch.finished.iter().any(is_it)
                    };
                    let had_suspect = this.has_suspect();
                    this.hand.retain(|held| !is_confirmed(held));
                    this.is_alone &= !had_suspect || this.has_suspect();
                });
            }
            Finish::Answered { is_applied: false, .. } => {
                out.step(state, Action::LearnFencedByFinish(consumer), |next| self.end_term(next, worker));
            }
            Finish::Unanswered(batch) => {
                out.step(state, Action::ResendFinish(consumer), |next| {
                    next.workers[worker].finish = Finish::Sent(batch)
                });
            }
            _ => {}
        }
    }

    fn send_finish(&self, next: &mut State, worker: usize) {
        let consumer = next.consumer(worker);
        let this = &mut next.workers[worker];
        this.number += 1;
        let mut batch = Batch { consumer, number: this.number, ..Batch::default() };
        for held in this.hand.iter_mut() {
            if let Stage::Ended(ending) = held.stage {
                batch.finished.push(Finished { entry: held.entry, job: held.job, server: held.server, ending });
                held.stage = Stage::Sent;
            }
        }
        this.finish = Finish::Sent(batch);
    }

    /// The finish script; whether it was applied, or had been before.
    pub(super) fn run_finish(&self, next: &mut State, batch: &Batch) -> bool {
        let entry = next.server.alive.iter_mut().find(|alive| alive.consumer == batch.consumer);
        let is_numbered = !self.lacks(Mutant::UnnumberedFinish);
        match entry {
            Some(alive) if is_numbered && batch.number <= alive.applied => return true,
            Some(alive) => alive.applied = batch.number,
            None if self.lacks(Mutant::FinishWithoutEpochCheck) => {}
            None => return false,
        }
        if next.server.fenced & batch.consumer.bit() != 0 {
            next.break_invariant("the finish of a consumer that was fenced is applied");
        }
        let is_foreign = batch.finished.iter().any(|finished| finished.server != next.server_number);
        let is_careful = is_foreign && !self.lacks(Mutant::CarelessFinish);
        for finished in &batch.finished {
            if self.remove(next, batch, finished, is_careful) || !is_numbered {
                self.go_on(next, finished);
            }
        }
        true
    }

    /// Takes an entry out of its lane; whether there was one.
    fn remove(&self, next: &mut State, batch: &Batch, finished: &Finished, is_careful: bool) -> bool {
        let Some(position) = next.server.position(finished.entry) else { return false };
        let entry = next.server.entries[position];
        let is_ours = entry.owner == Owner::Pending(batch.consumer) && entry.job.id == finished.job.id;
        if is_careful && !is_ours {
            return false;
        }
        if entry.job.id != finished.job.id {
            next.break_invariant("a finish removes another job, which has the same stream id");
        }
        next.server.entries.remove(position);
        next.server.slots.retain(|slot| slot.job != finished.job.id);
        true
    }

    /// What becomes of a job whose run has ended.
    fn go_on(&self, next: &mut State, finished: &Finished) {
        let job = finished.job;
        let later = |attempt| Job { attempt, run: job.run + 1, ..job };
        match finished.ending {
            Ending::Completed | Ending::Cancelled => {
                let is_completed = finished.ending == Ending::Completed;
                self.end(next, job.id, job.run, if is_completed { End::Completed } else { End::Cancelled });
                next.server.marks.retain(|mark| mark.job != job.id);
            }
            Ending::Failed if job.attempt >= self.attempts => self.end(next, job.id, job.run, End::Dead),
            Ending::Failed | Ending::Snoozed => {
                next.record(job.id, job.run, None);
                let is_retry = finished.ending == Ending::Failed;
                let again = later(job.attempt + u8::from(is_retry));
                if !self.drop_if_cancelled(next, again, Mutant::CancelUncheckedAtRetry) {
                    next.server.later.push(again);
                    next.server.later.sort();
                }
            }
            Ending::Interrupted => {
                next.record(job.id, job.run, None);
                let again = later(job.attempt);
                if !self.drop_if_cancelled(next, again, Mutant::CancelUncheckedAtRetry) {
                    next.server.add(again);
                }
            }
        }
    }
}

//! Rule 26: a cancel is a request. Whatever moves a job asks for it, and only what removes a job writes its outcome.

use super::{
    Action, Mutant, Out, Protocol,
    server::{End, Entry, Job, Mark, Owner},
    state::{JobId, State},
};

impl Protocol {
    pub(super) fn cancelling(&self, state: &State, out: &mut Out) {
        if state.left.cancels > 0 {
            for job in 0..self.jobs {
                let history = state.server.history[usize::from(job)];
                if history.is_pushed && !history.is_cancelled {
                    out.fault(state, Action::Cancel(job), |next| self.cancel(next, job));
                }
            }
        }
        if !state.server.marks.is_empty() {
            let oldest = state.server.entries.iter().map(|entry| entry.id).min();
            let is_old =
                |mark: &Mark| oldest.is_none_or(|oldest| oldest >= mark.at) || self.lacks(Mutant::MarkPurgedEarly);
            if state.server.marks.iter().any(is_old) {
                out.step(state, Action::PurgeMarks, |next| next.server.marks.retain(|mark| !is_old(mark)));
            }
        }
    }

    /// The script of a cancel.
    fn cancel(&self, next: &mut State, job: JobId) {
        next.left.cancels -= 1;
        next.server.history[usize::from(job)].is_cancelled = true;
        if let Some(index) = next.server.later.iter().position(|later| later.id == job) {
            let removed = next.server.later.remove(index);
            return self.end(next, job, removed.run, End::Cancelled);
        }
        let is_waiting = |entry: &Entry| entry.job.id == job && entry.owner == Owner::Nobody;
        if let Some(index) = next.server.entries.iter().position(is_waiting) {
            let removed = next.server.entries.remove(index);
            return self.end(next, job, removed.job.run, End::Cancelled);
        }
        next.server.marks.push(Mark { job, at: next.server.next_id });
        if self.lacks(Mutant::CancelOutcomeWithoutRemoval)
            && let Some(entry) = next.server.entries.iter().find(|entry| entry.job.id == job).copied()
        {
            next.record(job, entry.job.run, Some(End::Cancelled));
        }
    }

    /// What a script does with a job that it would move, and that is marked: it ends, in the run that it would have had.
    pub(super) fn drop_if_cancelled(&self, next: &mut State, job: Job, unless: Mutant) -> bool {
        let is_dropped = next.server.is_marked(job.id) && !self.lacks(unless);
        if is_dropped {
            self.end(next, job.id, job.run, End::Cancelled);
        }
        is_dropped
    }
}

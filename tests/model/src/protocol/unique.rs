//! Rule 23: unique keys. All jobs of a configuration share one.

use super::{
    Action, Mutant, Out, Protocol, Unique,
    server::End,
    state::{JobId, State},
};

impl Protocol {
    /// Pushes of what is not there from the start.
    pub(super) fn pushing(&self, state: &State, out: &mut Out) {
        for job in 0..self.jobs {
            let history = state.server.history[usize::from(job)];
            if history.is_pushed || history.is_refused {
                continue;
            }
            out.step(state, Action::Push(job), |next| {
                if self.unique.is_some() && next.server.unique.is_some() {
                    next.server.history[usize::from(job)].is_refused = true;
                    return;
                }
                next.server.unique = self.unique.map(|_| job);
                self.observe_unique_push(next, job);
                next.store(job);
            });
        }
        if self.unique == Some(Unique::ForATime) && state.server.unique.is_some() {
            out.step(state, Action::ExpireUnique, |next| next.server.unique = None);
        }
    }

    /// Frees the unique key if it is this job's.
    pub(super) fn free_unique(&self, next: &mut State, job: JobId) {
        if next.server.unique == Some(job) || self.lacks(Mutant::UniqueFreedUnchecked) {
            if next.server.unique.is_some_and(|holder| holder != job) {
                next.break_invariant("the unique key of another job is freed");
            }
            next.server.unique = None;
        }
    }

    /// The end of a job, by whichever script it comes: its outcome, and its unique key freed.
    pub(super) fn end(&self, next: &mut State, job: JobId, run: u8, end: End) {
        next.record(job, run, Some(end));
        let is_kept = end == End::Completed && self.unique == Some(Unique::ForATime);
        let is_forgotten = end != End::Completed && self.lacks(Mutant::UniqueFreedByFinishOnly);
        if self.unique.is_some() && !is_kept && !is_forgotten {
            self.free_unique(next, job);
        }
    }
}

//! What must hold in every state, and what every state must be able to come to.

use super::{
    Protocol, Unique,
    server::{Ban, Consumer},
    state::State,
    worker::{Held, Life, Stage},
};

impl Protocol {
    pub(super) fn broken_invariant(&self, state: &State) -> Option<&'static str> {
        let server = &state.server;
        for job in 0..self.jobs {
            let history = server.history[usize::from(job)];
            match (server.copies(job), history.is_pushed, history.end) {
                (0, true, None) => return Some("a job is lost"),
                (1.., true, Some(_)) => return Some("a job that is over is still somewhere"),
                (2.., true, None) => return Some("a job is in two places"),
                _ => {}
            }
        }
        let mut jobs = server.entries.iter().map(|entry| entry.job).chain(server.later.iter().copied());
        if !state.observed.has_forgotten && jobs.any(|job| job.crash > state.observed.blows) {
            return Some("a crash is counted that was none");
        }
        if self.slots.is_some_and(|slots| self.running(state) > usize::from(slots)) {
            return Some("more jobs run than there are slots");
        }
        None
    }

    /// Jobs that run at workers that have not been fenced: a fenced one has cancelled what holds a slot (rule 6).
    fn running(&self, state: &State) -> usize {
        let running = |worker: usize| {
            let is_running = |held: &&Held| held.stage == Stage::Running;
            let is_alive = state.server.is_alive(state.consumer(worker));
            if is_alive { state.workers[worker].hand.iter().filter(is_running).count() } else { 0 }
        };
        self.workers().map(running).sum()
    }

    pub(super) fn everything_is_over(&self, state: &State) -> bool {
        let is_over = |job: u8| {
            let history = state.server.history[usize::from(job)];
            history.is_refused || history.end.is_some()
        };
        let server = &state.server;
        let living = server.alive.iter().fold(0, |bits, alive| bits | alive.consumer.bit());
        let is_clean = server.marks.is_empty() && server.unique.is_none() && server.consumers & !living == 0;
        is_clean && (0..self.jobs).all(is_over) && self.workers().all(|worker| state.workers[worker].hand.is_empty())
    }

    /// Called when a run starts. (A handler may run twice only if its worker died or was fenced, or the server lost writes.)
    pub(super) fn observe_start(&self, next: &mut State, worker: usize, started: &Held) {
        let job = started.job;
        let runs = |held: &&Held| held.job.id == job.id && held.stage == Stage::Running;
        let here = next.workers[worker].hand.iter().filter(runs).filter(|held| held.entry == started.entry).count();
        let is_alive =
            |worker: usize| next.workers[worker].life != Life::Down && next.server.is_alive(next.consumer(worker));
        let runs_at = |other: usize| next.workers[other].hand.iter().any(|held| runs(&held));
        let is_other = |other: &usize| *other != worker && is_alive(*other);
        let elsewhere = is_alive(worker) && self.workers().filter(is_other).any(runs_at);
        let started_before = &mut next.observed.started[usize::from(job.id)];
        let is_second = *started_before & 1 << job.run != 0;
        *started_before |= 1 << job.run;
        let may_repeat = next.observed.has_forgotten;
        if here > 1 {
            next.break_invariant("an entry that is in hand is started once more");
        } else if elsewhere && !may_repeat {
            next.break_invariant("a job runs twice at once, although nobody was fenced");
        } else if next.observed.succeeded >> job.id & 1 == 1 && next.observed.blows == 0 && !may_repeat {
            next.break_invariant("a job runs again that had succeeded, although nobody died or was fenced");
        } else if is_second && !may_repeat {
            next.break_invariant("a run is started twice");
        } else if started.ban == Ban::Stray {
            next.break_invariant("a consumer that was fenced starts what it was handed afterwards");
        } else if started.ban == Ban::Cancelled && next.server.is_alive(next.consumer(worker)) {
            next.break_invariant("a job is started that was cancelled before it was handed out");
        } else if job.attempt > self.attempts {
            next.break_invariant("a job has more attempts than it may");
        }
    }

    /// Called when a crash makes a job dead: it must have been the one that ran when its process died.
    pub(super) fn observe_death_by_crash(&self, next: &mut State, consumer: Consumer, job: u8) {
        if let Some((term, killer)) = next.observed.killed_by[usize::from(consumer.worker)]
            && term == consumer.term
            && killer != job
        {
            next.break_invariant("a job is dead of a crash that another job caused");
        }
    }

    /// Called when a push takes the unique key.
    pub(super) fn observe_unique_push(&self, next: &mut State, pushed: u8) {
        let is_live = |job: u8| {
            let history = next.server.history[usize::from(job)];
            let is_over = match self.unique {
                Some(Unique::UntilFinished) => history.end.is_some(),
                Some(Unique::UntilStarted) => history.end.is_some() || next.observed.released >> job & 1 == 1,
                Some(Unique::ForATime) | None => true,
            };
            history.is_pushed && !is_over
        };
        if (0..self.jobs).any(|job| job != pushed && is_live(job)) {
            next.break_invariant("two live jobs share a unique key");
        }
    }
}

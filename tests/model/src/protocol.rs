//! The protocol of jobs: one queue, two workers, up to three jobs. Its atomic steps are those of the scripts and the local
//! steps of a worker; whoever takes the next step, and when, is open.

mod action;
mod cancel;
pub mod configuration;
mod failover;
mod faults;
mod fetching;
mod finishing;
mod hand_back;
mod invariants;
mod lanes;
mod mutant;
mod rescue;
mod server;
mod starting;
mod state;
mod symmetry;
mod unique;
mod worker;

pub use action::Action;
pub use configuration::{Configuration, MUTANTS};
pub use mutant::Mutant;
pub use server::{Consumer, Job};
pub use state::{EntryId, Faults, JobId, State};
pub use worker::Ending;

use crate::search::{Model, Steps};
use state::WORKERS;

type Out = Steps<State, Action>;

/// A size of the model: what there is, what may happen, and which rule is missing.
#[derive(Clone, Copy, Debug)]
pub struct Protocol {
    /// Jobs, 1 to 3, numbered from 0.
    pub jobs: u8,
    /// So many are ready at the start; the others are pushed at any time.
    pub ready: u8,
    /// Worker processes, 1 or 2.
    pub workers: u8,
    /// Jobs that run at once in a worker.
    pub concurrency: u8,
    /// Attempts of a job.
    pub attempts: u8,
    /// Jobs that take their process down whenever they run, a bit each.
    pub poison: u8,
    /// Whether, and how, the jobs share a unique key.
    pub unique: Option<Unique>,
    /// How many jobs may run at once in all workers together.
    pub slots: Option<u8>,
    /// Whether the consumers of the groups are kept account of, which must be deleted in the end.
    pub keeps_consumers: bool,
    /// What may go wrong.
    pub faults: Faults,
    /// The rule that is missing.
    pub without: Option<Mutant>,
}

/// For how long a unique key is held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unique {
    /// Until a worker starts the job.
    UntilStarted,
    /// Until the job is over.
    UntilFinished,
    /// For a time, also beyond its completion.
    ForATime,
}

impl Default for Protocol {
    /// One job that may fail once, two workers, no faults.
    fn default() -> Self {
        Self {
            jobs: 1,
            ready: 1,
            workers: 2,
            concurrency: 1,
            attempts: 2,
            poison: 0,
            unique: None,
            slots: None,
            keeps_consumers: false,
            faults: Faults::default(),
            without: None,
        }
    }
}

impl Protocol {
    /// The same protocol without one of its rules.
    #[must_use]
    pub fn without(self, mutant: Mutant) -> Self {
        Self { without: Some(mutant), ..self }
    }

    fn lacks(&self, mutant: Mutant) -> bool {
        self.without == Some(mutant)
    }

    fn workers(&self) -> std::ops::Range<usize> {
        0..usize::from(self.workers).min(WORKERS)
    }
}

impl Model for Protocol {
    type State = State;
    type Action = Action;

    fn initial(&self) -> State {
        let mut state = State::new(self.workers, self.faults);
        for job in 0..self.ready {
            state.store(job);
            if self.unique.is_some() {
                state.server.unique = Some(job);
            }
        }
        state
    }

    fn steps(&self, state: &State, out: &mut Out) {
        self.pushing(state, out);
        for worker in self.workers() {
            self.fetching(state, worker, out);
            self.starting(state, worker, out);
            self.finishing(state, worker, out);
            self.handing_back(state, worker, out);
            self.shutting_down(state, worker, out);
            self.crashing(state, worker, out);
            self.losing_messages(state, worker, out);
        }
        self.late_commands(state, out);
        self.rescuing(state, out);
        self.promoting(state, out);
        self.cancelling(state, out);
        self.failing_over(state, out);
        self.losing_keys(state, out);
    }

    fn representative(&self, state: State) -> State {
        self.canonical(state)
    }

    fn broken(&self, state: &State) -> Option<&'static str> {
        state.observed.broken.or_else(|| self.broken_invariant(state))
    }

    fn is_settled(&self, state: &State) -> bool {
        self.everything_is_over(state)
    }
}

//! The lanes, `later` and the outcomes, as the scripts write them.

use super::{
    server::{Ban, Consumer, End, Entry, History, Job, Lane, Owner, Server},
    state::{EntryId, Faults, JOBS, JobId, Late, Observed, State, WORKERS},
    worker::{Fetch, Finish, Life, Read, Worker},
};
use crate::few::Few;

impl State {
    /// Nothing but workers that have not registered yet.
    pub(super) fn new(workers: u8, left: Faults) -> Self {
        let mut state = Self {
            server: Server {
                entries: Few::default(),
                next_id: 1,
                later: Few::default(),
                alive: Few::default(),
                is_paused: false,
                marks: Few::default(),
                unique: None,
                slots: Few::default(),
                history: [History::default(); JOBS],
                consumers: 0,
                fenced: 0,
            },
            server_number: 0,
            replica: None,
            workers: [Worker::default(); WORKERS],
            late: Few::default(),
            left,
            observed: Observed::default(),
        };
        for worker in usize::from(workers)..state.workers.len() {
            state.workers[worker].life = Life::Down;
        }
        state
    }

    /// Pushes a job: attempt 1, run 1.
    pub(super) fn store(&mut self, job: JobId) {
        self.server.history[usize::from(job)].is_pushed = true;
        self.server.add(Job { id: job, lane: Lane::Normal, attempt: 1, run: 1, crash: 0 });
    }

    /// Keeps the outcome of a run, which may be the end of its job. (Rule 14: one outcome for a run, and one end.)
    pub(super) fn record(&mut self, job: JobId, run: u8, end: Option<End>) {
        assert!(u32::from(run) < u16::BITS, "the configuration has more runs than are kept account of");
        let history = &mut self.server.history[usize::from(job)];
        let (is_second, is_over) = (history.outcomes & 1 << run != 0, history.end.is_some());
        history.outcomes |= 1 << run;
        if end.is_some() {
            history.end = end;
        }
        if is_second {
            self.break_invariant("a run has two outcomes");
        }
        if is_over {
            self.break_invariant("a job that was over has another outcome");
        }
    }

    /// A command on its way, for which nobody waits any more.
    pub(super) fn leave_behind(&mut self, late: Late) {
        if self.left.late > 0 {
            self.left.late -= 1;
            self.late.push(late);
            self.late.sort();
        }
    }

    /// What a worker has on its way, when nobody waits for it any more.
    pub(super) fn leave_commands_behind(&mut self, worker: usize) {
        let consumer = self.consumer(worker);
        if let Finish::Sent(batch) = self.workers[worker].finish {
            self.leave_behind(Late::Finish(batch));
        }
        match self.workers[worker].fetch {
            Fetch::Sent(read @ (Read::Fresh { .. } | Read::Suspect { .. })) => {
                self.leave_behind(Late::Read(consumer, read));
            }
            Fetch::HandingBack(entries) => self.leave_behind(Late::HandBack(consumer, entries)),
            _ => {}
        }
    }
}

impl Server {
    pub(super) fn add(&mut self, job: Job) {
        let entry = Entry { id: self.next_id, job, owner: Owner::Nobody, ban: Ban::None };
        self.next_id += 1;
        self.entries.push(entry);
    }

    pub(super) fn position(&self, entry: EntryId) -> Option<usize> {
        self.entries.iter().position(|candidate| candidate.id == entry)
    }

    pub(super) fn is_alive(&self, consumer: Consumer) -> bool {
        self.alive.iter().any(|alive| alive.consumer == consumer)
    }

    pub(super) fn is_marked(&self, job: JobId) -> bool {
        self.marks.iter().any(|mark| mark.job == job)
    }

    pub(super) fn pending(&self, consumer: Consumer) -> usize {
        self.entries.iter().filter(|entry| entry.owner == Owner::Pending(consumer)).count()
    }

    pub(super) fn has_undelivered(&self, lane: Lane) -> bool {
        self.entries.iter().any(|entry| entry.owner == Owner::Nobody && entry.job.lane == lane)
    }

    /// Takes a consumer out of `alive`, and with it the number of its last finish.
    pub(super) fn fence(&mut self, consumer: Consumer) {
        self.alive.retain(|alive| alive.consumer != consumer);
        self.fenced |= consumer.bit();
    }

    /// In how many places a job is.
    pub(super) fn copies(&self, job: JobId) -> usize {
        let ready = self.entries.iter().filter(|entry| entry.job.id == job).count();
        ready + self.later.iter().filter(|later| later.id == job).count()
    }
}

impl super::Protocol {
    /// Due jobs become ready. What is due is open, so any may be.
    pub(super) fn promoting(&self, state: &State, out: &mut super::Out) {
        for (index, job) in state.server.later.iter().enumerate() {
            out.step(state, super::Action::Promote(*job), |next| {
                next.server.later.remove(index);
                // Marked jobs are dropped here too. A job in `later` is never marked as long as finish and cancel do as
                // they should, so no invariant depends on it.
                if next.server.is_marked(job.id) {
                    self.end(next, job.id, job.run, End::Cancelled);
                } else {
                    next.server.add(*job);
                }
            });
        }
    }
}

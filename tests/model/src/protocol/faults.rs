//! Crashes, lost requests and replies, late commands, lost keys.

use super::{
    Action, Mutant, Out, Protocol,
    server::Owner,
    state::{Late, State},
    worker::{Fetch, Finish, Life, Read},
};

impl Protocol {
    pub(super) fn crashing(&self, state: &State, worker: usize, out: &mut Out) {
        if state.left.crashes > 0 && state.workers[worker].life != Life::Down {
            out.fault(state, Action::Crash(state.consumer(worker)), |next| {
                next.left.crashes -= 1;
                next.observed.blows += 1;
                self.go_down(next, worker);
            });
        }
    }

    /// The process is gone; what it has sent is not.
    pub(super) fn go_down(&self, next: &mut State, worker: usize) {
        next.leave_commands_behind(worker);
        next.workers[worker].forget_everything();
        next.workers[worker].life = Life::Down;
    }

    pub(super) fn losing_messages(&self, state: &State, worker: usize, out: &mut Out) {
        if state.left.losses > 0 && state.workers[worker].life != Life::Down {
            self.losing_fetches(state, worker, out);
            self.losing_finishes(state, worker, out);
        }
    }

    fn losing_fetches(&self, state: &State, worker: usize, out: &mut Out) {
        let consumer = state.consumer(worker);
        let mut lose = |action: Action, fetch: Fetch, late: Option<Late>| {
            out.fault(state, action, |next| {
                self.lose(next, worker, late);
                if !self.lacks(Mutant::ErrorTakenForFenced) {
                    let this = &mut next.workers[worker];
                    this.fetch = fetch;
                    if fetch == Fetch::Idle {
                        this.must_reread |= !self.ignores_lost_replies();
                        // What the reply may have brought is a suspect: alone until that is known.
                        this.is_alone &= this.must_reread;
                    }
                }
            });
        };
        match state.workers[worker].fetch {
            Fetch::Sent(read) => {
                lose(Action::LoseRequest(consumer, "read"), Fetch::Idle, None);
                if !matches!(read, Read::Again { .. }) && state.left.late > 0 {
                    lose(Action::LoseConnection(consumer, "read"), Fetch::Idle, Some(Late::Read(consumer, read)));
                }
            }
            Fetch::Delivered(..) | Fetch::Answered(..) => lose(Action::LoseReply(consumer, "read"), Fetch::Idle, None),
            Fetch::HandingBack(entries) => {
                let unanswered = self.unanswered(entries);
                let late = Late::HandBack(consumer, entries);
                lose(Action::LoseRequest(consumer, "hand-back"), unanswered, None);
                if state.left.late > 0 {
                    lose(Action::LoseConnection(consumer, "hand-back"), unanswered, Some(late));
                }
            }
            Fetch::HandedBack(entries) => {
                lose(Action::LoseReply(consumer, "hand-back"), self.unanswered(entries), None);
            }
            Fetch::Idle | Fetch::HandBackUnanswered(_) => {}
        }
    }

    fn ignores_lost_replies(&self) -> bool {
        matches!(self.without, Some(Mutant::NoReread | Mutant::NoRereadAfterError | Mutant::HandBackUnconfirmed))
    }

    fn unanswered(&self, entries: crate::few::Few<u8, 4>) -> Fetch {
        if self.lacks(Mutant::HandBackUnconfirmed) { Fetch::Idle } else { Fetch::HandBackUnanswered(entries) }
    }

    fn losing_finishes(&self, state: &State, worker: usize, out: &mut Out) {
        let consumer = state.consumer(worker);
        let (Finish::Sent(batch) | Finish::Answered { batch, .. }) = state.workers[worker].finish else { return };
        let mut lose = |action: Action, late: Option<Late>| {
            out.fault(state, action, |next| {
                self.lose(next, worker, late);
                if !self.lacks(Mutant::ErrorTakenForFenced) {
                    next.workers[worker].finish = Finish::Unanswered(batch);
                }
            });
        };
        if matches!(state.workers[worker].finish, Finish::Sent(_)) {
            lose(Action::LoseRequest(consumer, "finish"), None);
            if state.left.late > 0 {
                lose(Action::LoseConnection(consumer, "finish"), Some(Late::Finish(batch)));
            }
        } else {
            lose(Action::LoseReply(consumer, "finish"), None);
        }
    }

    fn lose(&self, next: &mut State, worker: usize, late: Option<Late>) {
        next.left.losses -= 1;
        if let Some(late) = late {
            next.leave_behind(late);
        }
        if self.lacks(Mutant::ErrorTakenForFenced) {
            next.workers[worker].forget_everything();
            self.next_term(next, worker);
        }
    }

    /// A late command may run at any time, or never.
    pub(super) fn late_commands(&self, state: &State, out: &mut Out) {
        for (index, late) in state.late.iter().enumerate() {
            let consumer = match late {
                Late::Read(consumer, _) | Late::HandBack(consumer, _) | Late::FreeUnique(consumer, _) => *consumer,
                Late::Finish(batch) => batch.consumer,
            };
            out.step(state, Action::RunLate(consumer), |next| {
                next.late.remove(index);
                match late {
                    Late::Read(consumer, read) => drop(self.run_read(next, *consumer, *read)),
                    Late::Finish(batch) => drop(self.run_finish(next, batch)),
                    Late::HandBack(consumer, entries) => self.run_hand_back(next, *consumer, entries),
                    Late::FreeUnique(_, job) => {
                        self.free_unique(next, *job);
                        next.observed.released |= 1 << job;
                    }
                }
            });
        }
    }

    pub(super) fn losing_keys(&self, state: &State, out: &mut Out) {
        if state.left.alive_losses > 0 && !state.server.alive.is_empty() {
            out.fault(state, Action::LoseAlive, |next| {
                next.left.alive_losses -= 1;
                next.observed.has_forgotten = true;
                for alive in &state.server.alive {
                    next.server.fence(alive.consumer);
                }
            });
        }
        if state.left.group_losses > 0 {
            out.fault(state, Action::LoseGroups, |next| {
                next.left.group_losses -= 1;
                next.observed.has_forgotten = true;
                for entry in next.server.entries.iter_mut() {
                    entry.owner = if self.lacks(Mutant::GroupAtTheEnd) { Owner::Forgotten } else { Owner::Nobody };
                }
            });
        }
    }
}

//! Fetching: rules 1 and 7 to 10, and the re-delivery of rule 20.

use super::{
    Action, Mutant, Out, Protocol,
    server::{Alive, Ban, Consumer, Entry, Lane, Owner, Server},
    state::{State, TERMS},
    worker::{Entries, Fetch, Life, Look, Read},
};
use crate::few::Few;

impl Protocol {
    pub(super) fn fetching(&self, state: &State, worker: usize, out: &mut Out) {
        let consumer = state.consumer(worker);
        let this = &state.workers[worker];
        match this.fetch {
            Fetch::Idle => self.sending_reads(state, worker, out),
            Fetch::Sent(read) => {
                if self.brings_something(state, consumer, read) {
                    out.step(state, Action::RunRead(consumer), |next| {
                        let entries = self.run_read(next, consumer, read);
                        next.workers[worker].fetch = if self.has_no_look() {
                            Fetch::Answered(read, entries, Look { is_alive: true, ..Look::default() })
                        } else {
                            Fetch::Delivered(read, entries)
                        };
                    });
                } else if this.life != Life::Down && self.wants_another_read(state, worker) {
                    out.step(state, Action::EndBlockedRead(consumer), |next| {
                        let this = &mut next.workers[worker];
                        this.fetch = Fetch::Idle;
                        this.is_alone &= this.must_reread;
                    });
                }
            }
            Fetch::Delivered(read, entries) => {
                out.step(state, Action::LookBehindRead(consumer), |next| {
                    let server = &next.server;
                    let look = Look {
                        is_alive: server.is_alive(consumer),
                        is_paused: server.is_paused,
                        has_marks: !server.marks.is_empty(),
                    };
                    next.workers[worker].fetch = Fetch::Answered(read, entries, look);
                });
            }
            Fetch::Answered(read, entries, look) if this.life != Life::Down => {
                out.step(state, Action::ReceiveRead(consumer), |next| self.receive(next, worker, read, &entries, look));
            }
            _ => {}
        }
        if this.is_registered
            && this.life == Life::Up
            && !this.must_reread
            && !self.lacks(Mutant::NoReread)
            && state.server.is_alive(consumer)
            && state.server.pending(consumer) > this.hand.len()
            && matches!(this.fetch, Fetch::Idle | Fetch::Sent(_))
        {
            out.step(state, Action::FindExcess(consumer), |next| next.workers[worker].must_reread = true);
        }
    }

    fn has_no_look(&self) -> bool {
        self.lacks(Mutant::NoLookBehindRead) || self.lacks(Mutant::ReadBeforeRegistering)
    }

    fn sending_reads(&self, state: &State, worker: usize, out: &mut Out) {
        let consumer = state.consumer(worker);
        let this = &state.workers[worker];
        if this.life != Life::Up {
            return;
        }
        if !this.is_registered {
            out.step(state, Action::Register(consumer), |next| {
                next.workers[worker].is_registered = true;
                next.server.alive.push(Alive { consumer, applied: 0 });
                next.server.alive.sort();
            });
        }
        if this.knows_paused || (!this.is_registered && !self.lacks(Mutant::ReadBeforeRegistering)) {
            return;
        }
        if this.is_alone && this.has_suspect() {
            return;
        }
        if this.must_reread {
            out.step(state, Action::SendReread(consumer), |next| {
                let this = &mut next.workers[worker];
                this.must_reread = false;
                this.fetch = Fetch::Sent(Read::Again { before: this.hand.iter().map(|held| held.entry).collect() });
            });
        } else if this.busy() < self.concurrency {
            let free = self.concurrency - this.busy();
            if self.may_read_suspects(state, worker) {
                let most = if self.lacks(Mutant::SuspectsTogether) { free } else { 1 };
                out.step(state, Action::SendSuspectRead(consumer), |next| {
                    next.workers[worker].fetch = Fetch::Sent(Read::Suspect { most });
                    next.workers[worker].is_alone = !self.lacks(Mutant::SuspectBesideOthers);
                });
            } else {
                out.step(state, Action::SendRead(consumer), |next| {
                    next.workers[worker].fetch = Fetch::Sent(Read::Fresh { most: free });
                });
            }
        }
    }

    /// A suspect is read when nothing runs here. What has ended may still be pending: it is in another lane.
    fn may_read_suspects(&self, state: &State, worker: usize) -> bool {
        let this = &state.workers[worker];
        let is_alone = this.busy() == 0 || self.lacks(Mutant::SuspectBesideOthers);
        is_alone && !this.has_suspect() && state.server.has_undelivered(Lane::Suspect)
    }

    /// A read of what is new blocks while there is nothing.
    fn brings_something(&self, state: &State, consumer: Consumer, read: Read) -> bool {
        match read {
            Read::Fresh { .. } => state.server.has_undelivered(Lane::Normal),
            Read::Suspect { .. } => true,
            Read::Again { .. } => state.server.pending(consumer) > 0 || !state.server.is_alive(consumer),
        }
    }

    fn wants_another_read(&self, state: &State, worker: usize) -> bool {
        let this = &state.workers[worker];
        this.life == Life::Stopping
            || this.must_reread
            || matches!(this.fetch, Fetch::Sent(Read::Again { .. }))
            || (self.may_read_suspects(state, worker) && this.busy() < self.concurrency)
    }

    /// The server's side of a read.
    pub(super) fn run_read(&self, next: &mut State, consumer: Consumer, read: Read) -> Entries {
        if self.keeps_consumers {
            next.server.consumers |= consumer.bit();
        }
        let (lane, most) = match read {
            Read::Again { .. } => {
                let is_mine = |entry: &&Entry| entry.owner == Owner::Pending(consumer);
                return next.server.entries.iter().filter(is_mine).map(|entry| entry.banned_by(&next.server)).collect();
            }
            Read::Fresh { most } => (Lane::Normal, most),
            Read::Suspect { most } => (Lane::Suspect, most),
        };
        let is_stray = next.server.fenced & consumer.bit() != 0;
        let mut delivered = Entries::default();
        for entry in next.server.entries.iter_mut() {
            let is_new = entry.owner == Owner::Nobody && entry.job.lane == lane;
            if is_new && delivered.len() < usize::from(most) {
                entry.owner = Owner::Pending(consumer);
                if is_stray {
                    entry.ban = Ban::Stray;
                }
                delivered.push(*entry);
            }
        }
        // Nobody starts these. That a crash is counted on them is known, and bounded: a read blocks for less than a lease.
        next.observed.blows += u8::from(is_stray && !delivered.is_empty());
        delivered.iter().map(|entry| entry.banned_by(&next.server)).collect()
    }

    /// The worker's side of a read.
    fn receive(&self, next: &mut State, worker: usize, read: Read, entries: &Entries, look: Look) {
        let consumer = next.consumer(worker);
        next.workers[worker].fetch = Fetch::Idle;
        let server = next.server_number;
        let is_in_hand = |next: &State, entry: &Entry| {
            let before = matches!(read, Read::Again { before } if before.contains(&entry.id));
            let is_in_hand = before || next.workers[worker].holds(entry.id, entry.job.id);
            let mutant =
                if matches!(read, Read::Again { .. }) { Mutant::NoInHandSet } else { Mutant::StartsWhatIsInHand };
            is_in_hand && !self.lacks(mutant)
        };
        let fresh: Entries = entries.iter().filter(|entry| !is_in_hand(next, entry)).copied().collect();
        if !look.is_alive || look.is_paused || next.workers[worker].life == Life::Stopping {
            next.workers[worker].knows_paused |= look.is_paused;
            next.workers[worker].is_alone &= next.workers[worker].has_suspect();
            let back: Few<_, 4> = fresh.iter().map(|entry| entry.id).collect();
            if !back.is_empty() {
                next.workers[worker].fetch = Fetch::HandingBack(back);
            }
            if !look.is_alive {
                self.end_term(next, worker);
            }
            return;
        }
        let mut back = Few::default();
        for entry in &fresh {
            if self.may_start(next, worker, entry) {
                self.take_in_hand(next, consumer, entry, server, look.has_marks);
            } else {
                back.push(entry.id);
            }
        }
        let this = &mut next.workers[worker];
        this.is_alone &= this.has_suspect() || this.must_reread;
        if !back.is_empty() {
            next.workers[worker].fetch = Fetch::HandingBack(back);
        }
    }

    /// A suspect starts where it is alone, and nothing else does there.
    fn may_start(&self, next: &State, worker: usize, entry: &Entry) -> bool {
        let this = &next.workers[worker];
        let is_alone = this.is_alone || self.lacks(Mutant::SuspectBesideOthers);
        match entry.job.lane {
            Lane::Suspect => is_alone && (!this.has_suspect() || self.lacks(Mutant::SuspectsTogether)),
            Lane::Normal => !this.is_alone,
        }
    }

    /// The consumer is not alive any more: the worker goes on as another.
    pub(super) fn end_term(&self, next: &mut State, worker: usize) {
        next.leave_commands_behind(worker);
        next.workers[worker].forget_everything();
        self.next_term(next, worker);
    }

    pub(super) fn next_term(&self, next: &mut State, worker: usize) {
        let this = &mut next.workers[worker];
        this.term += 1;
        assert!(this.term < TERMS, "the configuration has more faults than consumers");
    }
}

impl Entry {
    /// What a read hands out, with what forbids its start as far as the server knew.
    fn banned_by(&self, server: &Server) -> Self {
        let is_cancelled = self.ban == Ban::None && server.history[usize::from(self.job.id)].is_cancelled;
        Self { ban: if is_cancelled { Ban::Cancelled } else { self.ban }, ..*self }
    }
}

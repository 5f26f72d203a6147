//! Rule 21: a replica that stopped receiving some time ago is promoted. It lacks the last writes, and gives their stream ids
//! to other jobs.

use super::{
    Action, Out, Protocol,
    state::{Observed, State},
    worker::{Fetch, Finish, Life},
};
use crate::few::Few;

impl Protocol {
    pub(super) fn failing_over(&self, state: &State, out: &mut Out) {
        if state.left.failovers == 0 {
            return;
        }
        match state.replica {
            None => out.fault(state, Action::DetachReplica, |next| next.replica = Some(next.server)),
            Some(replica) => out.fault(state, Action::FailOver, |next| {
                next.left.failovers -= 1;
                next.server = replica;
                next.server_number += 1;
                next.replica = None;
                next.late = Few::default();
                // The documented exception: what the server had confirmed may happen again.
                next.observed = Observed { has_forgotten: true, ..Observed::default() };
                for worker in next.workers.iter_mut() {
                    worker.fetch = match worker.fetch {
                        Fetch::HandingBack(entries) | Fetch::HandedBack(entries) if worker.life != Life::Down => {
                            Fetch::HandBackUnanswered(entries)
                        }
                        _ => Fetch::Idle,
                    };
                    worker.is_alone = worker.has_suspect();
                    if let Finish::Sent(batch) | Finish::Answered { batch, .. } = worker.finish {
                        worker.finish = Finish::Unanswered(batch);
                    }
                }
            }),
        }
    }
}

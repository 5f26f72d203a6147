//! Rule 28: rows of committed transactions on their way from SQL to one target in Redis. A batch is written down with its number
//! before it is sent; the target ignores numbers that are not above its last; then the rows are deleted.

use std::fmt;

use crate::search::{Model, Steps};

const ROWS: usize = 3;
const RELAYS: usize = 2;
/// Rows of a batch, at most.
const BATCH: u32 = 2;

/// Transactions commit in any order; two relays take their rows to Redis.
#[derive(Clone, Copy, Debug, Default)]
pub struct OutboxRelay {
    /// The rule that is missing.
    pub without: Option<OutboxMutant>,
}

/// A mistake built into the relay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OutboxMutant {
    /// The target takes every number.
    NumberUnchecked,
    /// A batch is sent before it is written down.
    SentBeforeWrittenDown,
    /// A relay that takes over puts what waits by then into the batch.
    RowsBatchedAgain,
    /// A relay looks only at rows above the highest that it saw.
    HighWaterMark,
}

/// The mutants of rule 28.
pub const OUTBOX_MUTANTS: &[OutboxMutant] = &[
    OutboxMutant::NumberUnchecked,
    OutboxMutant::SentBeforeWrittenDown,
    OutboxMutant::RowsBatchedAgain,
    OutboxMutant::HighWaterMark,
];

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
enum Row {
    #[default]
    Uncommitted,
    Waiting,
    Deleted,
}

/// A number and the rows that go by it, a bit each.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Batch {
    number: u8,
    rows: u8,
}

/// A state of the outbox.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct OutboxState {
    rows: [Row; ROWS],
    /// The last number given out in SQL, and the rows of that batch while it is on its way.
    number: u8,
    members: Option<u8>,
    /// The highest row that was ever put into a batch.
    seen: u8,
    /// The last number that the target took, and how often each row had its effect.
    last: u8,
    effects: [u8; ROWS],
    /// What each relay holds, and whether it knows that it has arrived.
    holds: [Option<(Batch, bool)>; RELAYS],
    /// A command whose connection died before the server ran it.
    late: Option<Batch>,
    crashes: u8,
    losses: u8,
    lates: u8,
}

/// A step of the outbox.
#[derive(Clone, Copy, Debug)]
pub enum OutboxAction {
    /// A transaction commits.
    Commit(usize),
    /// A relay makes a batch of what waits.
    WriteDown(usize),
    /// A relay takes over the batch on its way.
    TakeOver(usize),
    /// It sends the batch, which runs.
    Send(usize),
    /// It sends the batch, which runs, and gets no answer.
    LoseReply(usize),
    /// It sends the batch on a connection that dies; the command may run at any time.
    Delay(usize),
    /// The server runs the delayed command.
    RunLate,
    /// It deletes the rows of the batch.
    StrikeOut(usize),
    /// It dies.
    Crash(usize),
}

impl OutboxRelay {
    fn lacks(&self, mutant: OutboxMutant) -> bool {
        self.without == Some(mutant)
    }

    /// The oldest rows that wait.
    fn waiting(&self, state: &OutboxState) -> u8 {
        let least = if self.lacks(OutboxMutant::HighWaterMark) { state.seen } else { 0 };
        let mut rows = 0_u8;
        for row in usize::from(least)..ROWS {
            if state.rows[row] == Row::Waiting && rows.count_ones() < BATCH {
                rows |= 1 << row;
            }
        }
        rows
    }

    fn run(&self, next: &mut OutboxState, batch: Batch) {
        if batch.number > next.last || self.lacks(OutboxMutant::NumberUnchecked) {
            next.last = next.last.max(batch.number);
            for row in (0..ROWS).filter(|row| batch.rows & 1 << row != 0) {
                next.effects[row] += 1;
            }
        }
    }

    fn write_down(&self, next: &mut OutboxState, relay: usize, rows: u8) {
        let number = next.number + 1;
        next.seen = next.seen.max(8 - rows.leading_zeros() as u8);
        next.holds[relay] = Some((Batch { number, rows }, false));
        if !self.lacks(OutboxMutant::SentBeforeWrittenDown) {
            next.number = number;
            next.members = Some(rows);
        }
    }

    fn strike_out(&self, next: &mut OutboxState, relay: usize, batch: Batch) {
        next.holds[relay] = None;
        let is_on_its_way = next.number == batch.number && next.members.is_some();
        if is_on_its_way || self.lacks(OutboxMutant::SentBeforeWrittenDown) {
            next.number = next.number.max(batch.number);
            next.members = None;
            for row in (0..ROWS).filter(|row| batch.rows & 1 << row != 0) {
                next.rows[row] = Row::Deleted;
            }
        }
    }

    fn relaying(&self, state: &OutboxState, relay: usize, out: &mut Steps<OutboxState, OutboxAction>) {
        let Some((batch, has_arrived)) = state.holds[relay] else {
            let rows = self.waiting(state);
            match state.members {
                None if rows != 0 => {
                    out.step(state, OutboxAction::WriteDown(relay), |next| self.write_down(next, relay, rows));
                }
                // Whoever holds it may be dead or slow: nobody can tell.
                Some(members) => out.step(state, OutboxAction::TakeOver(relay), |next| {
                    let rows = if self.lacks(OutboxMutant::RowsBatchedAgain) { rows } else { members };
                    next.members = Some(rows);
                    next.holds[relay] = Some((Batch { number: next.number, rows }, false));
                }),
                None => {}
            }
            return;
        };
        if has_arrived {
            out.step(state, OutboxAction::StrikeOut(relay), |next| self.strike_out(next, relay, batch));
        } else {
            out.step(state, OutboxAction::Send(relay), |next| {
                self.run(next, batch);
                next.holds[relay] = Some((batch, true));
            });
            if state.losses > 0 {
                out.fault(state, OutboxAction::LoseReply(relay), |next| {
                    next.losses -= 1;
                    self.run(next, batch);
                });
            }
            if state.lates > 0 && state.late.is_none() {
                out.fault(state, OutboxAction::Delay(relay), |next| {
                    next.lates -= 1;
                    next.late = Some(batch);
                });
            }
        }
        if state.crashes > 0 {
            out.fault(state, OutboxAction::Crash(relay), |next| {
                next.crashes -= 1;
                next.holds[relay] = None;
            });
        }
    }
}

impl Model for OutboxRelay {
    type State = OutboxState;
    type Action = OutboxAction;

    fn initial(&self) -> OutboxState {
        OutboxState { crashes: 2, losses: 1, lates: 1, ..OutboxState::default() }
    }

    fn steps(&self, state: &OutboxState, out: &mut Steps<OutboxState, OutboxAction>) {
        for row in (0..ROWS).filter(|row| state.rows[*row] == Row::Uncommitted) {
            out.step(state, OutboxAction::Commit(row), |next| next.rows[row] = Row::Waiting);
        }
        for relay in 0..RELAYS {
            self.relaying(state, relay, out);
        }
        if let Some(batch) = state.late {
            out.step(state, OutboxAction::RunLate, |next| {
                next.late = None;
                self.run(next, batch);
            });
        }
    }

    fn broken(&self, state: &OutboxState) -> Option<&'static str> {
        let mut rows = state.rows.iter().zip(state.effects);
        if state.effects.iter().any(|effects| *effects > 1) {
            Some("a row has its effect twice")
        } else if rows.any(|(row, effects)| *row == Row::Deleted && effects == 0) {
            Some("a row is deleted without its effect")
        } else if state.rows.iter().zip(state.effects).any(|(row, effects)| *row == Row::Uncommitted && effects > 0) {
            Some("a row has its effect before its transaction commits")
        } else {
            None
        }
    }

    fn is_settled(&self, state: &OutboxState) -> bool {
        state.rows.iter().all(|row| *row == Row::Deleted) && state.late.is_none()
    }
}

impl fmt::Display for OutboxAction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Commit(row) => write!(f, "the transaction of row {row} commits"),
            Self::WriteDown(relay) => write!(f, "relay {relay} makes a batch"),
            Self::TakeOver(relay) => write!(f, "relay {relay} takes over the batch"),
            Self::Send(relay) => write!(f, "relay {relay} sends its batch"),
            Self::LoseReply(relay) => write!(f, "relay {relay} sends its batch and the reply is lost"),
            Self::Delay(relay) => write!(f, "relay {relay} sends its batch on a connection that dies"),
            Self::RunLate => write!(f, "the server runs a command of a dead connection"),
            Self::StrikeOut(relay) => write!(f, "relay {relay} deletes the rows"),
            Self::Crash(relay) => write!(f, "relay {relay} dies"),
        }
    }
}

//! Rule 28: rows of committed transactions on their way from SQL to one target in Redis. A batch is written down with its number
//! before it is sent; the target ignores numbers that are not above its last; then the rows are deleted. While a batch is sent
//! the next one is read, and follows it at once: then the rows of the first are written down as arrived and deleted later.

use std::fmt;

use crate::search::{Model, Steps};

const ROWS: usize = 3;
const RELAYS: usize = 2;

/// Transactions commit in any order; two relays take their rows to Redis.
#[derive(Clone, Copy, Debug)]
pub struct OutboxRelay {
    /// Rows of a batch, at most.
    pub most: u32,
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
    /// A batch follows another one though that is not the one on its way any more.
    FollowUnchecked,
    /// What has arrived is not written down when a batch follows.
    ArrivedForgotten,
    /// A relay that takes over reads ahead before it deletes what has arrived.
    ArrivedReadAgain,
}

/// The mutants of rule 28.
pub const OUTBOX_MUTANTS: &[OutboxMutant] = &[
    OutboxMutant::NumberUnchecked,
    OutboxMutant::SentBeforeWrittenDown,
    OutboxMutant::RowsBatchedAgain,
    OutboxMutant::HighWaterMark,
    OutboxMutant::FollowUnchecked,
    OutboxMutant::ArrivedForgotten,
    OutboxMutant::ArrivedReadAgain,
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
    /// Rows of the batch before, which has arrived.
    arrived: u8,
    /// The highest row that was ever put into a batch.
    seen: u8,
    /// The last number that the target took, and how often each row had its effect.
    last: u8,
    effects: [u8; ROWS],
    /// What each relay holds, and whether it knows that it has arrived.
    holds: [Option<(Batch, bool)>; RELAYS],
    /// What it knows to have arrived and has not deleted yet, and what it read behind the batch that it holds.
    known: [u8; RELAYS],
    ahead: [u8; RELAYS],
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
    /// It deletes what it knows to have arrived.
    DeleteArrived(usize),
    /// It reads what waits behind the batch that it holds.
    ReadAhead(usize),
    /// It makes a batch of what it read ahead.
    Follow(usize),
    /// It dies.
    Crash(usize),
}

impl OutboxRelay {
    fn lacks(&self, mutant: OutboxMutant) -> bool {
        self.without == Some(mutant)
    }

    /// The oldest rows that wait, but for some.
    fn waiting(&self, state: &OutboxState, but: u8) -> u8 {
        let least = if self.lacks(OutboxMutant::HighWaterMark) { state.seen } else { 0 };
        let mut rows = 0_u8;
        for row in usize::from(least)..ROWS {
            if state.rows[row] == Row::Waiting && but & 1 << row == 0 && rows.count_ones() < self.most {
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

    /// The next batch, if the one that has arrived is still the one on its way.
    fn follow(&self, next: &mut OutboxState, relay: usize, batch: Batch) {
        let rows = next.ahead[relay];
        next.ahead[relay] = 0;
        let is_on_its_way = next.number == batch.number && next.members.is_some();
        if !is_on_its_way && !self.lacks(OutboxMutant::FollowUnchecked) {
            return Self::let_go(next, relay);
        }
        next.number += 1;
        next.members = Some(rows);
        next.arrived = if self.lacks(OutboxMutant::ArrivedForgotten) { 0 } else { batch.rows };
        next.known[relay] = batch.rows;
        next.holds[relay] = Some((Batch { number: next.number, rows }, false));
    }

    /// It knows nothing of the target any more.
    fn let_go(next: &mut OutboxState, relay: usize) {
        next.holds[relay] = None;
        next.known[relay] = 0;
        next.ahead[relay] = 0;
    }

    fn delete(next: &mut OutboxState, rows: u8) {
        for row in (0..ROWS).filter(|row| rows & 1 << row != 0) {
            next.rows[row] = Row::Deleted;
        }
    }

    fn strike_out(&self, next: &mut OutboxState, relay: usize, batch: Batch) {
        Self::let_go(next, relay);
        let is_on_its_way = next.number == batch.number && next.members.is_some();
        if is_on_its_way || self.lacks(OutboxMutant::SentBeforeWrittenDown) {
            next.number = next.number.max(batch.number);
            next.members = None;
            Self::delete(next, batch.rows | next.arrived);
            next.arrived = 0;
        }
    }

    fn relaying(&self, state: &OutboxState, relay: usize, out: &mut Steps<OutboxState, OutboxAction>) {
        let Some((batch, has_arrived)) = state.holds[relay] else {
            let rows = self.waiting(state, 0);
            match state.members {
                None if rows != 0 => {
                    out.step(state, OutboxAction::WriteDown(relay), |next| self.write_down(next, relay, rows));
                }
                // Whoever holds it may be dead or slow: nobody can tell.
                Some(members) => out.step(state, OutboxAction::TakeOver(relay), |next| {
                    let rows = if self.lacks(OutboxMutant::RowsBatchedAgain) { rows } else { members };
                    next.members = Some(rows);
                    next.holds[relay] = Some((Batch { number: next.number, rows }, false));
                    if !self.lacks(OutboxMutant::ArrivedReadAgain) {
                        Self::delete(next, next.arrived);
                    }
                }),
                None => {}
            }
            return;
        };
        if state.known[relay] != 0 {
            out.step(state, OutboxAction::DeleteArrived(relay), |next| {
                Self::delete(next, next.known[relay]);
                next.known[relay] = 0;
            });
        }
        let behind = self.waiting(state, batch.rows | state.known[relay]);
        if state.ahead[relay] == 0 && behind != 0 {
            out.step(state, OutboxAction::ReadAhead(relay), |next| next.ahead[relay] = behind);
        }
        if has_arrived && state.known[relay] == 0 && state.ahead[relay] != 0 {
            out.step(state, OutboxAction::Follow(relay), |next| self.follow(next, relay, batch));
        }
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
                Self::let_go(next, relay);
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
            Self::DeleteArrived(relay) => write!(f, "relay {relay} deletes what has arrived"),
            Self::ReadAhead(relay) => write!(f, "relay {relay} reads ahead"),
            Self::Follow(relay) => write!(f, "relay {relay} makes a batch of what it read ahead"),
            Self::Crash(relay) => write!(f, "relay {relay} dies"),
        }
    }
}

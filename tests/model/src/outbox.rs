//! Rule 28: rows of committed transactions on their way from SQL to one target in Redis. A batch is written down with its number
//! before it is sent; the target ignores numbers that are not above its last; then the rows are deleted. While a batch is sent the
//! next one is read, written down and sent behind it: the target takes that only when the first has arrived with all its messages.
//! Rows that have arrived are written down as such and deleted later.

mod relay;

use std::fmt;

use self::relay::Relay;
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
    /// Between the answer to a batch and the next one's being written down, the rows of the first are read as waiting.
    AnsweredReadAgain,
    /// The target takes a batch that is sent behind another one, whether or not that has arrived.
    EarlyTaken,
    /// The target takes a batch behind one of which it refused a message, and forgets which.
    RefusedForgotten,
    /// A batch that is still on its way is not written down any more when another one is sent behind it.
    BeforeForgotten,
    /// A relay that takes over begins with the last batch.
    LastFirst,
}

/// The mutants of rule 28.
pub const OUTBOX_MUTANTS: &[OutboxMutant] = &[
    OutboxMutant::NumberUnchecked,
    OutboxMutant::SentBeforeWrittenDown,
    OutboxMutant::RowsBatchedAgain,
    OutboxMutant::HighWaterMark,
    OutboxMutant::FollowUnchecked,
    OutboxMutant::ArrivedForgotten,
    OutboxMutant::AnsweredReadAgain,
    OutboxMutant::EarlyTaken,
    OutboxMutant::RefusedForgotten,
    OutboxMutant::BeforeForgotten,
    OutboxMutant::LastFirst,
];

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
enum Row {
    #[default]
    Uncommitted,
    Waiting,
    Deleted,
    /// The target refused it.
    SetAside,
}

/// A number and the rows that go by it, a bit each.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Batch {
    number: u8,
    rows: u8,
    /// Whether it is sent behind the one before, which may not have arrived.
    is_behind: bool,
}

/// What the target says of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Answer {
    /// All have arrived.
    Complete,
    /// These it refused, the others have arrived.
    Refused(u8),
    /// A later one has arrived.
    Passed,
    /// The one before has not arrived completely; nothing was done.
    Early,
}

/// A state of the outbox.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct OutboxState {
    rows: [Row; ROWS],
    /// The last number given out in SQL, and the rows of that batch while it is on its way.
    number: u8,
    members: Option<u8>,
    /// Rows of the batch before, where that is on its way too.
    before: u8,
    /// Rows of an earlier batch, which has arrived.
    arrived: u8,
    /// The highest row that was ever put into a batch.
    seen: u8,
    /// The last number that the target took, which rows of it it refused, and how often each row had its effect.
    last: u8,
    refused: u8,
    effects: [u8; ROWS],
    relays: [Relay; RELAYS],
    /// A command whose connection died before the server ran it.
    late: Option<Batch>,
    crashes: u8,
    losses: u8,
    lates: u8,
    refusals: u8,
}

/// A step of the outbox.
#[derive(Clone, Copy, Debug)]
pub enum OutboxAction {
    /// A transaction commits.
    Commit(usize),
    /// A relay makes a batch of what waits.
    WriteDown(usize),
    /// A relay takes over the oldest batch on its way.
    TakeOver(usize),
    /// The target runs a batch on its way, the first or the one behind it.
    Send(usize, usize),
    /// It refuses one of its messages.
    Refuse(usize, usize),
    /// It runs it, and the relay gets no answer.
    LoseReply(usize, usize),
    /// The connection dies; the command may run at any time.
    Delay(usize, usize),
    /// The server runs the delayed command.
    RunLate,
    /// The relay learns what became of the first batch.
    Land(usize),
    /// It deletes the rows of the last batch that was answered.
    StrikeOut(usize),
    /// It deletes what it knows to have arrived.
    DeleteArrived(usize),
    /// It reads what waits behind the batches on their way.
    ReadAhead(usize),
    /// It makes a batch of what it read ahead and sends it behind the others.
    Follow(usize),
    /// It dies.
    Crash(usize),
}

impl OutboxRelay {
    fn lacks(&self, mutant: OutboxMutant) -> bool {
        self.without == Some(mutant)
    }

    /// The target runs a batch, of which it refuses some rows.
    fn run(&self, next: &mut OutboxState, batch: Batch, refused: u8) -> Answer {
        if batch.number <= next.last && !self.lacks(OutboxMutant::NumberUnchecked) {
            return match next.refused {
                _ if batch.number < next.last => Answer::Passed,
                0 => Answer::Complete,
                refused => Answer::Refused(refused),
            };
        }
        let is_early = next.last + 1 != batch.number && !self.lacks(OutboxMutant::EarlyTaken)
            || next.refused != 0 && !self.lacks(OutboxMutant::RefusedForgotten);
        if batch.is_behind && is_early {
            return Answer::Early;
        }
        next.last = next.last.max(batch.number);
        next.refused = refused;
        for row in (0..ROWS).filter(|row| batch.rows & !refused & 1 << row != 0) {
            next.effects[row] += 1;
        }
        if refused == 0 { Answer::Complete } else { Answer::Refused(refused) }
    }
}

impl Model for OutboxRelay {
    type State = OutboxState;
    type Action = OutboxAction;

    fn initial(&self) -> OutboxState {
        OutboxState { crashes: 2, losses: 1, lates: 1, refusals: 1, ..OutboxState::default() }
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
                self.run(next, batch, 0);
            });
        }
    }

    /// Relays are alike.
    fn representative(&self, mut state: OutboxState) -> OutboxState {
        state.relays.sort_unstable();
        state
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
        state.rows.iter().all(|row| matches!(row, Row::Deleted | Row::SetAside)) && state.late.is_none()
    }
}

impl fmt::Display for OutboxAction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Commit(row) => write!(f, "the transaction of row {row} commits"),
            Self::WriteDown(relay) => write!(f, "relay {relay} makes a batch"),
            Self::TakeOver(relay) => write!(f, "relay {relay} takes over the batch"),
            Self::Send(relay, place) => write!(f, "the target runs batch {place} of relay {relay}"),
            Self::Refuse(relay, place) => write!(f, "the target refuses a message of batch {place} of relay {relay}"),
            Self::LoseReply(relay, place) => write!(f, "the reply to batch {place} of relay {relay} is lost"),
            Self::Delay(relay, place) => write!(f, "the connection with batch {place} of relay {relay} dies"),
            Self::RunLate => write!(f, "the server runs a command of a dead connection"),
            Self::Land(relay) => write!(f, "relay {relay} gets the first answer"),
            Self::StrikeOut(relay) => write!(f, "relay {relay} deletes the rows"),
            Self::DeleteArrived(relay) => write!(f, "relay {relay} deletes what has arrived"),
            Self::ReadAhead(relay) => write!(f, "relay {relay} reads ahead"),
            Self::Follow(relay) => write!(f, "relay {relay} makes a batch of what it read ahead"),
            Self::Crash(relay) => write!(f, "relay {relay} dies"),
        }
    }
}

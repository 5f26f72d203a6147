//! Rule 22: fencing tokens are max(last + 1, TIME in µs), so that they rise though the counter is lost, and though the clock
//! is set back. (Not though both happen at once: nothing is left then that remembers.)

use std::fmt;

use crate::search::{Model, Steps};

/// Times and tokens are searched up to here.
const END: u8 = 12;

/// A resource whose lock is granted again and again.
#[derive(Clone, Copy, Debug, Default)]
pub struct FencingTokens {
    /// The rule that is missing.
    pub without: Option<TokenMutant>,
}

/// A mistake built into the tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenMutant {
    /// A token is the last one plus one.
    CounterAlone,
    /// A token is the time.
    TimeAlone,
}

/// The mutants of rule 22.
pub const TOKEN_MUTANTS: &[TokenMutant] = &[TokenMutant::CounterAlone, TokenMutant::TimeAlone];

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
/// A state of a lock.
pub struct TokenState {
    /// The server's clock, in µs.
    time: u8,
    last: u8,
    /// A replica, detached some time ago.
    replica: Option<u8>,
    has_fault: bool,
    /// Observed: the highest token that anyone was given.
    highest: u8,
    is_repeated: bool,
}

/// A step of a lock.
#[derive(Clone, Copy, Debug)]
pub enum TokenAction {
    /// A microsecond passes.
    Pass,
    /// The lock is granted, which takes the server longer than a microsecond.
    Grant,
    /// A replica receives nothing from here on.
    Detach,
    /// It is promoted.
    FailOver,
    /// The counter is lost.
    LoseCounter,
    /// The clock is set back.
    SetBack,
}

impl Model for FencingTokens {
    type State = TokenState;
    type Action = TokenAction;

    fn initial(&self) -> TokenState {
        TokenState { time: 3, last: 0, replica: None, has_fault: false, highest: 0, is_repeated: false }
    }

    fn steps(&self, state: &TokenState, out: &mut Steps<TokenState, TokenAction>) {
        if state.time >= END || state.last >= END {
            return;
        }
        out.step(state, TokenAction::Pass, |next| next.time += 1);
        out.step(state, TokenAction::Grant, |next| {
            let token = match self.without {
                Some(TokenMutant::CounterAlone) => next.last + 1,
                Some(TokenMutant::TimeAlone) => next.time,
                None => next.time.max(next.last + 1),
            };
            next.is_repeated |= token <= next.highest;
            next.highest = next.highest.max(token);
            next.last = token;
            next.time += 1;
        });
        if state.has_fault {
            return;
        }
        match state.replica {
            None => out.fault(state, TokenAction::Detach, |next| next.replica = Some(next.last)),
            Some(last) => out.fault(state, TokenAction::FailOver, |next| {
                next.last = last;
                next.has_fault = true;
            }),
        }
        out.fault(state, TokenAction::LoseCounter, |next| {
            next.last = 0;
            next.has_fault = true;
        });
        out.fault(state, TokenAction::SetBack, |next| {
            next.time = 1;
            next.has_fault = true;
        });
    }

    fn broken(&self, state: &TokenState) -> Option<&'static str> {
        state.is_repeated.then_some("a fencing token is not higher than all before it")
    }

    fn is_settled(&self, _: &TokenState) -> bool {
        true
    }
}

impl fmt::Display for TokenAction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Pass => "a microsecond passes",
            Self::Grant => "the lock is granted",
            Self::Detach => "the replica stops receiving",
            Self::FailOver => "the stale replica is promoted",
            Self::LoseCounter => "the counter is lost",
            Self::SetBack => "the clock is set back",
        })
    }
}

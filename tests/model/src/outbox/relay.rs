//! What a relay of the outbox does.

use super::{Answer, Batch, OutboxAction, OutboxMutant, OutboxRelay, OutboxState, ROWS, Row};
use crate::search::Steps;

/// Batches of a relay that are on their way at once.
const FLIGHTS: usize = 2;

/// A batch on its way, and what the relay will hear of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Flight {
    batch: Batch,
    answer: Option<Answer>,
}

/// What a relay knows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Relay {
    /// In their order, the first first.
    flights: [Option<Flight>; FLIGHTS],
    /// Whether it took over what is on its way, so that nothing follows.
    is_alone: bool,
    /// The last batch of which it has an answer.
    answered: Option<(Batch, Answer)>,
    /// Whether a batch has not arrived with all its messages, or came early.
    has_trouble: bool,
    /// Rows that have arrived, that are written down as such and not deleted yet.
    known: u8,
    /// What it read behind the batches on their way.
    ahead: u8,
}

impl Relay {
    fn begin(batch: Batch, is_alone: bool) -> Self {
        Self { flights: [Some(Flight { batch, answer: None }), None], is_alone, ..Self::default() }
    }

    fn answered_rows(&self) -> u8 {
        self.answered.map_or(0, |(batch, _)| batch.rows)
    }

    /// The rows of the batches on their way.
    fn sent(&self) -> u8 {
        self.flights.iter().flatten().fold(0, |rows, flight| rows | flight.batch.rows)
    }

    fn is_idle(&self) -> bool {
        self.flights[0].is_none() && self.answered.is_none()
    }

    /// Hears of the first batch.
    fn land(&mut self, batch: Batch, answer: Answer) {
        self.flights = [self.flights[1], None];
        self.has_trouble |= answer != Answer::Complete;
        if answer != Answer::Early {
            self.answered = Some((batch, answer));
        }
    }
}

impl OutboxRelay {
    pub(super) fn relaying(&self, state: &OutboxState, relay: usize, out: &mut Steps<OutboxState, OutboxAction>) {
        let own = &state.relays[relay];
        if own.is_idle() && !own.has_trouble {
            return self.beginning(state, relay, out);
        }
        if own.known != 0 {
            out.step(state, OutboxAction::DeleteArrived(relay), |next| {
                Self::delete(next, own.known);
                next.relays[relay].known = 0;
            });
        }
        let may_follow = !own.is_alone && !own.has_trouble;
        let answered = if self.lacks(OutboxMutant::AnsweredReadAgain) { 0 } else { own.answered_rows() };
        let behind = self.waiting(state, own.sent() | own.known | answered);
        if may_follow && own.ahead == 0 && behind != 0 {
            out.step(state, OutboxAction::ReadAhead(relay), |next| next.relays[relay].ahead = behind);
        }
        if let (true, [Some(only), None]) = (may_follow && own.ahead != 0 && own.known == 0, own.flights) {
            out.step(state, OutboxAction::Follow(relay), |next| self.follow(next, relay, only.batch));
        }
        if let Some(Flight { batch, answer: Some(answer) }) = own.flights[0] {
            out.step(state, OutboxAction::Land(relay), |next| next.relays[relay].land(batch, answer));
        }
        if own.flights[0].is_none() || own.has_trouble {
            out.step(state, OutboxAction::StrikeOut(relay), |next| {
                next.relays[relay] = Relay::default();
                if let Some((batch, answer)) = own.answered {
                    self.strike_out(next, batch, answer);
                }
            });
        }
        self.sending(state, relay, out);
        if state.crashes > 0 {
            out.fault(state, OutboxAction::Crash(relay), |next| {
                next.crashes -= 1;
                next.relays[relay] = Relay::default();
            });
        }
    }

    fn beginning(&self, state: &OutboxState, relay: usize, out: &mut Steps<OutboxState, OutboxAction>) {
        let rows = self.waiting(state, 0);
        match state.members {
            None if rows != 0 => out.step(state, OutboxAction::WriteDown(relay), |next| {
                let number = next.number + 1;
                next.seen = next.seen.max(highest(rows));
                next.relays[relay] = Relay::begin(Batch { number, rows, is_behind: false }, false);
                if !self.lacks(OutboxMutant::SentBeforeWrittenDown) {
                    (next.number, next.members) = (number, Some(rows));
                }
            }),
            // Whoever holds it may be dead or slow: nobody can tell.
            Some(members) => out.step(state, OutboxAction::TakeOver(relay), |next| {
                Self::delete(next, next.arrived);
                let batch = if next.before != 0 && !self.lacks(OutboxMutant::LastFirst) {
                    Batch { number: next.number - 1, rows: next.before, is_behind: false }
                } else {
                    let rows = if self.lacks(OutboxMutant::RowsBatchedAgain) { rows } else { members };
                    next.members = Some(rows);
                    Batch { number: next.number, rows, is_behind: false }
                };
                next.relays[relay] = Relay::begin(batch, true);
            }),
            None => {}
        }
    }

    fn sending(&self, state: &OutboxState, relay: usize, out: &mut Steps<OutboxState, OutboxAction>) {
        for place in 0..FLIGHTS {
            let Some(Flight { batch, answer: None }) = state.relays[relay].flights[place] else { continue };
            let answered = |next: &mut OutboxState, refused| {
                let answer = Some(self.run(next, batch, refused));
                next.relays[relay].flights[place] = Some(Flight { batch, answer });
            };
            out.step(state, OutboxAction::Send(relay, place), |next| answered(next, 0));
            if state.refusals > 0 {
                out.fault(state, OutboxAction::Refuse(relay, place), |next| {
                    next.refusals -= 1;
                    answered(next, batch.rows & batch.rows.wrapping_neg());
                });
            }
            if state.losses > 0 {
                out.fault(state, OutboxAction::LoseReply(relay, place), |next| {
                    next.losses -= 1;
                    self.run(next, batch, 0);
                    next.relays[relay] = Relay::default();
                });
            }
            if state.lates > 0 && state.late.is_none() {
                out.fault(state, OutboxAction::Delay(relay, place), |next| {
                    next.lates -= 1;
                    next.late = Some(batch);
                    next.relays[relay] = Relay::default();
                });
            }
        }
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

    /// The next batch, if the last that is on its way is still the last.
    fn follow(&self, next: &mut OutboxState, relay: usize, last: Batch) {
        let is_last = next.number == last.number && next.members.is_some();
        if !is_last && !self.lacks(OutboxMutant::FollowUnchecked) {
            next.relays[relay].has_trouble = true;
            return;
        }
        let own = &mut next.relays[relay];
        let (rows, arrived) = (std::mem::take(&mut own.ahead), own.answered_rows());
        own.known = arrived;
        own.flights[1] = Some(Flight { batch: Batch { number: next.number + 1, rows, is_behind: true }, answer: None });
        next.number += 1;
        next.members = Some(rows);
        next.before = if self.lacks(OutboxMutant::BeforeForgotten) { 0 } else { last.rows };
        next.arrived = if self.lacks(OutboxMutant::ArrivedForgotten) { 0 } else { arrived };
        next.seen = next.seen.max(highest(rows));
    }

    fn strike_out(&self, next: &mut OutboxState, batch: Batch, answer: Answer) {
        let is_on_its_way = next.members.is_some();
        let is_last = is_on_its_way && next.number == batch.number || self.lacks(OutboxMutant::SentBeforeWrittenDown);
        let is_before = is_on_its_way && next.number == batch.number + 1 && next.before != 0;
        if !is_last && !is_before {
            return;
        }
        let refused = if let Answer::Refused(rows) = answer { rows } else { 0 };
        Self::delete(next, next.arrived | batch.rows & !refused);
        for row in (0..ROWS).filter(|row| refused & 1 << row != 0) {
            next.rows[row] = Row::SetAside;
        }
        if is_last {
            // It was not taken before the other one had arrived with all its messages.
            Self::delete(next, next.before);
            next.number = next.number.max(batch.number);
            next.members = None;
        }
        (next.before, next.arrived) = (0, 0);
    }

    fn delete(next: &mut OutboxState, rows: u8) {
        for row in (0..ROWS).filter(|row| rows & 1 << row != 0) {
            next.rows[row] = Row::Deleted;
        }
    }
}

/// Behind the highest of some rows.
fn highest(rows: u8) -> u8 {
    8 - rows.leading_zeros() as u8
}

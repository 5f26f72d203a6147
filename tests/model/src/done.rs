//! Rules 14 and 27: outcomes on their way from the finish to SQL. They are counted by the finish and by the recorder, each
//! pack once; what is delivered twice is recorded once.

use std::fmt;

use crate::search::{Model, Steps};

/// Outcomes in each pack.
const PACKS: [u8; 3] = [1, 2, 1];
const RECORDERS: usize = 2;
/// Above so many outcomes the oldest pack is dropped, where that is the policy.
const LIMIT: u8 = 2;

/// Finishes append packs; two recorders take them.
#[derive(Clone, Copy, Debug, Default)]
pub struct DoneStream {
    /// Whether outcomes above the limit are dropped.
    pub drops: bool,
    /// The rule that is missing.
    pub without: Option<DoneMutant>,
}

/// A mistake built into the way of outcomes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DoneMutant {
    /// A recorder takes packs off the count that another has taken.
    CountedOffTwice,
    /// A recorder acknowledges before it has recorded.
    AckBeforeRecord,
    /// What is delivered twice is recorded twice.
    NoDedup,
    /// The group of the recorders is made at the end of the stream.
    GroupAtTheEnd,
}

/// The mutants of rules 14 and 27.
pub const DONE_MUTANTS: &[DoneMutant] =
    &[DoneMutant::CountedOffTwice, DoneMutant::AckBeforeRecord, DoneMutant::NoDedup, DoneMutant::GroupAtTheEnd];

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
enum Pack {
    #[default]
    Unwritten,
    InStream,
    Gone,
    Dropped,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
/// A state of the outcomes.
pub struct DoneState {
    packs: [Pack; PACKS.len()],
    /// Whether the group will hand a pack out, for the first time.
    is_deliverable: [bool; PACKS.len()],
    has_group: bool,
    group_losses: u8,
    crashes: u8,
    count: i8,
    /// What each recorder has read: the pack, and whether it is in SQL.
    reading: [Option<(u8, bool)>; RECORDERS],
    /// A pack is pending for a recorder that is gone.
    is_orphaned: [bool; PACKS.len()],
    recorded: [u8; PACKS.len()],
}

/// A step of the outcomes.
#[derive(Clone, Copy, Debug)]
pub enum DoneAction {
    /// A finish appends a pack.
    Finish(usize),
    /// A recorder makes the group, if it is not there.
    Register,
    /// A recorder reads a pack, or takes over an orphan.
    Read(usize, usize),
    /// It writes the pack to SQL.
    Record(usize),
    /// It confirms the pack.
    Confirm(usize),
    /// It dies.
    Crash(usize),
    /// It was slow: another takes over what it reads.
    TakeOver(usize, usize),
    /// The group is lost.
    LoseGroup,
}

impl DoneStream {
    fn lacks(&self, mutant: DoneMutant) -> bool {
        self.without == Some(mutant)
    }

    fn finish(&self, next: &mut DoneState, pack: usize) {
        next.packs[pack] = Pack::InStream;
        next.is_deliverable[pack] = true;
        next.count += PACKS[pack] as i8;
        // As finish.lua does: the newest pack stays.
        while self.drops && next.count > LIMIT as i8 {
            let Some(oldest) = (0..pack).find(|oldest| next.packs[*oldest] == Pack::InStream) else { break };
            next.packs[oldest] = Pack::Dropped;
            next.count -= PACKS[oldest] as i8;
        }
    }

    fn confirm(&self, next: &mut DoneState, pack: usize) {
        if next.packs[pack] == Pack::InStream || self.lacks(DoneMutant::CountedOffTwice) {
            next.count -= PACKS[pack] as i8;
        }
        if next.packs[pack] == Pack::InStream {
            next.packs[pack] = Pack::Gone;
        }
    }
}

impl Model for DoneStream {
    type State = DoneState;
    type Action = DoneAction;

    fn initial(&self) -> DoneState {
        DoneState { group_losses: 1, crashes: 1, ..DoneState::default() }
    }

    fn steps(&self, state: &DoneState, out: &mut Steps<DoneState, DoneAction>) {
        if let Some(pack) = state.packs.iter().position(|pack| *pack == Pack::Unwritten) {
            out.step(state, DoneAction::Finish(pack), |next| self.finish(next, pack));
        }
        if !state.has_group {
            out.step(state, DoneAction::Register, |next| {
                next.has_group = true;
                next.is_deliverable = next.packs.map(|pack| pack == Pack::InStream);
                if self.lacks(DoneMutant::GroupAtTheEnd) {
                    next.is_deliverable = Default::default();
                }
            });
        }
        for recorder in 0..RECORDERS {
            self.recording(state, recorder, out);
        }
        if state.group_losses > 0 && state.has_group {
            out.fault(state, DoneAction::LoseGroup, |next| {
                next.group_losses -= 1;
                next.has_group = false;
                next.is_orphaned = Default::default();
            });
        }
    }

    fn broken(&self, state: &DoneState) -> Option<&'static str> {
        let packs = || state.packs.iter().zip(PACKS).zip(state.recorded);
        let waiting: u8 =
            packs().filter(|((pack, _), _)| **pack == Pack::InStream).map(|((_, outcomes), _)| outcomes).sum();
        if state.count != waiting as i8 {
            Some("the count of waiting outcomes is wrong")
        } else if packs().any(|((_, outcomes), recorded)| recorded > outcomes) {
            Some("an outcome is recorded twice")
        } else if packs().any(|((pack, _), recorded)| *pack == Pack::Gone && recorded == 0) {
            Some("an outcome is lost on its way to SQL")
        } else {
            None
        }
    }

    fn is_settled(&self, state: &DoneState) -> bool {
        state.count == 0 && !state.packs.contains(&Pack::Unwritten)
    }
}

impl DoneStream {
    fn recording(&self, state: &DoneState, recorder: usize, out: &mut Steps<DoneState, DoneAction>) {
        let Some((pack, is_recorded)) = state.reading[recorder] else {
            for pack in (0..PACKS.len()).filter(|pack| state.packs[*pack] == Pack::InStream && state.has_group) {
                if state.is_deliverable[pack] || state.is_orphaned[pack] {
                    out.step(state, DoneAction::Read(recorder, pack), |next| {
                        next.is_deliverable[pack] = false;
                        next.is_orphaned[pack] = false;
                        next.reading[recorder] = Some((pack as u8, false));
                    });
                }
                if state.reading.iter().flatten().any(|reading| usize::from(reading.0) == pack) {
                    out.fault(state, DoneAction::TakeOver(recorder, pack), |next| {
                        next.reading[recorder] = Some((pack as u8, false));
                    });
                }
            }
            return;
        };
        let pack = usize::from(pack);
        if !is_recorded {
            out.step(state, DoneAction::Record(recorder), |next| {
                next.reading[recorder] = Some((pack as u8, true));
                let before = if self.lacks(DoneMutant::NoDedup) { next.recorded[pack] } else { 0 };
                next.recorded[pack] = before + PACKS[pack];
            });
        }
        if is_recorded || self.lacks(DoneMutant::AckBeforeRecord) {
            out.step(state, DoneAction::Confirm(recorder), |next| {
                next.reading[recorder] = None;
                self.confirm(next, pack);
            });
        }
        if state.crashes > 0 {
            out.fault(state, DoneAction::Crash(recorder), |next| {
                next.crashes -= 1;
                next.reading[recorder] = None;
                next.is_orphaned[pack] = next.has_group;
            });
        }
    }
}

impl fmt::Display for DoneAction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Finish(pack) => write!(f, "a finish appends pack {pack}"),
            Self::Register => write!(f, "a recorder makes the group"),
            Self::Read(recorder, pack) => write!(f, "recorder {recorder} reads pack {pack}"),
            Self::Record(recorder) => write!(f, "recorder {recorder} writes to SQL"),
            Self::Confirm(recorder) => write!(f, "recorder {recorder} confirms"),
            Self::Crash(recorder) => write!(f, "recorder {recorder} dies"),
            Self::TakeOver(recorder, pack) => {
                write!(f, "recorder {recorder} takes over pack {pack}, whose reader is slow")
            }
            Self::LoseGroup => write!(f, "the group is lost"),
        }
    }
}

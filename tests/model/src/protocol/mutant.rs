//! What the protocol would be without one of its rules. A model that holds without a rule does not show that it is needed,
//! so each of these must be caught.

/// A mistake built into the protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Mutant {
    /// Rule 13: a finish does not ask whether its consumer is alive.
    FinishWithoutEpochCheck,
    /// Rule 2: a beat enters a consumer again that was fenced.
    BeatRecreatesItsEntry,
    /// Rule 1: a consumer reads before it is registered, so that the look behind its reads tells it nothing.
    ReadBeforeRegistering,
    /// Rule 8: there is no look behind a read.
    NoLookBehindRead,
    /// Rule 17: a consumer is deleted before its entries are put back.
    ForgottenBeforeRequeue,
    /// Rule 17: an orphan is copied by one command and removed by another.
    RequeueInTwoSteps,
    /// Rules 12 and 13: a finish has no number, and does not ask which entries it removed.
    UnnumberedFinish,
    /// Rule 9: a re-read starts what is in hand.
    NoInHandSet,
    /// Rule 10: what a lost reply delivered is never read again.
    NoReread,
    /// Rules 10 and 18: after an error, suspects are read before what the lost reply may have delivered.
    NoRereadAfterError,
    /// Rule 21: after a failover a finish goes by stream ids alone.
    CarelessFinish,
    /// Rule 4: an error is taken for "not alive".
    ErrorTakenForFenced,
    /// Rule 18: suspects are read many at once.
    SuspectsTogether,
    /// Rule 18: suspects are kept apart from each other, but not from other jobs.
    SuspectBesideOthers,
    /// Rule 18: a third crash in the normal lane makes a job dead.
    BlameInNormalLane,
    /// Rule 8: a hand-back counts a crash.
    HandBackCountsACrash,
    /// Rule 8: a hand-back that was not confirmed is forgotten, and may be applied late.
    HandBackUnconfirmed,
    /// Shutdown: a consumer leaves without handing back what is pending for it unseen.
    LeavesWithPending,
    /// Shutdown: jobs that have ended are handed back while their finish is on its way.
    EndedJobsHandedBack,
    /// Rule 20: what is in hand already is started once more, when a group that was lost hands it out again.
    StartsWhatIsInHand,
    /// Rule 20: a group is made again at the end of its stream.
    GroupAtTheEnd,
    /// Rule 26: what was read is started without a look at the marks.
    CancelUncheckedAtStart,
    /// Rule 26: a requeue moves a job that is marked.
    CancelUncheckedAtRequeue,
    /// Rule 26: a finish moves a job that is marked.
    CancelUncheckedAtRetry,
    /// Rule 26: cancelling a job that is out for a run already writes its outcome.
    CancelOutcomeWithoutRemoval,
    /// Rule 26: marks are purged whatever is in the lanes.
    MarkPurgedEarly,
    /// Rule 23: a unique key is freed whoever holds it.
    UniqueFreedUnchecked,
    /// Rule 23: a requeue frees the unique key.
    UniqueFreedAtRequeue,
    /// Rule 23: a job that ends otherwise than by a finish keeps its unique key.
    UniqueFreedByFinishOnly,
    /// Rule 25: a slot is freed by a finish alone.
    SlotsNotSwept,
    /// Rule 25: a second take of the same job counts twice.
    SlotTakenTwice,
    /// Rule 25: a slot is given to a consumer that is not alive.
    SlotTakenWhenFenced,
}

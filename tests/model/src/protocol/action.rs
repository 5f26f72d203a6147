//! The names of the steps. Each stands under the rule of the protocol that it follows, or is the fault that a rule is for.

use std::fmt;

use super::{
    server::{Consumer, Job},
    state::{EntryId, JobId},
    worker::Ending,
};

/// A step of the protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Push: the job becomes an entry, or meets a unique key (rule 23: the key is taken with the push, or not at all).
    Push(JobId),
    /// Rule 1: a consumer is in `alive` before its first read.
    Register(Consumer),
    /// Rule 7: one read at a time, of as many jobs as there are free slots.
    SendRead(Consumer),
    /// Rule 18: a suspect is read when nothing else runs in the process, and nothing starts until its finish is confirmed.
    SendSuspectRead(Consumer),
    /// Rule 10: a re-read of what is pending; what was in hand when it was sent is left out of its answer.
    SendReread(Consumer),
    /// The server hands out entries.
    RunRead(Consumer),
    /// Rule 8: the look at `alive` and `paused` (and at the marks, rule 26) behind a read.
    LookBehindRead(Consumer),
    /// Rules 8, 9 and 20: starts what was read, unless it must go back or is in hand already.
    ReceiveRead(Consumer),
    /// Rule 7: a blocked read ends without loss.
    EndBlockedRead(Consumer),
    /// Rule 10: two beats running found more entries pending than in hand.
    FindExcess(Consumer),
    /// Rule 8: entries that must not start go back, no attempt and no crash counted.
    RunHandBack(Consumer),
    /// The hand-back is confirmed.
    ConfirmHandBack(Consumer),
    /// A hand-back whose reply was lost is sent again, for it may still be applied.
    ResendHandBack(Consumer),
    /// Rule 26: what was read while there are marks starts only after a look at them.
    AskForMarks(Consumer, JobId),
    /// Rule 26: a running job hears the signal that it is cancelled.
    HearCancel(Consumer, JobId),
    /// Rule 25: takes a slot; where none is free, first sweeps those of the dead and of jobs that are not pending.
    TakeSlot(Consumer, JobId),
    /// Rule 23: the unique key is freed before the handler starts.
    FreeUniqueAtStart(Consumer, JobId),
    /// The handler ends.
    EndRun(Consumer, JobId, Ending),
    /// A poison job takes its process down.
    KillWorker(Consumer, JobId),
    /// Rule 12: one finish after the other, numbered.
    SendFinish(Consumer),
    /// Rule 13: the script finishes a batch.
    RunFinish(Consumer),
    /// Rule 9: only with the confirmation are entries out of hand.
    ConfirmFinish(Consumer),
    /// Rule 12: a finish whose reply was lost is sent again.
    ResendFinish(Consumer),
    /// Rule 4: the answer "not alive" ends the term.
    LearnFencedByFinish(Consumer),
    /// Rules 2 and 4: the beat's answer "not alive" ends the term.
    LearnFencedByBeat(Consumer),
    /// Rule 3: a consumer that stood still is fenced.
    Fence(Consumer),
    /// Rule 17: an orphan is put back, the crash counted; rule 18 says where.
    Requeue(EntryId, Job),
    /// Rule 17: a consumer is deleted when it is not alive and holds nothing.
    Forget(Consumer),
    /// A job that is due becomes ready.
    Promote(Job),
    /// Rule 26: the marks that are older than every entry are dropped.
    PurgeMarks,
    /// Rule 26: a cancel removes a waiting job, or leaves a mark.
    Cancel(JobId),
    /// Rule 23: a key kept for a time expires.
    ExpireUnique,
    /// A pause ends, and the workers see it.
    Unpause,
    /// A worker sees that the queue is not paused any more.
    SeeUnpaused(Consumer),
    /// Shutdown: a handler is cut off, its job will be handed back.
    CutOff(Consumer, JobId),
    /// Shutdown: the job of a handler that cannot be cut off is handed back.
    Abandon(Consumer, JobId),
    /// Shutdown: a consumer without work hands back what is pending for it all the same, and leaves.
    Leave(Consumer),
    /// A process starts again, as another consumer.
    Restart(Consumer),
    /// A command of a connection that died is run after all.
    RunLate(Consumer),

    /// A process is killed.
    Crash(Consumer),
    /// A consumer stood still, yet lives.
    FenceLiving(Consumer),
    /// A request is lost on its way.
    LoseRequest(Consumer, &'static str),
    /// A reply is lost on its way.
    LoseReply(Consumer, &'static str),
    /// The connection dies; the command is left at the server.
    LoseConnection(Consumer, &'static str),
    /// Shutdown: Redis does not confirm in time, and the process ends.
    GiveUp(Consumer),
    /// The queue is paused.
    Pause,
    /// A worker is asked to stop.
    Stop(Consumer),
    /// A replica receives nothing from here on.
    DetachReplica,
    /// Rule 21: it is promoted, and hands out stream ids again.
    FailOver,
    /// Rule 4: `alive` is lost.
    LoseAlive,
    /// Rule 20: the groups are lost, and made again.
    LoseGroups,
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        use Action::*;
        match self {
            Push(job) => write!(f, "J{job} is pushed"),
            Register(c) => write!(f, "{c} registers"),
            SendRead(c) => write!(f, "{c} sends a read"),
            SendSuspectRead(c) => write!(f, "{c} sends a read of the suspect lane"),
            SendReread(c) => write!(f, "{c} sends a re-read"),
            RunRead(c) => write!(f, "server: reads for {c}"),
            LookBehindRead(c) => write!(f, "server: looks behind the read of {c}"),
            ReceiveRead(c) => write!(f, "{c} receives what it read"),
            EndBlockedRead(c) => write!(f, "the blocked read of {c} ends"),
            FindExcess(c) => write!(f, "{c} learns that more is pending than in hand"),
            RunHandBack(c) => write!(f, "server: hands back for {c}"),
            ConfirmHandBack(c) => write!(f, "{c} receives that its hand-back is done"),
            ResendHandBack(c) => write!(f, "{c} sends its hand-back again"),
            AskForMarks(c, job) => write!(f, "{c} asks whether J{job} is cancelled"),
            HearCancel(c, job) => write!(f, "{c} hears that J{job} is cancelled"),
            TakeSlot(c, job) => write!(f, "{c} takes a slot for J{job}"),
            FreeUniqueAtStart(c, job) => write!(f, "{c} frees the unique key of J{job} and starts it"),
            EndRun(c, job, ending) => write!(f, "J{job} has {ending:?} at {c}"),
            KillWorker(c, job) => write!(f, "J{job} takes down {c}"),
            SendFinish(c) => write!(f, "{c} sends a finish"),
            RunFinish(c) => write!(f, "server: finishes for {c}"),
            ConfirmFinish(c) => write!(f, "{c} receives that its finish is applied"),
            ResendFinish(c) => write!(f, "{c} sends its finish again"),
            LearnFencedByFinish(c) => write!(f, "{c} learns from its finish that it is not alive"),
            LearnFencedByBeat(c) => write!(f, "{c} learns from its beat that it is not alive"),
            Fence(c) => write!(f, "{c} is fenced"),
            Requeue(entry, job) => write!(f, "entry {entry}, {job}, is put back"),
            Forget(c) => write!(f, "{c} is deleted from the groups"),
            Promote(job) => write!(f, "{job} is promoted"),
            PurgeMarks => write!(f, "old marks are purged"),
            Cancel(job) => write!(f, "J{job} is cancelled"),
            ExpireUnique => write!(f, "the unique key expires"),
            Unpause => write!(f, "the pause ends"),
            SeeUnpaused(c) => write!(f, "{c} sees that the pause is over"),
            CutOff(c, job) => write!(f, "{c} cuts off J{job}"),
            Abandon(c, job) => write!(f, "{c} hands back J{job}, which it can not cut off"),
            Leave(c) => write!(f, "{c} leaves"),
            Restart(c) => write!(f, "{c} starts"),
            RunLate(c) => write!(f, "server: runs a late command of {c}"),
            Crash(c) => write!(f, "{c} is killed"),
            FenceLiving(c) => write!(f, "{c} is fenced, although it lives"),
            LoseRequest(c, what) => write!(f, "the {what} of {c} is lost"),
            LoseReply(c, what) => write!(f, "the reply to the {what} of {c} is lost"),
            LoseConnection(c, what) => {
                write!(f, "the connection dies under the {what} of {c}, which stays at the server")
            }
            GiveUp(c) => write!(f, "{c} gives up and leaves"),
            Pause => write!(f, "the queue is paused"),
            Stop(c) => write!(f, "{c} is asked to stop"),
            DetachReplica => write!(f, "the replica stops receiving"),
            FailOver => write!(f, "the stale replica is promoted"),
            LoseAlive => write!(f, "alive is lost"),
            LoseGroups => write!(f, "the groups are lost and made again"),
        }
    }
}

//! The sizes at which the protocol is searched, and for each of its mutants the one that catches it.

use super::{Faults, Mutant, Protocol, Unique};

/// A size of the model under a name.
#[derive(Clone, Copy, Debug)]
pub struct Configuration {
    /// What it is about, in a few words.
    pub name: &'static str,
    /// The size.
    pub protocol: Protocol,
}

const NONE: Faults = Faults {
    crashes: 0,
    false_fences: 0,
    losses: 0,
    late: 0,
    failovers: 0,
    alive_losses: 0,
    group_losses: 0,
    stops: 0,
    pauses: 0,
    cancels: 0,
    failures: 0,
    snoozes: 0,
};

const ONE_JOB: Protocol = Protocol {
    jobs: 1,
    ready: 1,
    workers: 2,
    concurrency: 1,
    attempts: 2,
    poison: 0,
    unique: None,
    slots: None,
    keeps_consumers: false,
    faults: NONE,
    without: None,
};
const TWO_JOBS: Protocol = Protocol { jobs: 2, ready: 2, ..ONE_JOB };
const CONSUMERS: Protocol = Protocol { keeps_consumers: true, ..ONE_JOB };
/// Two jobs, of which the first kills whoever runs it.
const POISON: Protocol = Protocol { concurrency: 2, poison: 0b01, ..TWO_JOBS };
/// The same, where crashes of others may make the second job a suspect before the first is one.
const VICTIM: Protocol = Protocol { attempts: 1, ..POISON };

const fn configuration(name: &'static str, protocol: Protocol, faults: Faults) -> Configuration {
    Configuration { name, protocol: Protocol { faults, ..protocol } }
}

/// Runs, retries and rescues, through crashes, false fences, lost messages and late commands.
pub const RUNS: &[Configuration] = &[
    configuration(
        "one job, a crash, a loss, a late command and a retry",
        ONE_JOB,
        Faults { crashes: 1, losses: 1, late: 1, failures: 1, ..NONE },
    ),
    configuration(
        "one job, a false fence, a loss, a late command and a retry",
        ONE_JOB,
        Faults { false_fences: 1, losses: 1, late: 1, failures: 1, ..NONE },
    ),
    configuration(
        "one job, two losses, two late commands, a snooze and a retry",
        ONE_JOB,
        Faults { losses: 2, late: 2, snoozes: 1, failures: 1, ..NONE },
    ),
    configuration(
        "the consumers of the groups, a crash, a loss and a late command",
        CONSUMERS,
        Faults { crashes: 1, losses: 1, late: 1, ..NONE },
    ),
    configuration("one job that dies of its failures", ONE_JOB, Faults { crashes: 1, losses: 1, failures: 2, ..NONE }),
    configuration(
        "two jobs at once and a false fence",
        Protocol { concurrency: 2, ..TWO_JOBS },
        Faults { false_fences: 1, ..NONE },
    ),
    configuration(
        "two jobs at once and two losses",
        Protocol { concurrency: 2, ..TWO_JOBS },
        Faults { losses: 2, late: 1, ..NONE },
    ),
    configuration(
        "two jobs, one worker, a crash, a loss and a retry",
        Protocol { workers: 1, ..TWO_JOBS },
        Faults { crashes: 1, losses: 1, late: 1, failures: 1, ..NONE },
    ),
];

/// The suspect lane: the first of two jobs kills whoever runs it.
pub const SUSPECTS: &[Configuration] = &[
    configuration("suspects and a loss", POISON, Faults { losses: 1, ..NONE }),
    configuration(
        "suspects one by one and a pause",
        Protocol { concurrency: 1, ..POISON },
        Faults { pauses: 1, ..NONE },
    ),
    configuration(
        "a suspect that a crash made one beside a poison job, and a loss",
        VICTIM,
        Faults { crashes: 1, losses: 1, ..NONE },
    ),
];

/// Pauses and shutdowns.
pub const HAND_BACKS: &[Configuration] = &[
    configuration(
        "hand-back at a pause, a loss and a late command",
        ONE_JOB,
        Faults { pauses: 1, losses: 1, late: 1, crashes: 1, ..NONE },
    ),
    configuration(
        "shutdown, a loss and a late command",
        ONE_JOB,
        Faults { stops: 1, losses: 1, late: 1, failures: 1, ..NONE },
    ),
    configuration("shutdown of both workers", TWO_JOBS, Faults { stops: 2, ..NONE }),
];

/// Cancels.
pub const CANCELS: &[Configuration] = &[
    configuration(
        "cancel, a crash, a loss, a late command and a retry",
        ONE_JOB,
        Faults { cancels: 1, crashes: 1, losses: 1, late: 1, failures: 1, ..NONE },
    ),
    configuration(
        "cancel, shutdown and a pause",
        ONE_JOB,
        Faults { cancels: 1, stops: 1, pauses: 1, snoozes: 1, ..NONE },
    ),
    configuration("two jobs, a cancel and a crash", TWO_JOBS, Faults { cancels: 1, crashes: 1, ..NONE }),
];

/// Unique keys.
pub const UNIQUE_KEYS: &[Configuration] = &[
    configuration(
        "unique until finished, a crash and a cancel",
        Protocol { ready: 0, unique: Some(Unique::UntilFinished), ..TWO_JOBS },
        Faults { crashes: 1, cancels: 1, ..NONE },
    ),
    configuration(
        "unique until started, a crash, a loss and a late command",
        Protocol { ready: 0, workers: 1, jobs: 2, unique: Some(Unique::UntilStarted), ..ONE_JOB },
        Faults { crashes: 1, losses: 1, late: 1, ..NONE },
    ),
    configuration(
        "unique for a time, a crash and a death",
        Protocol { ready: 0, attempts: 1, unique: Some(Unique::ForATime), ..TWO_JOBS },
        Faults { crashes: 1, failures: 1, ..NONE },
    ),
];

/// Slots.
pub const SLOTS: &[Configuration] = &[
    configuration(
        "slots, a crash and a cancel",
        Protocol { slots: Some(1), ..TWO_JOBS },
        Faults { crashes: 1, cancels: 1, ..NONE },
    ),
    configuration(
        "slots, a loss and a retry",
        Protocol { slots: Some(1), ..TWO_JOBS },
        Faults { losses: 1, failures: 1, ..NONE },
    ),
    configuration(
        "slots and a false fence",
        Protocol { slots: Some(1), ..TWO_JOBS },
        Faults { false_fences: 1, ..NONE },
    ),
];

/// Failovers, and keys that are lost.
pub const SERVER_LOSSES: &[Configuration] = &[
    configuration("failover with a retry and a loss", ONE_JOB, Faults { failovers: 1, failures: 1, losses: 1, ..NONE }),
    configuration(
        "failover that gives a stream id to another job",
        Protocol { ready: 1, ..TWO_JOBS },
        Faults { failovers: 1, ..NONE },
    ),
    configuration("loss of alive and a retry", ONE_JOB, Faults { alive_losses: 1, failures: 1, losses: 1, ..NONE }),
    configuration("loss of the groups and of a message", TWO_JOBS, Faults { group_losses: 1, losses: 1, ..NONE }),
];

/// What every run of the tests searches, by topic.
pub const SMALL: &[&[Configuration]] = &[RUNS, SUSPECTS, HAND_BACKS, CANCELS, UNIQUE_KEYS, SLOTS, SERVER_LOSSES];

/// What `./dev model` searches besides.
pub const LARGE: &[Configuration] = &[
    configuration(
        "two jobs at once, a false fence and a loss",
        Protocol { concurrency: 2, ..TWO_JOBS },
        Faults { false_fences: 1, losses: 1, ..NONE },
    ),
    configuration(
        "one job, a crash, a false fence, a loss, a late command and a retry",
        ONE_JOB,
        Faults { crashes: 1, false_fences: 1, losses: 1, late: 1, failures: 1, ..NONE },
    ),
    configuration(
        "one job, two false fences, a loss and a late command",
        ONE_JOB,
        Faults { false_fences: 2, losses: 1, late: 1, ..NONE },
    ),
    configuration("two jobs, a crash and a false fence", TWO_JOBS, Faults { crashes: 1, false_fences: 1, ..NONE }),
    configuration(
        "two jobs at once, a crash, a loss and a retry",
        Protocol { concurrency: 2, ..TWO_JOBS },
        Faults { crashes: 1, losses: 1, failures: 1, ..NONE },
    ),
    configuration("suspects, a loss and a pause", POISON, Faults { losses: 1, pauses: 1, ..NONE }),
    configuration("suspects and shutdown", POISON, Faults { stops: 1, ..NONE }),
    configuration(
        "cancel, a crash, a false fence and a retry",
        ONE_JOB,
        Faults { cancels: 1, crashes: 1, false_fences: 1, losses: 1, failures: 1, ..NONE },
    ),
    configuration(
        "unique until started with three jobs and a crash",
        Protocol { ready: 0, jobs: 3, unique: Some(Unique::UntilStarted), ..ONE_JOB },
        Faults { crashes: 1, ..NONE },
    ),
    configuration(
        "unique until finished, a crash, a cancel and a retry",
        Protocol { ready: 0, unique: Some(Unique::UntilFinished), ..TWO_JOBS },
        Faults { crashes: 1, cancels: 1, failures: 1, ..NONE },
    ),
    configuration(
        "unique until finished, two crashes, a cancel and retries",
        Protocol { ready: 0, unique: Some(Unique::UntilFinished), ..TWO_JOBS },
        Faults { crashes: 2, cancels: 1, failures: 1, ..NONE },
    ),
    configuration(
        "slots, a crash, a loss and a cancel",
        Protocol { slots: Some(1), ..TWO_JOBS },
        Faults { crashes: 1, losses: 1, cancels: 1, ..NONE },
    ),
    configuration(
        "failover that gives a stream id to another job, and a loss",
        Protocol { ready: 1, ..TWO_JOBS },
        Faults { failovers: 1, losses: 1, ..NONE },
    ),
    configuration("failover, a crash and a retry", ONE_JOB, Faults { failovers: 1, crashes: 1, failures: 1, ..NONE }),
    configuration(
        "the consumers of the groups, a false fence, a stop and a late command",
        CONSUMERS,
        Faults { false_fences: 1, stops: 1, late: 1, ..NONE },
    ),
    configuration("shutdown beside a crash", TWO_JOBS, Faults { stops: 1, crashes: 1, ..NONE }),
];

const fn caught(mutant: Mutant, protocol: Protocol, faults: Faults) -> (Mutant, Protocol) {
    (mutant, Protocol { faults, ..protocol })
}

/// Each mutant with a size that catches it.
pub const MUTANTS: &[(Mutant, Protocol)] = &[
    caught(Mutant::FinishWithoutEpochCheck, ONE_JOB, Faults { false_fences: 1, ..NONE }),
    caught(Mutant::BeatRecreatesItsEntry, ONE_JOB, Faults { false_fences: 1, ..NONE }),
    caught(Mutant::ReadBeforeRegistering, ONE_JOB, NONE),
    caught(Mutant::NoLookBehindRead, ONE_JOB, Faults { false_fences: 1, ..NONE }),
    caught(Mutant::ForgottenBeforeRequeue, CONSUMERS, Faults { crashes: 1, ..NONE }),
    caught(Mutant::RequeueInTwoSteps, ONE_JOB, Faults { crashes: 1, ..NONE }),
    caught(Mutant::UnnumberedFinish, ONE_JOB, Faults { losses: 1, failures: 1, ..NONE }),
    caught(Mutant::NoInHandSet, Protocol { concurrency: 2, ..TWO_JOBS }, Faults { losses: 1, ..NONE }),
    caught(Mutant::NoReread, ONE_JOB, Faults { losses: 1, ..NONE }),
    caught(Mutant::NoRereadAfterError, POISON, Faults { losses: 1, ..NONE }),
    caught(Mutant::CarelessFinish, Protocol { ready: 1, ..TWO_JOBS }, Faults { failovers: 1, ..NONE }),
    caught(Mutant::ErrorTakenForFenced, ONE_JOB, Faults { losses: 1, ..NONE }),
    caught(Mutant::SuspectsTogether, POISON, NONE),
    caught(Mutant::SuspectBesideOthers, VICTIM, Faults { crashes: 1, ..NONE }),
    caught(Mutant::BlameInNormalLane, POISON, NONE),
    caught(Mutant::HandBackCountsACrash, ONE_JOB, Faults { pauses: 1, ..NONE }),
    caught(Mutant::HandBackUnconfirmed, ONE_JOB, Faults { pauses: 1, losses: 1, late: 1, ..NONE }),
    caught(Mutant::LeavesWithPending, ONE_JOB, Faults { stops: 1, losses: 1, ..NONE }),
    caught(Mutant::EndedJobsHandedBack, ONE_JOB, Faults { stops: 1, ..NONE }),
    caught(Mutant::StartsWhatIsInHand, Protocol { concurrency: 2, ..ONE_JOB }, Faults { group_losses: 1, ..NONE }),
    caught(Mutant::GroupAtTheEnd, ONE_JOB, Faults { group_losses: 1, ..NONE }),
    caught(Mutant::CancelUncheckedAtStart, ONE_JOB, Faults { cancels: 1, losses: 1, ..NONE }),
    caught(Mutant::CancelUncheckedAtRequeue, ONE_JOB, Faults { cancels: 1, crashes: 1, ..NONE }),
    caught(Mutant::CancelUncheckedAtRetry, ONE_JOB, Faults { cancels: 1, failures: 1, ..NONE }),
    caught(Mutant::CancelOutcomeWithoutRemoval, ONE_JOB, Faults { cancels: 1, ..NONE }),
    caught(Mutant::MarkPurgedEarly, ONE_JOB, Faults { cancels: 1, failures: 1, ..NONE }),
    caught(
        Mutant::UniqueFreedUnchecked,
        Protocol { ready: 0, unique: Some(Unique::UntilStarted), ..TWO_JOBS },
        Faults { crashes: 1, ..NONE },
    ),
    caught(
        Mutant::UniqueFreedAtRequeue,
        Protocol { ready: 0, unique: Some(Unique::UntilFinished), ..TWO_JOBS },
        Faults { crashes: 1, ..NONE },
    ),
    caught(
        Mutant::UniqueFreedByFinishOnly,
        Protocol { ready: 0, unique: Some(Unique::UntilFinished), ..TWO_JOBS },
        Faults { cancels: 1, ..NONE },
    ),
    caught(Mutant::SlotsNotSwept, Protocol { slots: Some(1), ..TWO_JOBS }, Faults { crashes: 1, cancels: 1, ..NONE }),
    caught(Mutant::SlotTakenWhenFenced, Protocol { slots: Some(1), ..TWO_JOBS }, Faults { false_fences: 1, ..NONE }),
    caught(Mutant::SlotTakenTwice, Protocol { slots: Some(1), ..ONE_JOB }, Faults { losses: 1, ..NONE }),
];

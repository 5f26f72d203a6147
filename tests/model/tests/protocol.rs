//! The protocol at the sizes that every run of the tests searches to the end, and its mutants.

use millstream_model::{
    protocol::{
        Configuration, MUTANTS, Mutant,
        configuration::{CANCELS, HAND_BACKS, RUNS, SERVER_LOSSES, SLOTS, SUSPECTS, UNIQUE_KEYS},
    },
    search::{Verdict, search},
};

/// More states than any of these sizes has.
const MOST: usize = 5_000_000;

#[track_caller]
fn hold(configurations: &[Configuration]) {
    for Configuration { name, protocol } in configurations {
        match search(protocol, MOST).verdict {
            Verdict::Holds => {}
            Verdict::TooMany => panic!("{name}: more than {MOST} states"),
            Verdict::Broken(found) => panic!("{name}: {found}"),
        }
    }
}

#[test]
fn every_job_ends_once_through_crashes_fences_and_lost_messages() {
    hold(RUNS);
}

#[test]
fn the_neighbour_of_a_poison_job_lives() {
    hold(SUSPECTS);
}

#[test]
fn what_is_handed_back_counts_no_crash_and_runs_once() {
    hold(HAND_BACKS);
}

#[test]
fn a_cancelled_job_is_not_started_and_ends_once() {
    hold(CANCELS);
}

#[test]
fn one_live_job_holds_a_unique_key_and_every_end_frees_it() {
    hold(UNIQUE_KEYS);
}

#[test]
fn no_more_jobs_run_than_there_are_slots_and_no_slot_is_stranded() {
    hold(SLOTS);
}

#[test]
fn no_stranger_is_harmed_by_a_failover_and_lost_keys_strand_nothing() {
    hold(SERVER_LOSSES);
}

#[test]
fn every_mutant_of_the_protocol_is_caught() {
    for (mutant, protocol) in MUTANTS {
        let verdict = search(&protocol.without(*mutant), MOST).verdict;
        assert!(matches!(verdict, Verdict::Broken(_)), "{mutant:?} is not caught: {verdict:?}");
    }
}

#[test]
fn each_mutant_is_caught_by_a_size_that_holds_without_it() {
    for (mutant, protocol) in MUTANTS {
        let verdict = search(protocol, MOST).verdict;
        assert!(matches!(verdict, Verdict::Holds), "the size for {mutant:?}: {verdict:?}");
    }
}

/// Kept apart from other suspects alone, the victim of two crashes would be blamed for a third, which a job caused that is no
/// suspect yet.
#[test]
fn a_suspect_is_not_blamed_for_a_crash_of_a_job_that_is_no_suspect_yet() {
    let Some((_, crashed)) = MUTANTS.iter().find(|(mutant, _)| *mutant == Mutant::SuspectBesideOthers) else {
        panic!("the mutant is gone")
    };
    assert!(matches!(search(crashed, MOST).verdict, Verdict::Holds));
    let beside = crashed.without(Mutant::SuspectBesideOthers);
    let Verdict::Broken(found) = search(&beside, MOST).verdict else { panic!("it lives beside others as well") };
    assert_eq!(found.invariant, "a job is dead of a crash that another job caused");
}

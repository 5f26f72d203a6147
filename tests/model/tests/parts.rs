//! The smaller models: leases in time, rated queues, fencing tokens, seen keys, and the way of outcomes to SQL.

use millstream_model::{
    done::{DONE_MUTANTS, DoneStream},
    lease::{LEASE_MUTANTS, Lease},
    outbox::{OUTBOX_MUTANTS, OutboxRelay},
    rate::{RATE_MUTANTS, RatedQueue},
    search::{Model, Verdict, search},
    seen::{SEEN_MUTANTS, SeenKeys},
    token::{FencingTokens, TOKEN_MUTANTS},
};

const MOST: usize = 5_000_000;

#[track_caller]
fn holds(model: &impl Model) {
    let verdict = search(model, MOST).verdict;
    assert!(matches!(verdict, Verdict::Holds), "{verdict:?}");
}

#[track_caller]
fn are_caught<M: Model>(models: impl Iterator<Item = M>) {
    for (number, model) in models.enumerate() {
        let verdict = search(&model, MOST).verdict;
        assert!(matches!(verdict, Verdict::Broken(_)), "mutant {number} is not caught: {verdict:?}");
    }
}

#[test]
fn only_a_consumer_that_stood_still_is_fenced_and_it_has_let_go_by_then() {
    holds(&Lease { without: None });
    are_caught(LEASE_MUTANTS.iter().map(|mutant| Lease { without: Some(*mutant) }));
}

#[test]
fn a_rated_queue_delivers_what_its_rate_allows_and_charges_nothing_else() {
    holds(&RatedQueue { without: None });
    are_caught(RATE_MUTANTS.iter().map(|mutant| RatedQueue { without: Some(*mutant) }));
}

#[test]
fn fencing_tokens_rise_though_the_counter_is_lost_or_the_clock_set_back() {
    holds(&FencingTokens { without: None });
    are_caught(TOKEN_MUTANTS.iter().map(|mutant| FencingTokens { without: Some(*mutant) }));
}

#[test]
fn a_key_is_stored_once_within_its_window_though_the_clock_is_set() {
    holds(&SeenKeys { without: None });
    are_caught(SEEN_MUTANTS.iter().map(|mutant| SeenKeys { without: Some(*mutant) }));
}

#[test]
fn every_outcome_is_recorded_once_and_counted_off_once() {
    holds(&DoneStream { drops: false, without: None });
    holds(&DoneStream { drops: true, without: None });
    are_caught(DONE_MUTANTS.iter().map(|mutant| DoneStream { drops: false, without: Some(*mutant) }));
}

#[test]
fn a_row_of_the_outbox_has_its_effect_once_whichever_relay_dies_or_returns_late() {
    for most in [1, 2] {
        holds(&OutboxRelay { most, without: None });
    }
    are_caught(OUTBOX_MUTANTS.iter().map(|mutant| OutboxRelay { most: 2, without: Some(*mutant) }));
}

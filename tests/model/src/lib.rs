//! An explicit-state model of the protocol by which jobs are handed out, finished and rescued.
//!
//! Real processes show what happens; they can hardly be made to show what *may* happen. A command that runs after its
//! connection died, a fence between a read and the look behind it, a failover that gives a stream id to another job: here
//! every order of such events is searched to the end. Each invariant is checked in every state, and from every state
//! everything must still be able to come to its end. Each rule is then taken away, to see that something breaks: those
//! are the mutants.
//!
//! # What is modelled
//!
//! [`protocol`] has one queue, its normal lane and its suspect lane, one or two workers of one fetch loop each, and one to
//! three jobs. Its steps are the atomic steps of `worker/src/lua/*.lua`, `queue/src/lua/{push,cancel}.lua` and the local
//! steps of `worker/src/engine/`; each [`Action`](protocol::Action) names its rule. Which step comes next is open, so every
//! actor may be as slow as it likes: a process that is frozen is one that takes no step. The faults are those of
//! [`Faults`](protocol::Faults).
//!
//! Time is not in it, but for what time is needed: [`lease`] has beats, looks, fences and outages in time. [`rate`],
//! [`token`], [`seen`], [`done`] and [`outbox`] are small models of one rule each.
//!
//! # What is not modelled
//!
//! Several lanes by priority, batches that are cut, several queues in a process, payloads (so not what replacing a unique
//! job puts in its place), expiry, parking, revival, malformed entries, two servers that both think they are the primary, and
//! hosts whose clocks run at different speeds. The followers' side of events has
//! tests of its own in `queue/tests/servers/follow.rs`.
//!
//! # The rules, and where each is shown
//!
//! Mutants are named as in [`Mutant`](protocol::Mutant), unless a model is named before them. Tests stand behind their file,
//! in `tests/tests`, `queue/tests/servers` and `store/tests/conformance`.
//!
//! | | rule | in the model: mutants | against real servers and processes |
//! |---|---|---|---|
//! | 1 | a consumer is a fresh name, in `alive` before its first read | `ReadBeforeRegistering` | every test of survival; workers: `two_workers_configured_alike_are_two_consumers_and_one_rescues_the_other` |
//! | 2 | beat, look and fence are one script, from a thread of its own; a beat never re-creates an entry | `BeatRecreatesItsEntry`, here and in `lease` | survival: `a_handler_that_blocks_every_runtime_thread_does_not_cost_the_lease`; memory: `at_maxmemory_pushes_are_refused_clearly_while_jobs_complete_and_nobody_is_fenced` |
//! | 3 | dead is who stood still for a lease of looks without a gap; a fence asks for the counter seen | `lease`: `FenceWithoutCounterCheck`, `GapsCount` | survival: `an_outage_longer_than_the_lease_fences_nobody`; clock: `a_clock_that_jumps_forth_and_back_takes_no_running_job_from_its_worker` |
//! | 4 | only "not alive" means fenced; whoever loses `alive` registers anew | `ErrorTakenForFenced`, here and in `lease`; the size "loss of alive" | survival: `workers_survive_the_loss_of_their_streams_and_of_everything`, `workers_ride_out_a_restart_of_the_server`; servers: `a_busy_script_is_a_bounded_failure_and_costs_nobody_a_job` |
//! | 5 | a hung runtime stops beating | – | survival: `a_process_whose_runtime_hangs_loses_its_jobs_and_comes_back_as_a_stranger` |
//! | 6 | work starts under a fresh beat only; a holder lets go before it can be fenced | `lease`: `HolderCancelledLate`, `AgeFromTheReply` | survival: `a_frozen_worker_loses_its_job_and_can_not_complete_it_when_it_wakes` |
//! | 7 | one dedicated read at a time, never cancelled; lanes in the order of priority | the step `EndBlockedRead` loses nothing in any size | jobs: `high_priority_runs_before_normal_before_low`; survival: `a_second_signal_hands_back_at_once` |
//! | 8 | a look at `alive` and `paused` behind each read; what must not start goes back, uncounted and confirmed | `NoLookBehindRead`, `HandBackCountsACrash`, `HandBackUnconfirmed`, `LeavesWithPending`, `EndedJobsHandedBack` | jobs: `a_paused_queue_starts_nothing_and_goes_on_when_it_is_not_paused_any_more`; hand_back: `a_hand_back_that_fails_is_tried_until_it_is_done`, `a_job_that_a_stopping_worker_never_saw_goes_back_without_a_crash`; survival: `a_stopping_worker_finishes_short_jobs_and_hands_back_long_ones_without_burning_an_attempt` |
//! | 9 | in hand from receipt to confirmed finish | `NoInHandSet` | lost_replies: `a_finish_whose_reply_was_lost_is_sent_again_without_harm` |
//! | 10 | what is pending and in no hand is read again, after an error at once | `NoReread`, `NoRereadAfterError` | lost_replies: `jobs_whose_delivery_was_lost_on_the_way_are_read_again_and_run_once` |
//! | 11 | a queue with a rate is read and charged by one script | `rate`: all three | – |
//! | 12 | finishes are numbered and one after the other | `UnnumberedFinish` | lost_replies: `a_worker_whose_connections_are_reset_over_and_over_loses_and_doubles_nothing`; servers: `a_server_that_freezes_under_load_stores_no_job_twice_and_loses_none` |
//! | 13 | alive? new? then all or nothing; outcomes for what was removed | `FinishWithoutEpochCheck`, `UnnumberedFinish` | workers: `a_worker_frozen_for_three_leases_can_not_retry_its_job`, `a_worker_that_wakes_just_after_the_rescue_does_not_steal_its_job_back` |
//! | 14 | a run has one outcome, a job one end; the recorder keeps each once | checked in every state; `done`: `NoDedup` | store: `the_row_follows_the_highest_run_in_any_order_of_arrival`, `a_terminal_state_is_never_left`, `a_pack_delivered_twice_is_recorded_once` |
//! | 15 | a revived job is a new one that names the dead one | – | dead: `a_revived_job_is_a_new_one_that_is_linked_to_the_dead_one` |
//! | 16 | an attempt that is over reports nothing | for finishes: `FinishWithoutEpochCheck` | reporting: `an_attempt_that_timed_out_or_returned_can_not_report`, `a_fenced_worker_can_not_report`, `a_run_below_the_latest_and_one_of_a_job_that_has_ended_are_refused` |
//! | 17 | orphans are put back by one script; a consumer is deleted when it holds nothing | `RequeueInTwoSteps`, `ForgottenBeforeRequeue` | survival: `killing_workers_over_and_over_loses_and_doubles_nothing`; entries: `an_entry_whose_worker_dies_ends_once_however_odd_it_is` |
//! | 18 | a suspect runs alone in its process; only there a crash makes a job dead | `SuspectsTogether`, `SuspectBesideOthers`, `BlameInNormalLane`, `NoRereadAfterError` | survival: `a_job_that_kills_its_workers_is_dead_after_three_and_its_neighbours_live`; suspects: `an_innocent_suspect_outlives_a_poison_job_of_its_queue_and_runs_alone`, `an_innocent_suspect_outlives_a_poison_job_of_another_queue_and_runs_alone` |
//! | 19 | a scan for orphans at the start, after a fence, and when consumers and `alive` differ | assumed: orphans are found at some time | survival: `a_job_whose_worker_is_killed_runs_again_within_fifteen_seconds` |
//! | 20 | a group is made again at 0; what is in hand is skipped | `GroupAtTheEnd`, `StartsWhatIsInHand` | hand_back: `a_running_job_that_is_handed_out_once_more_is_not_started_again`; flushes: `deleting_the_streams_and_everything_under_load_makes_no_hot_loop_and_the_groups_come_back` |
//! | 21 | after a failover a finish asks for owner and job | `CarelessFinish` | failover: `a_finish_after_a_failover_removes_no_job_that_has_the_same_stream_id` |
//! | 22 | fencing tokens are max(last + 1, TIME) | `token`: both | – |
//! | 23 | a unique key goes with its job and is freed at its end, if it is this job's | `UniqueFreedUnchecked`, `UniqueFreedAtRequeue`, `UniqueFreedByFinishOnly` | unique: `a_key_until_the_end_is_held_while_the_job_runs_and_free_once_it_is_done`, `a_key_goes_with_a_job_whose_worker_died`, `a_key_is_held_through_retries_and_snoozes_and_free_at_death` |
//! | 24 | three buckets of seen ids | `seen`: all three | push: `a_key_is_recognised_across_a_change_of_the_bucket`; servers: `an_enqueue_whose_reply_is_dropped_over_and_over_is_one_job` |
//! | 25 | slots belong to jobs in the hands of the living; taking is idempotent; a full take sweeps | `SlotsNotSwept`, `SlotTakenTwice`, `SlotTakenWhenFenced` | – |
//! | 26 | a cancel is a request that every move asks for; only who removes a job writes its outcome | `CancelUncheckedAtStart`, `CancelUncheckedAtRequeue`, `CancelUncheckedAtRetry`, `CancelOutcomeWithoutRemoval`, `MarkPurgedEarly` | cancel: `a_marked_job_is_dropped_when_a_worker_meets_it`, `a_marked_job_does_not_come_back_after_a_crash_nor_after_a_stop`, `a_cancel_that_races_completion_retry_and_revival_leaves_one_end_of_each_job` |
//! | 27 | outcomes are counted by finish and recorder; recorders begin at 0 | `done`: `CountedOffTwice`, `AckBeforeRecord`, `GroupAtTheEnd` | jobs: `fetching_pauses_while_no_recorder_takes_the_outcomes_and_goes_on_when_one_has`, `where_outcomes_may_be_dropped_the_oldest_are_and_they_are_counted`; store: `thousands_are_recorded_and_counted_down`, `groups_lost_to_flushall_come_back` |
//! | 28 | a batch of the outbox is written down under its number before it is sent, and a target takes rising numbers only; one that is sent behind another is taken when that has arrived with all its messages | `outbox`: all eleven | store: `what_is_committed_is_relayed_once_and_what_is_rolled_back_never`, `a_batch_that_was_sent_and_not_struck_out_has_one_effect_however_late_it_returns`, `several_relays_relay_each_row_once_and_keep_the_order_of_a_key`, `a_transaction_that_commits_late_with_a_low_number_is_relayed`, `a_batch_behind_one_that_redis_refused_in_part_waits_until_that_is_set_aside`, `a_relay_that_takes_over_begins_with_the_older_of_two_batches` |
//!
//! # What the search has shown besides
//!
//! - Rules 12 and 13 cover for each other in a finish that is sent twice: either the number or the question what was removed
//!   is enough. `UnnumberedFinish` lacks both.
//! - Rule 26 names promotion among what asks for marks. As long as finish and cancel do, no marked job is in `later`, so
//!   nothing breaks without that question.
//! - It is not enough for rule 18 to keep suspects apart from each other: a job that is no suspect yet may take the process
//!   down, and the suspect be blamed. Nor may a suspect wait in hand until it is alone, for what is pending is blamed: the
//!   worker is alone before it reads one, and stays so after a read whose reply was lost.
//! - What remains: a read of a suspect that the server runs late, after its connection died, hands it to a worker that may
//!   not be alone any more. It is handed back when the next beats find it; a crash in between is blamed on it.
//!   The same goes for one that has waited for a minute, and starts beside what still runs (not modelled).

pub mod done;
mod few;
mod fingerprint;
pub mod lease;
pub mod outbox;
pub mod protocol;
pub mod rate;
pub mod search;
pub mod seen;
pub mod token;

//! What the worker tells, all of it, by tracing events: each is a function here, and a row of `OBSERVE.md`.

use tracing::{Level, event_enabled};

/// Defines a function per event. Where nobody listens, calling one is a look at a flag.
macro_rules! events {
    ($(
        $level:ident $target:literal $name:literal $message:literal
        fn $function:ident($($field:ident: $type:ty),* $(,)?);
    )*) => {
        $(pub(crate) fn $function($($field: $type),*) {
            tracing::event!(name: $name, target: $target, Level::$level, $($field,)* $message);
        })*

        /// Name, target, level and fields of every event.
        #[cfg(test)]
        const EVENTS: &[(&str, &str, &str, &[&str])] =
            &[$(($name, $target, stringify!($level), &[$(stringify!($field)),*])),*];
    };
}

/// Whether anybody listens to the events of single jobs: what they need is not even measured otherwise.
pub(crate) fn of_jobs_are_heard() -> bool {
    event_enabled!(target: "millstream::job", Level::DEBUG)
}

events! {
    DEBUG "millstream::job" "job.started" "job started"
    fn job_started(queue: &str, kind: &str, attempt: u32, run: u32, wait_us: u64);

    DEBUG "millstream::job" "job.ended" "job ended"
    fn job_ended(queue: &str, kind: &str, how: &str, run_us: u64);

    DEBUG "millstream::job" "job.finished" "job is to be finished"
    fn job_finished(queue: &str, kind: &str, state: &str);

    DEBUG "millstream::job" "job.incomplete" "job did not complete"
    fn job_incomplete(queue: &str, kind: &str, id: &str, attempt: u32, state: &str, error: &str);

    WARN "millstream::job" "job.dead" "job is dead"
    fn job_dead(queue: &str, kind: &str, id: &str, attempt: u32, error: &str);

    WARN "millstream::job" "job.malformed" "an entry is no job; it is now among the dead letters"
    fn job_malformed(queue: &str, id: &str, entry: &str, error: &str);

    WARN "millstream::job" "job.key_kept" "the unique key of a job that starts could not be freed yet"
    fn job_key_kept(queue: &str, kind: &str, id: &str, error: &str);

    DEBUG "millstream::job" "job.progress_kept" "progress could not be reported yet"
    fn job_progress_kept(queue: &str, id: &str, error: &str);

    DEBUG "millstream::fetch" "fetch.read" "a read returned"
    fn fetch_read(queue: &str, jobs: usize);

    INFO "millstream::fetch" "fetch.started" "fetching"
    fn fetch_started(queue: &str);

    INFO "millstream::fetch" "fetch.paused" "the queue is paused: fetching pauses"
    fn fetch_paused(queue: &str);

    WARN "millstream::fetch" "fetch.full" "no recorder takes the outcomes: fetching pauses until one has caught up"
    fn fetch_full(queue: &str);

    WARN "millstream::fetch" "fetch.gone" "jobs were deleted while they were handed out"
    fn fetch_gone(queue: &str, jobs: usize);

    WARN "millstream::fetch" "fetch.kept" "entries could not be handed back yet"
    fn fetch_kept(queue: &str, error: &str);

    WARN "millstream::fetch" "fetch.deaf" "the queue's signals can't be heard: delayed jobs and cancels wait"
    fn fetch_deaf(queue: &str, error: &str);

    INFO "millstream::fetch" "fetch.alone" "a job that killed two workers is to run alone: others wait until it has ended"
    fn fetch_alone(queue: &str);

    WARN "millstream::fetch" "fetch.not_alone" "a job that killed two workers starts beside others, which did not end in time"
    fn fetch_not_alone(queue: &str);

    DEBUG "millstream::finish" "finish.confirmed" "a finish was confirmed"
    fn finish_confirmed(queue: &str, jobs: usize, took_us: u64);

    DEBUG "millstream::promote" "promote.moved" "due jobs are ready"
    fn promote_moved(queue: &str, jobs: usize);

    DEBUG "millstream::lease" "lease.registered" "a consumer is registered"
    fn lease_registered(queue: &str, consumer: &str);

    WARN "millstream::lease" "lease.unlisted" "the queue could not be entered into the registry of queues"
    fn lease_unlisted(queue: &str, error: &str);

    WARN "millstream::lease" "lease.undeclared" "recorders were not told by which fields a job type can be searched"
    fn lease_undeclared(queue: &str, kind: &str, error: &str);

    WARN "millstream::lease" "lease.fenced" "this consumer was fenced; registering anew"
    fn lease_fenced(queue: &str, consumer: &str);

    ERROR "millstream::lease" "lease.runtime_still" "the runtime stands still: no more beats until it moves"
    fn lease_runtime_still(still_ms: u64);

    WARN "millstream::lease" "lease.not_left" "could not leave; other workers will notice"
    fn lease_not_left(queue: &str, error: &str);

    INFO "millstream::rescue" "rescue.fenced" "fenced consumers that stood still"
    fn rescue_fenced(queue: &str, consumers: usize);

    INFO "millstream::rescue" "rescue.requeued" "put back the jobs of a dead consumer"
    fn rescue_requeued(queue: &str, consumer: &str, jobs: u64);

    INFO "millstream::shutdown" "shutdown.asked" "stopping: running jobs may finish; signal again to hand them back at once"
    fn shutdown_asked();

    INFO "millstream::shutdown" "shutdown.handed_back" "the grace period is over: running jobs were handed back"
    fn shutdown_handed_back(queue: &str);

    WARN "millstream::shutdown" "shutdown.blocked" "handlers block and can't be cut off; their jobs are handed back"
    fn shutdown_blocked(queue: &str, jobs: usize);

    WARN "millstream::shutdown" "shutdown.left_behind" "jobs could not be handed back; other workers will rescue them"
    fn shutdown_left_behind(queue: &str, error: &str);
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::EVENTS;
    use crate::documented;

    #[test]
    fn the_document_lists_exactly_the_events_that_are_told() {
        let code = |text: &str| format!("`{text}`");
        let told: Vec<Vec<String>> = EVENTS
            .iter()
            .map(|(name, target, level, fields)| {
                let fields: Vec<String> = fields.iter().map(|field| code(field)).collect();
                vec![code(name), code(target), (*level).to_owned(), fields.join(" ")]
            })
            .collect();
        let documented = documented::rows("| event |", 4);
        let (of_queue, of_worker): (Vec<_>, Vec<_>) =
            documented.into_iter().partition(|row| row[1] == "`millstream::retry`");
        assert_eq!(of_worker, told);
        assert_eq!(of_queue.len(), 3);
    }

    #[test]
    fn the_document_explains_exactly_the_fields_that_events_have() {
        let used: BTreeSet<String> = documented::rows("| event |", 4)
            .iter()
            .flat_map(|row| row[3].split_whitespace().map(str::to_owned).collect::<Vec<_>>())
            .collect();
        let explained: BTreeSet<String> =
            documented::rows("| field |", 1).into_iter().map(|mut row| row.remove(0)).collect();
        assert_eq!(explained, used);
    }

    #[test]
    fn nothing_is_told_elsewhere_than_in_the_table() {
        fn search(dir: &std::path::Path, found: &mut Vec<String>) {
            for entry in std::fs::read_dir(dir).expect("the sources").map(|entry| entry.expect("a file").path()) {
                if entry.is_dir() {
                    search(&entry, found);
                } else if entry.extension().is_some_and(|extension| extension == "rs") {
                    let source = std::fs::read_to_string(&entry).expect("a source file");
                    let tells = ["trace!(", "debug!(", "info!(", "warn!(", "error!(", "event!("];
                    let lines = source.lines().filter(|line| !line.trim_start().starts_with("//"));
                    let telling = lines.filter(|line| tells.iter().any(|tell| line.contains(tell)));
                    found.extend(telling.map(|line| format!("{}: {line}", entry.display())));
                }
            }
        }
        let mut found = Vec::new();
        search(&std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut found);
        found.retain(|line| !line.contains("events.rs"));
        assert!(found.is_empty(), "{found:#?}");
    }
}

//! What the worker tells by tracing events, each a function here.

use tracing::{Level, event_enabled};

/// Defines a function per event. Where nobody listens, calling one is a look at a flag.
macro_rules! events {
    ($(
        $(#[$doc:meta])*
        $level:ident $target:literal $name:literal $message:literal
        fn $function:ident($($field:ident: $type:ty),* $(,)?);
    )*) => {
        $($(#[$doc])* pub(crate) fn $function($($field: $type),*) {
            tracing::event!(name: $name, target: $target, Level::$level, $($field,)* $message);
        })*
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
}

//! Scripts that share Lua functions: Redis has no modules, so the shared part is put into each of them.

use redis::Script;

const JOBS: &str = include_str!("lua/jobs.lua");
const ENQUEUE: &str = include_str!("lua/enqueue.lua");
const OUTBOX: &str = include_str!("lua/outbox.lua");

/// The script of `source` with the functions of `lua/jobs.lua` at its disposal. They stand behind the first line, which
/// must be the `#!lua` line with the script's flags.
pub fn with_jobs(source: &str) -> Script {
    with(&[JOBS], source)
}

/// The script of `source` with the functions of `lua/jobs.lua` and that of `lua/enqueue.lua`.
pub(crate) fn with_enqueue(source: &str) -> Script {
    with(&[JOBS, ENQUEUE], source)
}

/// The script of `source`, which enqueues a batch of an outbox.
pub(crate) fn with_outbox_jobs(source: &str) -> Script {
    with(&[JOBS, ENQUEUE, OUTBOX], source)
}

/// The script of `source`, which publishes a batch of an outbox.
pub(crate) fn with_outbox(source: &str) -> Script {
    with(&[OUTBOX], source)
}

fn with(parts: &[&str], source: &str) -> Script {
    let (flags, rest) = source.split_once('\n').unwrap_or((source, ""));
    Script::new(&[flags, "\n", &parts.concat(), rest].concat())
}

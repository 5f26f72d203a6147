//! Scripts that share Lua functions: Redis has no modules, so the shared part is put into each of them.

use redis::Script;

const JOBS: &str = include_str!("lua/jobs.lua");

/// The script of `source` with the functions of `lua/jobs.lua` at its disposal. They stand behind the first line, which
/// must be the `#!lua` line with the script's flags.
pub fn with_jobs(source: &str) -> Script {
    let (flags, rest) = source.split_once('\n').unwrap_or((source, ""));
    Script::new(&[flags, "\n", JOBS, rest].concat())
}

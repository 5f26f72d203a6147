//! What a job reports while it runs and once it has ended, and the times that bound it.

#![allow(clippy::unwrap_used, reason = "a test fails where it stands")]

mod checkpoints;
mod over;
#[path = "../probe/mod.rs"]
mod probe;
mod progress;
mod results;
mod stage;
mod times;

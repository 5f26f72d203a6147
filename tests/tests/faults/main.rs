//! Faults and bad input against real processes and real servers: each test injects what its name says.
//!
//! `MILLSTREAM_FAULT_SCALE` multiplies the loads and how long faults last, for runs longer than those of every day.

#![allow(clippy::unwrap_used, reason = "a test fails where it stands")]
#![allow(unreachable_pub, reason = "modules of a test program")]

#[path = "../probe/mod.rs"]
mod probe;

mod boot;
mod clock;
mod connections;
mod delayed;
mod disk;
mod entries;
mod flushes;
mod history;
mod memory;
mod numbers;
mod payloads;
mod servers;
mod sql;
mod stage;
mod workers;

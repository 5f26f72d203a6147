//! The ledger, its events and its HTTP interface, each on a real Postgres and on a real SQLite file.

#![allow(clippy::unwrap_used, reason = "a test that unwraps says enough, in its helpers too")]

mod api;
mod ledger;
mod program;
mod proof;
mod refusals;
mod stage;
mod withdrawals;

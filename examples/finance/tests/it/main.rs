//! The ledger on a real Postgres and a real SQLite file.

#![allow(clippy::unwrap_used, reason = "a test fails where it stands")]

mod books;
mod http;
mod ledger;
mod program;
mod statements;

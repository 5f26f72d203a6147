//! The operations, the HTTP interface and the program, on a real Redis with a real Postgres and a real SQLite file.

#![allow(clippy::unwrap_used, reason = "a test fails where it stands")]

mod bad_requests;
mod program;
mod progress;
mod reminders;
mod site;
mod web;

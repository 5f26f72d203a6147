//! The application on a real Postgres and a real SQLite file.

#![allow(clippy::unwrap_used, reason = "a test fails where it stands")]

mod desk;
mod file;
mod http;
mod imports;
mod program;
mod records;

//! A double-entry ledger: accounts, transfers between them, monthly statements as jobs.

#![allow(missing_docs, reason = "fields whose names say it all")]

mod ledger;
mod month;
mod schema;
mod statement;
pub mod web;

pub use ledger::{Account, LedgerError, Line, NewAccount, NewTransfer, Transfer, Transferred, open, reverse, transfer};
pub use month::Month;
pub use schema::MIGRATIONS;
pub use statement::{App, MakeStatement, Statement, ask_for, ask_for_all, close, make_statement};

//! Append-only consent records with proof, on Postgres or SQLite: who agreed to which words, when and how, and that nobody
//! changed it afterwards.
//!
//! A [`Ledger`] appends grants and withdrawals to a hash chain and [verifies](Ledger::verify) it; [`serve()`] puts an HTTP
//! interface, a worker, the recorder of its jobs and the events of withdrawals around it, in one process.

mod append;
mod chain;
mod error;
mod export;
mod ledger;
mod record;
mod schema;
mod serve;
mod statement;
mod suppress;
mod text;
mod verify;
pub mod web;
mod withdrawn;

pub use chain::Head;
pub use error::ConsentError;
pub use export::{Export, ExportSubject, Exported, erase_old_exports, export_subject};
pub use ledger::{Consent, Ledger};
pub use record::{Action, Record};
pub use serve::serve;
pub use statement::Statement;
pub use suppress::{Suppression, suppress};
pub use text::{Draft, Text};
pub use verify::Verdict;
pub use withdrawn::ConsentWithdrawn;

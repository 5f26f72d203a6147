//! Contacts, companies and deals, with imports of large CSV files as jobs.

#![allow(missing_docs, reason = "fields whose names say it all")]

mod check;
mod company;
mod contact;
mod deal;
mod error;
mod import;
mod record;
mod schema;
mod search;
pub mod web;

pub use company::{Company, CompanyFields};
pub use contact::{Contact, ContactFields};
pub use deal::{Deal, DealFields, STAGES, StageTotal, pipeline};
pub use error::CrmError;
pub use import::{
    App, BadRow, Import, ImportContacts, Place, Run, Uploads, ask_for, ask_for_unfinished, begin, import_contacts,
};
pub use record::{Record, Reference, change, create, remove};
pub use schema::MIGRATIONS;
pub use search::{Found, search};

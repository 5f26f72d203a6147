//! Every public operation of the store, on a real Postgres and on a real SQLite file.

mod connecting;
mod crud;
mod database;
mod faults;
mod fences;
mod history;
mod lag;
mod lists;
mod log;
mod migrating;
mod outages;
mod outbox;
mod packs;
mod pages;
mod plans;
mod pools;
mod recording;
mod relaying;
mod reports;
mod retention;
mod searching;
mod secured;
mod shop;
mod state;
mod statistics;
mod transactions;

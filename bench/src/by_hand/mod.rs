//! What a recorder writes for a job that was completed at once, written by hand: rows that are ready beforehand, into the same
//! tables with the same indexes, as many in a transaction as a recorder takes.

mod postgres;
mod sqlite;

pub(crate) use self::{
    postgres::{Upto, postgres},
    sqlite::sqlite,
};

/// Outcomes of a transaction: a recorder reads up to 16 packs of 512 at once.
const BATCH: usize = 16 * 512;
/// Two of them go with each batch's row of statistics; a recorder's have some 100 bytes.
const SKETCH: [u8; 100] = [1; 100];

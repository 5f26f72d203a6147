//! Which failures of a transaction a second try may cure, and when to make it.

use std::time::Duration;

use diesel::result::{DatabaseErrorKind, Error as Diesel};

use crate::Error;

/// Tries of a transaction, the first included.
pub(crate) const TRIES: u32 = 20;

/// Whether another transaction was in the way: nothing is wrong with this one.
pub(crate) fn is_conflict(error: &Error) -> bool {
    match error {
        Error::Query(Diesel::DatabaseError(DatabaseErrorKind::SerializationFailure, _)) => true,
        // Diesel keeps no code for these: Postgres' words for 40P01, SQLite's for BUSY and LOCKED.
        Error::Query(Diesel::DatabaseError(_, facts)) => {
            ["deadlock detected", "database is locked", "database table is locked"]
                .iter()
                .any(|words| facts.message().contains(words))
        }
        _ => false,
    }
}

/// How long to wait before try number `next`, from 2: doubling from 5 ms to 100 ms, of which half to all.
pub(crate) fn pause(next: u32) -> Duration {
    let longest = 5u64.saturating_mul(1 << next.saturating_sub(2).min(7)).min(100);
    let jitter = u64::from(uuid::Uuid::new_v4().as_bytes()[0]);
    Duration::from_micros(longest * 500 + longest * 500 * jitter / 255)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_a_tenth_of_a_second() {
        for (next, longest) in [(2, 5), (3, 10), (6, 80), (7, 100), (u32::MAX, 100)] {
            let pause = pause(next);
            assert!(
                (Duration::from_micros(longest * 500)..=Duration::from_millis(longest)).contains(&pause),
                "{pause:?}"
            );
        }
    }
}

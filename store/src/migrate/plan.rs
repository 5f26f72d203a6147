//! What there is to do: pure decisions from what the program carries and what the ledger says.

use std::fmt;

use chrono::{DateTime, Utc};

use super::{Migration, MigrationState, set::EmbeddedMigration};
use crate::Error;

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Order {
    /// Apply all that is pending.
    Up,
    /// Apply all that is pending, then roll everything back.
    Rehearse,
    /// Take back this many.
    Down(usize),
}

/// The migrations of one owner for the store's database.
#[derive(Clone, Copy, Debug)]
pub(super) struct Set {
    pub(super) owner: &'static str,
    pub(super) list: &'static [EmbeddedMigration],
}

/// A row of the ledger.
#[derive(Clone, Debug)]
pub(super) struct Applied {
    pub(super) owner: String,
    pub(super) version: String,
    pub(super) name: String,
    pub(super) checksum: String,
    pub(super) applied_at: DateTime<Utc>,
}

/// One migration to apply or to take back.
#[derive(Clone, Copy, Debug)]
pub(super) struct Step {
    pub(super) owner: &'static str,
    pub(super) migration: &'static EmbeddedMigration,
}

impl Step {
    pub(super) fn status(&self, state: MigrationState) -> Migration {
        Migration {
            owner: self.owner.to_owned(),
            version: self.migration.version.to_owned(),
            name: self.migration.name.to_owned(),
            applied_at: state.applied_at(),
            state,
        }
    }

    pub(super) fn failed(&self, reason: String) -> Error {
        Error::Migration { name: self.to_string(), reason }
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.owner, self.migration)
    }
}

/// The steps of an order, first things first. Refuses to build on, or to take back, a migration whose contents have
/// changed.
pub(super) fn steps(sets: &[Set], applied: &[Applied], order: Order) -> Result<Vec<Step>, Error> {
    let mut pending = Vec::new();
    let mut done = Vec::new();
    for step in all(sets) {
        match find(applied, &step) {
            None => pending.push(step),
            Some(found) if found.checksum == step.migration.checksum() => done.push(step),
            Some(_) => return Err(Error::MigrationChanged { name: step.to_string() }),
        }
    }
    match order {
        Order::Up | Order::Rehearse => Ok(pending),
        Order::Down(count) => Ok(done.into_iter().rev().take(count).collect()),
    }
}

/// Every migration that the program carries or the ledger has, in order.
pub(super) fn status(sets: &[Set], applied: &[Applied]) -> Vec<Migration> {
    let mut status = Vec::new();
    for set in sets {
        for step in all(std::slice::from_ref(set)) {
            let state = match find(applied, &step) {
                None => MigrationState::Pending,
                Some(found) if found.checksum == step.migration.checksum() => MigrationState::Applied(found.applied_at),
                Some(found) => MigrationState::Changed(found.applied_at),
            };
            status.push(step.status(state));
        }
        let unknown = applied.iter().filter(|row| row.owner == set.owner && !carries(set, &row.version));
        status.extend(unknown.map(|row| Migration {
            owner: row.owner.clone(),
            version: row.version.clone(),
            name: row.name.clone(),
            applied_at: Some(row.applied_at),
            state: MigrationState::Unknown(row.applied_at),
        }));
    }
    status
}

/// Refuses sets that the ledger could not tell apart.
pub(super) fn check(sets: &[Set]) -> Result<(), Error> {
    for (index, set) in sets.iter().enumerate() {
        let refuse = |reason: String| Err(Error::Config { field: format!("migrations of {:?}", set.owner), reason });
        if set.owner.is_empty() {
            return refuse("the owner should be the application's name".to_owned());
        }
        if sets[..index].iter().any(|other| other.owner == set.owner) {
            return refuse("this owner has migrations already; take another name".to_owned());
        }
        if let Some(pair) = set.list.windows(2).find(|pair| pair[0].version >= pair[1].version) {
            return refuse(format!("version {} stands before {}; they should rise", pair[0].version, pair[1].version));
        }
    }
    Ok(())
}

fn all(sets: &[Set]) -> impl Iterator<Item = Step> {
    sets.iter().flat_map(|set| set.list.iter().map(|migration| Step { owner: set.owner, migration }))
}

fn find<'a>(applied: &'a [Applied], step: &Step) -> Option<&'a Applied> {
    applied.iter().find(|row| row.owner == step.owner && row.version == step.migration.version)
}

fn carries(set: &Set, version: &str) -> bool {
    set.list.iter().any(|migration| migration.version == version)
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: EmbeddedMigration = EmbeddedMigration::new("0001", "a", "CREATE a", "DROP a");
    const B: EmbeddedMigration = EmbeddedMigration::new("0002", "b", "CREATE b", "DROP b");
    const SETS: &[Set] = &[Set { owner: "one", list: &[A, B] }, Set { owner: "two", list: &[A] }];

    fn applied(owner: &str, migration: &EmbeddedMigration) -> Applied {
        Applied {
            owner: owner.into(),
            version: migration.version.into(),
            name: migration.name.into(),
            checksum: migration.checksum(),
            applied_at: DateTime::UNIX_EPOCH,
        }
    }

    fn names(applied: &[Applied], order: Order) -> Vec<String> {
        steps(SETS, applied, order).expect("a plan").iter().map(Step::to_string).collect()
    }

    #[test]
    fn forward_is_set_by_set_and_back_is_the_reverse() {
        assert_eq!(names(&[], Order::Up), ["one/0001_a", "one/0002_b", "two/0001_a"]);
        let ledger = [applied("one", &A), applied("two", &A)];
        assert_eq!(names(&ledger, Order::Up), ["one/0002_b"]);
        assert_eq!(names(&ledger, Order::Down(1)), ["two/0001_a"]);
        assert_eq!(names(&ledger, Order::Down(9)), ["two/0001_a", "one/0001_a"]);
    }

    #[test]
    fn a_changed_migration_stops_both_ways_and_shows_in_the_status() {
        let ledger = [Applied { checksum: "other".into(), ..applied("one", &A) }];
        for order in [Order::Up, Order::Rehearse, Order::Down(1)] {
            let error = steps(SETS, &ledger, order).expect_err("refused");
            assert!(error.to_string().contains("one/0001_a"), "{error}");
        }
        assert_eq!(status(SETS, &ledger)[0].state, MigrationState::Changed(DateTime::UNIX_EPOCH));
    }

    #[test]
    fn what_a_newer_program_applied_is_shown_and_left_alone() {
        const NEWER: EmbeddedMigration = EmbeddedMigration::new("0003", "c", "", "");
        let ledger = [applied("one", &A), applied("one", &B), applied("one", &NEWER), applied("two", &A)];
        assert_eq!(names(&ledger, Order::Up), Vec::<String>::new());
        assert_eq!(names(&ledger, Order::Down(1)), ["two/0001_a"]);
        let states: Vec<_> = status(SETS, &ledger).into_iter().map(|one| (one.name, one.state)).collect();
        assert_eq!(states[2], ("c".to_owned(), MigrationState::Unknown(DateTime::UNIX_EPOCH)));
    }

    #[test]
    fn owners_and_versions_must_be_distinct() {
        assert!(check(SETS).is_ok());
        let twice = [SETS[0], SETS[0]];
        assert!(check(&twice).expect_err("refused").to_string().contains("\"one\""));
        assert!(check(&[Set { owner: "x", list: &[B, A] }]).expect_err("refused").to_string().contains("0002"));
        assert!(check(&[Set { owner: "", list: &[] }]).is_err());
    }
}

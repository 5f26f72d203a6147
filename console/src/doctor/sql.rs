//! Checks of the database.

use millstream_queue::Client;
use millstream_store::{Error, Health, Store, Trouble};

use super::report::Report;

/// Checks reachability, durability, migrations, what the recorder had to set aside, and whether Redis and SQL fit; forgets the
/// losses among that where they are accepted.
pub(super) async fn check(report: &mut Report, url: &str, redis: Option<Client>, accept_losses: bool) {
    let store = match Store::builder(url).pool_size(1).create_missing(false).await {
        Ok(store) => store,
        Err(error @ Error::Url { .. }) => {
            return report.fail("database", error, "correct --database-url or DATABASE_URL");
        }
        Err(error) => {
            let remedy = "start the database, correct its URL, or make it with `millstream migrate` (SQLite)";
            return report.fail("database", error, remedy);
        }
    };
    match store.health().await {
        Ok(health) => judge(report, &health),
        Err(error) => return report.fail("database", error, "look into the database's log"),
    }
    if migrations(report, &store).await {
        rejected(report, &store).await;
        match redis {
            Some(client) => reconcile(report, &store, &client).await,
            None => report.skip("reconcile", "Redis doesn't answer, so it is not compared with SQL"),
        }
        if accept_losses {
            accept(report, &store).await;
        }
    }
}

fn judge(report: &mut Report, health: &Health) {
    let Health { version, durability, latency, .. } = health;
    report.ok("database", format!("{version}, answers in {:.2} ms", latency.as_secs_f64() * 1000.0));
    if durability.contains("fsync off") {
        report.warn("durability", durability, "set fsync = on in postgresql.conf: a crash can destroy the database");
    } else if durability.starts_with("journal_mode") && durability != "journal_mode wal" {
        report.warn("durability", durability, "keep the file on a local disk: without WAL readers and writers block");
    } else {
        report.ok("durability", durability);
    }
}

/// Whether the tables are there.
async fn migrations(report: &mut Report, store: &Store) -> bool {
    match store.migrations().await {
        Ok(migrations) => {
            let pending = migrations.iter().filter(|one| one.applied_at.is_none()).count();
            if pending == 0 {
                report.ok("migrations", format!("all {} are applied", migrations.len()));
            } else {
                report.fail(
                    "migrations",
                    format!("{pending} of {} are pending", migrations.len()),
                    "millstream migrate",
                );
            }
            pending == 0
        }
        Err(error) => {
            report.fail("migrations", error, "let this user read millstream_migrations");
            false
        }
    }
}

/// Whether Redis and SQL have what each other says they had.
async fn reconcile(report: &mut Report, store: &Store, client: &Client) {
    let found = store.reconcile(client).await;
    for reason in found.iter().flat_map(|found| &found.unbooked) {
        report.skip("books", reason);
    }
    match found {
        Ok(found) if found.is_clean() => report.ok("reconcile", found),
        Ok(found) => {
            // What was set aside has a check of its own.
            for finding in found.findings.iter().filter(|finding| finding.trouble != Trouble::Rejected) {
                match finding.trouble {
                    Trouble::NotRecorded | Trouble::OutboxRejected => report.warn("reconcile", finding, ""),
                    _ => report.fail("reconcile", finding, ""),
                }
            }
        }
        Err(error) => report.fail("reconcile", error, "let this user read and write Millstream's tables"),
    }
}

/// Only after they were reported: nothing is forgotten unseen.
async fn accept(report: &mut Report, store: &Store) {
    match store.accept_losses().await {
        Ok(count) => report.ok("losses", format!("{count} are accepted and not reported again")),
        Err(error) => report.fail("losses", error, "let this user write Millstream's tables"),
    }
}

async fn rejected(report: &mut Report, store: &Store) {
    match store.count_rejected().await {
        Ok(0) => report.ok("rejected", "the recorder could write all outcomes"),
        Ok(count) => {
            let found = format!("the recorder has set {count} packs or outcomes aside");
            report.warn("rejected", found, "SELECT queue, entry, reason FROM millstream_rejected tells why");
        }
        Err(error) => report.fail("rejected", error, "let this user read Millstream's tables"),
    }
}

use futures::future::join_all;
use millstream_store::{EmbeddedMigration, Error, Migration, MigrationState, Migrations, Store};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::database::{Database, on_both, sql};

const ORDERS: EmbeddedMigration = EmbeddedMigration::new(
    "0001",
    "orders",
    "CREATE TABLE orders (id integer PRIMARY KEY, note text); INSERT INTO orders VALUES (1, 'first')",
    "DROP TABLE orders",
);
const LINES: EmbeddedMigration =
    EmbeddedMigration::new("0002", "lines", "CREATE TABLE lines (id integer PRIMARY KEY)", "DROP TABLE lines");
const BAD: EmbeddedMigration = EmbeddedMigration::new(
    "0002",
    "bad",
    "CREATE TABLE half (id integer PRIMARY KEY);\nINSERT INTO orders VALUES (2, 'second');\nSELECT no_such_column",
    "SELECT 1",
);
const CHANGED: EmbeddedMigration = EmbeddedMigration::new("0001", "orders", "CREATE TABLE other (id integer)", "");

const SHOP: Migrations = Migrations::new("shop", &[ORDERS, LINES], &[ORDERS, LINES]);
const BAD_SHOP: Migrations = Migrations::new("shop", &[ORDERS, BAD], &[ORDERS, BAD]);
const CHANGED_SHOP: Migrations = Migrations::new("shop", &[CHANGED], &[CHANGED]);

fn of_shop(migrations: &[Migration]) -> Vec<String> {
    let shop = migrations.iter().filter(|one| one.owner == "shop");
    shop.map(|one| format!("{}_{}", one.version, one.name)).collect()
}

on_both! {
    async fn migrations_are_applied_once(database: Database) {
        let store = database.store().await;
        assert!(store.migrations().await.expect("status").iter().all(|one| one.applied_at.is_none()));

        let applied = store.migrate().await.expect("migrations");
        assert_eq!(applied.len(), store.migrations().await.expect("status").len());
        assert!(applied.iter().all(|one| one.applied_at.is_some()));

        assert_eq!(store.migrate().await.expect("none left"), []);
        assert!(store.migrations().await.expect("status").iter().all(|one| one.applied_at.is_some()));
    }

    async fn eight_processes_migrate_an_empty_database_at_once(database: Database) {
        let migrating = (0..8).map(|_| {
            let url = database.url.clone();
            tokio::spawn(async move { Store::connect(&url).await?.migrate().await })
        });
        let mut winners = 0;
        for migrated in join_all(migrating).await {
            let applied = migrated.expect("no panic").expect("all succeed");
            winners += usize::from(!applied.is_empty());
        }
        assert_eq!(winners, 1);
        assert_eq!(database.store().await.history().count().await.expect("a count"), 0);
    }

    async fn a_migration_can_be_taken_back_and_applied_again(database: Database) {
        let store = database.migrated().await;
        while let Some(reverted) = store.revert_last_migration().await.expect("reverted") {
            assert_eq!(reverted.applied_at, None);
        }
        assert!(matches!(store.history().await, Err(Error::NotMigrated { .. })));
        assert!(!store.migrate().await.expect("migrations").is_empty());
        assert_eq!(store.history().await.expect("a page").rows.len(), 0);
    }

    async fn an_applications_own_stand_beside_millstreams(database: Database) {
        let store = database.store().await;
        let migrator = store.migrator().with(SHOP);
        let applied = migrator.up().await.expect("both");
        assert_eq!(of_shop(&applied), ["0001_orders", "0002_lines"]);
        assert_eq!(applied[0].owner, "millstream", "the application may build on it");
        assert_eq!(migrator.up().await.expect("none left"), []);

        // Back goes the application first; Millstream's stay, and know nothing of the others.
        assert_eq!(of_shop(&migrator.down(1).await.expect("one")), ["0002_lines"]);
        assert!(store.migrations().await.expect("status").iter().all(|one| one.owner == "millstream"));
        assert_eq!(store.history().count().await.expect("a count"), 0);
        assert_eq!(sql(&store, "SELECT count(*) FROM orders").await.expect("it stays"), 1);
        assert_eq!(of_shop(&migrator.up().await.expect("again")), ["0002_lines"]);
        let all = migrator.down(99).await.expect("all");
        assert_eq!(all.last().map(|one| (one.owner.as_str(), one.version.as_str())), Some(("millstream", "0001")));
    }

    async fn a_dry_run_tries_everything_and_leaves_nothing(database: Database) {
        let store = database.store().await;
        let migrator = store.migrator().with(SHOP);
        let tried = migrator.dry_run().await.expect("it would work");
        assert_eq!(of_shop(&tried), ["0001_orders", "0002_lines"]);
        assert!(migrator.status().await.expect("status").iter().all(|one| one.state == MigrationState::Pending));
        assert!(sql(&store, "SELECT count(*) FROM millstream_migrations").await.is_err());
        let error = store.migrator().with(BAD_SHOP).dry_run().await.expect_err("it would not");
        assert!(error.to_string().contains("shop/0002_bad"), "{error}");
        assert!(sql(&store, "SELECT count(*) FROM orders").await.is_err());
        migrator.up().await.expect("migrations");
        assert_eq!(migrator.dry_run().await.expect("none left"), []);
    }

    async fn a_failed_migration_leaves_a_clear_state_and_message(database: Database) {
        let store = database.store().await;
        let migrator = store.migrator().with(BAD_SHOP);
        for _ in 0..2 {
            let error = migrator.up().await.expect_err("it can't work").to_string();
            assert!(error.contains("shop/0002_bad failed and was rolled back") && error.contains("no_such_column"), "{error}");
            assert!(!database.url.starts_with("postgres") || error.contains("(line 3)"), "{error}");
        }
        // What came before stays, what came within is gone.
        let status = migrator.status().await.expect("status");
        let pending: Vec<_> = status.iter().filter(|one| one.applied_at.is_none()).map(|one| &*one.name).collect();
        assert_eq!(pending, ["bad"]);
        assert_eq!(sql(&store, "SELECT count(*) FROM orders").await.expect("it stays"), 1);
        assert!(sql(&store, "SELECT count(*) FROM half").await.is_err());
        // A corrected one goes on from there.
        assert_eq!(of_shop(&store.migrator().with(SHOP).up().await.expect("corrected")), ["0002_lines"]);
    }

    async fn a_migration_changed_after_it_was_applied_is_refused(database: Database) {
        let store = database.store().await;
        store.migrator().with(SHOP).up().await.expect("migrations");
        let changed = store.migrator().with(CHANGED_SHOP);
        for error in [
            changed.up().await.expect_err("refused"),
            changed.dry_run().await.expect_err("refused"),
            changed.down(1).await.expect_err("refused"),
        ] {
            assert!(matches!(&error, Error::MigrationChanged { name } if name == "shop/0001_orders"), "{error}");
        }
        let status = changed.status().await.expect("status");
        let states: Vec<_> = status.iter().filter(|one| one.owner == "shop").map(|one| one.state).collect();
        assert!(matches!(states[..], [MigrationState::Changed(_), MigrationState::Unknown(_)]), "{states:?}");
    }

    async fn the_first_versions_tables_are_upgraded_without_losing_a_row(database: Database) {
        let store = database.store().await;
        first_version(&database, &store).await;
        let upgraded = store.migrate().await.expect("upgraded");
        assert_eq!(upgraded.len() + 1, store.migrations().await.expect("status").len());
        let page = store.history().limit(1000).await.expect("a page");
        assert_eq!(page.rows.len(), 100);
        assert!(page.rows.iter().all(|job| job.kind == "send_welcome" && job.error.as_deref() == Some("no")));
        assert_eq!(store.history().attempts(page.rows[0].id).await.expect("attempts").len(), 1);
        assert_eq!(store.count_rejected().await.expect("a count"), 1);
    }

    async fn a_query_before_the_migrations_names_the_remedy(database: Database) {
        let store = database.store().await;
        for error in [
            store.history().await.map(drop).expect_err("no table"),
            store.history().count().await.map(drop).expect_err("no table"),
            store.history().attempts(Uuid::nil()).await.map(drop).expect_err("no table"),
        ] {
            assert!(matches!(error, Error::NotMigrated { pending: 1.. }), "{error:?}");
            assert!(error.to_string().contains("millstream migrate"), "{error}");
        }
    }
}

/// The database as Millstream's first version left it, with a hundred jobs.
async fn first_version(database: &Database, store: &Store) {
    const JOB: &str = "INSERT INTO millstream_jobs (id, queue, kind, version, lane, state, attempt, run, crash, \
                       enqueued_at, finished_at, worker, error) VALUES (ID, 'mail', 'send_welcome', 1, 'normal', 'dead', \
                       1, 1, 0, '2026-01-01T00:00:00.000000Z', '2026-01-01T00:00:01.000000Z', 'w', 'no');";
    const ATTEMPT: &str = "INSERT INTO millstream_attempts (job_id, run, attempt, crash, state, finished_at, worker) \
                           VALUES (ID, 1, 1, 0, 'dead', '2026-01-01T00:00:01.000000Z', 'w');";
    const REJECTED: &str = "INSERT INTO millstream_rejected (id, queue, entry, reason, body, rejected_at) \
                            VALUES (ID, 'mail', '1-0', 'odd', BODY, '2026-01-01T00:00:00.000000Z');";
    let postgres = database.url.starts_with("postgres");
    let folder = if postgres { "postgres" } else { "sqlite" };
    let read = |path: &str| {
        let path = format!("{}/{path}", env!("CARGO_MANIFEST_DIR"));
        std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"))
    };
    let up = read(&format!("migrations/{folder}/0001_history/up.sql"));
    let checksum: String = Sha256::digest(&up).iter().map(|byte| format!("{byte:02x}")).collect();
    let ledger = read(&format!("src/migrate/ledger.{folder}.sql"));
    let note = format!(
        "INSERT INTO millstream_migrations (owner, version, name, checksum, applied_at) \
         VALUES ('millstream', '0001', 'history', '{checksum}', '2026-01-01T00:00:00.000000Z');"
    );
    let mut script = format!("{ledger};\n{up}\n{note}\n");
    for number in 1..=100u128 {
        let id = Uuid::from_u128(number);
        let id = if postgres { format!("'{id}'") } else { format!("x'{}'", id.simple()) };
        script += &JOB.replace("ID", &id);
        script += &ATTEMPT.replace("ID", &id);
        if number == 1 {
            script += &REJECTED.replace("ID", &id).replace("BODY", if postgres { "'\\x00'" } else { "x'00'" });
        }
    }
    if postgres {
        store.raw_postgres().await.expect("a client").batch_execute(&script).await.expect("the first version");
    } else {
        store.raw_sqlite(move |conn| conn.execute_batch(&script)).await.expect("the first version");
    }
}

//! A page of a large history reads a bounded number of rows, however few of them it shows.

use millstream_queue::State;
use millstream_store::{History, Store};
use tokio_postgres::NoTls;

use crate::{
    database::{Database, on_both, sql},
    packs::until,
};

/// Failed jobs, a minute apart, in weeks of as many.
const ROWS: i64 = 120_000;
const OF_A_WEEK: i64 = 10_000;
/// Rows of the weeks in which jobs failed for another reason than later.
const OLD: i64 = 3 * OF_A_WEEK;
/// Most rows that a page reads: steps of 20,000 in all and as many that were named by their trigrams, or steps of 10,000, those
/// that were named, and what it takes to leave partitions out.
const BOUND: i64 = 30_000;

/// Row `n`, whose week begins with `monday` and which ended at `ended`; and of as many jobs that didn't fail.
fn rows(ids: [&str; 2], monday: &str, ended: &str) -> [String; 2] {
    let insert = |id: &str, kind: &str, state: &str, worker: &str, error: &str| {
        format!(
            "INSERT INTO millstream_jobs (id, queue, kind, version, lane, state, attempt, run, crash, enqueued_at, \
             finished_at, worker, error) \
             SELECT {id}, 'photos', {kind}, 1, 'normal', {state}, 1, 1, 0, {monday}, {ended}, {worker}, {error} FROM numbers"
        )
    };
    let worker = format!("CASE WHEN n < {OLD} THEN 'early' WHEN n % 1000 = 0 THEN 'seldom' ELSE 'late' END");
    let error = format!(
        "CASE WHEN n < {OLD} THEN 'refused by host ' || n WHEN n % 20000 = 7 THEN 'checksum differs' \
         WHEN n % 500 = 50 THEN 'refused for once' ELSE 'timed out after ' || n || ' ms' END"
    );
    let kind = "CASE WHEN n % 2 = 0 THEN 'resize' ELSE 'sweep' END";
    let state = "CASE WHEN n % 2 = 0 THEN 'failed' ELSE 'dead' END";
    [insert(ids[0], kind, state, &worker, &error), insert(ids[1], "'mail'", "'completed'", "'other'", "NULL")]
}

async fn fill(database: &Database, store: &Store) {
    let tags = "INSERT INTO millstream_job_tags (tag, job_id, finished_at, enqueued_at) \
                SELECT 'all', id, finished_at, enqueued_at FROM millstream_jobs WHERE error IS NOT NULL";
    if database.url.starts_with("postgres") {
        let client = store.raw_postgres().await.expect("a client");
        for week in 0..ROWS / OF_A_WEEK {
            let day = |week: i64| format!("(timestamptz '2026-01-05 00:00Z' + interval '{week} weeks')");
            let partition = format!(
                "DO $$ BEGIN EXECUTE format('CREATE TABLE millstream_jobs_w{week} PARTITION OF millstream_jobs \
                 FOR VALUES FROM (%L) TO (%L)', {}, {}); END $$",
                day(week),
                day(week + 1)
            );
            client.batch_execute(&partition).await.expect("a partition");
        }
        let monday = format!("timestamptz '2026-01-05 00:00Z' + n / {OF_A_WEEK} * interval '1 week'");
        let ended = format!("{monday} + n % {OF_A_WEEK} * interval '1 minute'");
        let ids = ["lpad(to_hex(n), 32, '0')::uuid", "('f' || lpad(to_hex(n), 31, '0'))::uuid"];
        let [failed, others] = rows(ids, &monday, &ended);
        let numbers = format!("WITH numbers AS (SELECT n FROM generate_series(0, {ROWS} - 1) AS n) ");
        client.batch_execute(&format!("{numbers}{failed}; {numbers}{others}; {tags}")).await.expect("filled");
        // As the server's own vacuum leaves it, so that indexes answer by themselves. What others still see is left to the next.
        let unseen = "SELECT count(*) FROM pg_class WHERE relname LIKE 'millstream_job%' AND relkind = 'r' \
                      AND relallvisible < relpages";
        until(async || {
            client.batch_execute("VACUUM").await.expect("vacuumed");
            client.query_one(unseen, &[]).await.expect("a count").get::<_, i64>(0) == 0
        })
        .await;
    } else {
        let time = |minutes: &str| {
            format!(
                "strftime('%Y-%m-%dT%H:%M:%S.000000Z', '2026-01-05', (n / {OF_A_WEEK} * 10080 + {minutes}) || ' minutes')"
            )
        };
        let ids = ["unhex(printf('%032x', n))", "unhex(printf('f%031x', n))"];
        let [failed, others] = rows(ids, &time("0"), &time(&format!("n % {OF_A_WEEK}")));
        let numbers = format!(
            "WITH RECURSIVE numbers (n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM numbers WHERE n + 1 < {ROWS}) "
        );
        let statements = format!("{numbers}{failed}; {numbers}{others}; {tags}");
        store.raw_sqlite(move |conn| conn.execute_batch(&statements)).await.expect("filled");
    }
}

type Ask = fn(&Store) -> History;

/// What is asked, how many rows there are of it, and in how many pages it is found at most, on Postgres and on SQLite.
fn questions() -> Vec<(&'static str, Ask, i64, [usize; 2])> {
    fn text(store: &Store, text: &str) -> History {
        store.history().error_contains(text)
    }
    vec![
        ("a text that only old rows have", |s| text(s, "refused by"), OLD, [31, 35]),
        ("a text that few late rows have and all old ones", |s| text(s, "refused"), OLD + 180, [32, 35]),
        ("a text that few rows have", |s| text(s, "CHECKSUM"), 4, [1, 1]),
        ("a text that no row has", |s| text(s, "no such text"), 0, [1, 1]),
        ("a text without trigrams that no row has", |s| text(s, "=>"), 0, [7, 7]),
        ("a text whose trigrams all have, in another order", |s| text(s, "after timed"), 0, [9, 1]),
        ("a frequent text of a seldom worker", |s| text(s, "timed").worker("seldom"), 90, [1, 1]),
        ("a frequent text that a frequent worker never met", |s| text(s, "refused by").worker("late"), 0, [1, 5]),
        ("a frequent text and a frequent tag", |s| text(s, "refused by").tag("all"), OLD, [31, 35]),
        ("a kind and a state that never meet", |s| s.history().kind("resize").state(State::Dead), 0, [4, 4]),
        ("a frequent tag and a seldom worker", |s| s.history().tag("all").worker("seldom"), 90, [1, 1]),
        (
            "a frequent tag of a kind and a state that never meet",
            |s| s.history().tag("all").kind("sweep").state(State::Failed),
            0,
            [4, 4],
        ),
    ]
}

/// What the database read since it was started, once all that others did is counted.
async fn rows_read(observer: &tokio_postgres::Client) -> i64 {
    let others = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() \
                  AND pid <> pg_backend_pid() AND backend_type = 'client backend'";
    until(async || observer.query_one(others, &[]).await.expect("a count").get::<_, i64>(0) == 0).await;
    let read = "SELECT coalesce(sum(idx_tup_fetch + seq_tup_read), 0)::bigint FROM pg_stat_user_tables \
                WHERE relname LIKE 'millstream_job%'";
    observer.query_one(read, &[]).await.expect("a sum").get(0)
}

/// Asks on a store of its own, whose connections count what they did when they end.
async fn all_pages(database: &Database, ask: Ask, mut seen: impl AsyncFnMut(usize)) -> (i64, usize) {
    let (mut found, mut pages, mut after) = (Vec::new(), 0, None);
    loop {
        let store = database.store().await;
        let history = after.as_ref().map_or_else(|| ask(&store), |after| ask(&store).after(after));
        let page = history.limit(1000).await.expect("a page");
        drop(store);
        found.extend(page.rows.iter().map(|row| (row.finished_at, row.id)));
        pages += 1;
        seen(page.rows.len()).await;
        after = page.next;
        if after.is_none() {
            assert!(found.is_sorted_by(|before, next| before > next), "newest first, and none twice");
            return (found.len() as i64, pages);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_on_postgres_reads_no_more_rows_than_its_bound() {
    let database = Database::postgres().await;
    fill(&database, &database.migrated().await).await;
    let (observer, connection) = tokio_postgres::connect(&database.url, NoTls).await.expect("a client");
    tokio::spawn(connection);
    for analyzed in [false, true] {
        if analyzed {
            observer.batch_execute("ANALYZE").await.expect("analyzed");
        }
        for (what, ask, all, [most, _]) in questions() {
            let mut before = rows_read(&observer).await;
            let mut read = Vec::new();
            let (found, pages) = all_pages(&database, ask, async |rows| {
                let after = rows_read(&observer).await;
                read.push((rows, after - before));
                before = after;
            })
            .await;
            println!("{what}: {:?}", read.iter().take(8).collect::<Vec<_>>());
            assert!(read.iter().all(|(_, read)| *read <= BOUND), "{what}: {read:?}");
            assert_eq!(found, all, "{what}");
            assert!(pages <= most, "{what} takes {pages} pages");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_on_sqlite_searches_between_two_places_of_an_index() {
    let database = Database::sqlite().await;
    let store = database.migrated().await;
    fill(&database, &store).await;
    for analyzed in [false, true] {
        if analyzed {
            store.raw_sqlite(|conn| conn.execute_batch("ANALYZE")).await.expect("analyzed");
        }
        for (what, ask, all, [_, most]) in questions() {
            let plan = ask(&store).plan().await.expect("a plan");
            for step in &plan {
                let is_found = step.starts_with("SEARCH") || step.starts_with("CORRELATED");
                assert!(is_found || step.contains("millstream_jobs_by_error"), "{what}: {plan:#?}");
                assert!(!step.contains("millstream_jobs_by_time"), "{what}: {plan:#?}");
            }
            let (found, pages) = all_pages(&database, ask, async |_| {}).await;
            assert_eq!(found, all, "{what}");
            assert!(pages <= most, "{what} takes {pages} pages");
            // A page that shows nothing has stopped where its bound was.
            assert!(all > 0 || pages == most, "{what} takes {pages} pages");
        }
    }
}

on_both! {
    async fn a_count_is_what_all_pages_have(database: Database) {
        let store = database.migrated().await;
        fill(&database, &store).await;
        assert_eq!(sql(&store, "SELECT count(*) FROM millstream_jobs WHERE error IS NOT NULL").await.expect("a count"), ROWS);
        for (what, ask, all, _) in questions() {
            assert_eq!(ask(&store).count().await.expect("a count") as i64, all, "{what}");
        }
    }
}

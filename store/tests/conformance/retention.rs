use std::time::{Duration, Instant};

use chrono::Utc;
use futures::future::join_all;
use millstream_queue::{Outcome, State};
use millstream_store::{Recorder, Retention, Store};
use tokio_postgres::types::{ToSql, Type};
use uuid::Uuid;

use crate::{
    database::{on_both, sql},
    packs::{Queue, Recording, outcome, until},
    plans::{reads, with_rows},
};

const DAY: Duration = Duration::from_secs(86_400);

/// A job in this state, with a tag, whose only run ended so long ago.
fn ended(id: u128, state: State, ago: Duration) -> Outcome {
    let end = (Utc::now() - ago).timestamp_micros();
    let (started, enqueued_ms) = (Some(end - 1000), end / 1000 - 10);
    let tags = vec!["all".into(), format!("t{}", id % 7)];
    Outcome { state, enqueued_ms, started_us: started, finished_us: end, tags, ..outcome(id) }
}

async fn left(store: &Store) -> Vec<u128> {
    let mut ids: Vec<u128> =
        store.history().limit(1000).await.expect("a page").rows.iter().map(|row| row.id.as_u128()).collect();
    ids.sort_unstable();
    ids
}

async fn rows(store: &Store, table: &str) -> i64 {
    sql(store, &format!("SELECT count(*) FROM {table}")).await.expect("a count")
}

/// Records completed jobs with these ids that ended so long ago, in packs.
async fn fill(queue: &Queue, store: &Store, ids: std::ops::Range<u128>, ago: Duration) {
    let recording = queue.recorder(store).await;
    let ids: Vec<u128> = ids.collect();
    for pack in ids.chunks(512) {
        queue.finish(&pack.iter().map(|id| ended(*id, State::Completed, ago)).collect::<Vec<_>>()).await;
    }
    tokio::time::timeout(Duration::from_secs(200), async {
        while queue.packs().await > 0 {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    })
    .await
    .expect("recorded");
    recording.stop().await;
}

on_both! {
    async fn each_state_has_its_time_and_what_has_not_ended_stays(database: Database) {
        let (store, queue) = (database.migrated().await, Queue::new().await);
        let mut outcomes = Vec::new();
        for (index, state) in (0_u128..).zip(State::ALL) {
            let ages = [DAY * 6, DAY * 8, DAY * 89, DAY * 91, DAY * 3650];
            outcomes.extend((0_u128..).zip(ages).map(|(age, ago)| ended(index * 10 + age + 1, state, ago)));
        }
        queue.finish(&outcomes).await;
        queue.record_into(&store).await;
        let pruned = store.prune(&Retention::default()).await.expect("pruned");
        let kept: Vec<u128> = (0_u128..).zip(State::ALL).flat_map(|(index, state)| {
            let kept = match state {
                State::Completed | State::Cancelled | State::Expired => 1,
                State::Dead => 3,
                _ => 5,
            };
            (1..=kept).map(move |age| index * 10 + age)
        }).collect();
        assert_eq!(left(&store).await, kept);
        assert_eq!(pruned.jobs, 45 - kept.len() as u64);
        for (table, of_each) in [("millstream_attempts", 1), ("millstream_job_tags", 2)] {
            assert_eq!(rows(&store, table).await, of_each * kept.len() as i64, "{table}");
        }
        // What has not ended goes where that is asked for.
        let everything = Retention::default().state(State::Failed, DAY * 90);
        assert_eq!(store.prune(&everything).await.expect("pruned").jobs, 2);
        assert_eq!(store.prune(&Retention::forever()).await.expect("pruned").jobs, 0);
    }

    async fn a_job_goes_with_all_its_runs_and_takes_nothing_of_others(database: Database) {
        let (store, queue) = (database.migrated().await, Queue::new().await);
        let life = |id, ago: Duration| (1..=3).map(move |run| {
            let state = if run == 3 { State::Dead } else { State::Failed };
            Outcome { run, attempt: run, ..ended(id, state, ago + Duration::from_secs(60) * (3 - run)) }
        });
        queue.finish(&life(1, DAY * 100).chain(life(2, DAY)).collect::<Vec<_>>()).await;
        queue.record_into(&store).await;
        assert_eq!(store.prune(&Retention::default()).await.expect("pruned").jobs, 1);
        assert_eq!(left(&store).await, [2]);
        assert!(store.history().attempts(Uuid::from_u128(1)).await.expect("attempts").is_empty());
        assert_eq!(store.history().attempts(Uuid::from_u128(2)).await.expect("attempts").len(), 3);
        assert_eq!(rows(&store, "millstream_job_tags").await, 2);
        // Its runs stay counted.
        let since = Utc::now() - DAY * 101;
        let counted = store.history().statistics().since(since).bucket(DAY).await.expect("statistics");
        assert_eq!(counted.iter().map(|bucket| bucket.runs()).sum::<u64>(), 6);
    }

    async fn a_kind_can_have_its_own_time(database: Database) {
        let (store, queue) = (database.migrated().await, Queue::new().await);
        let of = |kind: &str, id, days| Outcome { kind: kind.into(), ..ended(id, State::Completed, DAY * days) };
        let kinds = (1..=40).flat_map(|n| [of("invoice", n, 20), of("ping", n + 100, 2), of("resize", n + 200, 8), of("resize", n + 300, 6)]);
        queue.finish(&kinds.collect::<Vec<_>>()).await;
        queue.record_into(&store).await;
        // Batches smaller than what is passed over.
        let retention = Retention::default()
            .kind("invoice", State::Completed, DAY * 30)
            .kind("ping", State::Completed, DAY)
            .batch(7);
        assert_eq!(store.prune(&retention).await.expect("pruned").jobs, 80);
        assert_eq!(left(&store).await, (1..=40).chain(301..=340).collect::<Vec<_>>());
        let retention = retention.kind("invoice", State::Completed, None).state(State::Completed, DAY);
        assert_eq!(store.prune(&retention).await.expect("pruned").jobs, 40);
        assert_eq!(left(&store).await, (1..=40).collect::<Vec<_>>());
    }

    async fn what_was_set_aside_and_statistics_have_their_own_times(database: Database) {
        let (store, queue) = (database.migrated().await, Queue::new().await);
        queue.append(1, b"\x93garbage").await;
        queue.finish(&[ended(1, State::Completed, DAY * 300), ended(2, State::Completed, DAY * 500)]).await;
        queue.record_into(&store).await;
        let pruned = store.prune(&Retention::default().state(State::Completed, None)).await.expect("pruned");
        assert_eq!((pruned.jobs, pruned.rejected, pruned.statistics), (0, 0, 1));
        let pruned = store.prune(&Retention::forever().rejected(Duration::ZERO).statistics(DAY)).await.expect("pruned");
        assert_eq!((pruned.jobs, pruned.rejected, pruned.statistics), (0, 1, 1));
        assert_eq!((left(&store).await, store.count_rejected().await.expect("a count")), (vec![1, 2], 0));
    }

    async fn what_relays_set_aside_is_kept_for_its_time(database: Database) {
        let store = database.migrated().await;
        // More than a batch, the oldest with the highest numbers.
        for (seq, age) in [(1, 100), (2, 10)].into_iter().chain((3..40).map(|seq| (seq, 400))) {
            let at = (Utc::now() - DAY * age).to_rfc3339_opts(chrono::SecondsFormat::Micros, true);
            let id = if database.url.starts_with("postgres") { "gen_random_uuid()" } else { "randomblob(16)" };
            let insert = format!(
                "INSERT INTO millstream_outbox_rejected (seq, target, kind, id, body, created_at, reason, rejected_at) \
                 VALUES ({seq}, 'queue:mail', 'k', {id}, '{{', '{at}', 'no JSON', '{at}') RETURNING seq"
            );
            sql(&store, &insert).await.expect("inserted");
        }
        assert_eq!(store.prune(&Retention::forever()).await.expect("pruned").outbox_rejected, 0);
        let retention = Retention::forever().outbox_rejected(DAY * 200).batch(10);
        assert_eq!(store.prune(&retention).await.expect("pruned").outbox_rejected, 37);
        assert_eq!(store.outbox().await.expect("a status").rejected, 2);
        assert_eq!(store.prune(&Retention::default()).await.expect("pruned").outbox_rejected, 1);
        assert_eq!(store.outbox().await.expect("a status").rejected, 1);
    }

    async fn pruners_and_recorders_at_once_delete_each_job_once(database: Database) {
        let (store, queue) = (database.migrated().await, Queue::new().await);
        fill(&queue, &store, 1..5000, DAY * 8).await;
        let others = [database.store().await, database.store().await, store.clone(), store.clone()];
        let retention = Retention::default().batch(50);
        // Meanwhile a recorder is given some of them once more, and younger ones.
        let recording = queue.recorder(&database.store().await).await;
        for pack in 0..20 {
            queue.finish(&(0..100).map(|id| ended(10_000 + pack * 100 + id, State::Completed, DAY)).collect::<Vec<_>>()).await;
            queue.finish(&(0..100).map(|id| ended(4000 + pack * 30 + id, State::Completed, DAY * 8)).collect::<Vec<_>>()).await;
        }
        let pruned = join_all(others.iter().map(|store| store.prune(&retention))).await;
        let pruned: u64 = pruned.into_iter().map(|pruned| pruned.expect("pruned").jobs).sum();
        assert!(pruned >= 4000, "{pruned}");
        queue.drained().await;
        recording.stop().await;
        store.prune(&retention).await.expect("pruned");
        assert_eq!(store.history().count().await.expect("a count"), 2000);
        assert_eq!((rows(&store, "millstream_attempts").await, rows(&store, "millstream_job_tags").await), (2000, 4000));
    }

    async fn a_recorder_prunes_beside_its_work(database: Database) {
        let (store, queue) = (database.migrated().await, Queue::new().await);
        queue.finish(&[ended(1, State::Completed, DAY * 8), ended(2, State::Completed, DAY * 6)]).await;
        let every_second = Retention::default().every(Duration::ZERO);
        let recorder = Recorder::new(queue.client.clone(), store.clone()).retention(every_second);
        let health = recorder.health();
        let recording = Recording::start(recorder).await;
        until(async || health.metrics().pruned_jobs == 1).await;
        assert_eq!(left(&store).await, [2]);
        queue.finish(&[ended(3, State::Cancelled, DAY * 8)]).await;
        until(async || health.metrics().pruned_jobs == 2).await;
        recording.stop().await;
        assert_eq!(left(&store).await, [2]);
    }

    async fn writers_and_readers_go_on_while_a_hundred_thousand_jobs_are_pruned(database: Database) {
        let (store, queue) = (database.migrated().await, Queue::new().await);
        fill(&queue, &store, 1..100_001, DAY * 8).await;
        let recording = queue.recorder(&store).await;
        let pruning = tokio::spawn({
            let store = store.clone();
            async move {
                let started = Instant::now();
                let pruned = store.prune(&Retention::default()).await.expect("pruned");
                (pruned.jobs, started.elapsed())
            }
        });
        let (mut longest, mut written) = ([Duration::ZERO; 2], 0_u128);
        while !pruning.is_finished() {
            written += 1;
            let started = Instant::now();
            queue.finish(&[ended(1_000_000 + written, State::Completed, DAY)]).await;
            queue.drained().await;
            longest[0] = longest[0].max(started.elapsed());
            let started = Instant::now();
            store.history().state(State::Completed).limit(50).await.expect("a page");
            longest[1] = longest[1].max(started.elapsed());
        }
        let (pruned, took) = pruning.await.expect("no panic");
        recording.stop().await;
        assert_eq!(u128::from(store.history().count().await.expect("a count")), written, "nothing young is deleted");
        assert_eq!(pruned, 100_000);
        assert_eq!((rows(&store, "millstream_attempts").await, rows(&store, "millstream_job_tags").await), (written as i64, 2 * written as i64));
        println!("{written} written in {took:?}; the longest write and read took {longest:?}");
        assert!(longest.iter().all(|one| *one < took / 4), "{longest:?} of {took:?}");
        assert!(written > 10, "{written}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sqlite_file_does_not_grow_when_what_was_pruned_is_followed_by_as_much() {
    let database = crate::database::Database::sqlite().await;
    let (store, queue) = (database.migrated().await, Queue::new().await);
    let pages = async || {
        let count = store.raw_sqlite(|conn| conn.query_row("PRAGMA page_count", [], |row| row.get::<_, i64>(0)));
        count.await.expect("a count")
    };
    fill(&queue, &store, 1..5000, DAY * 8).await;
    let before = pages().await;
    for round in 1..4 {
        store.prune(&Retention::default()).await.expect("pruned");
        fill(&queue, &store, round * 5000..(round + 1) * 5000, DAY * 8).await;
    }
    let after = pages().await;
    assert!(after <= before + before / 20, "{before} pages, then {after}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_old_partition_is_dropped_when_nothing_is_left_in_it() {
    let database = crate::database::Database::postgres().await;
    let store = database.migrated().await;
    let client = store.raw_postgres().await.expect("a client");
    let run = async |statements: &str| client.batch_execute(statements).await.expect("done");
    let partitions = async || {
        let names = r#"SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = 'millstream_jobs'::regclass
                         AND inhrelid::regclass::text ~ '^"?part' ORDER BY 1"#;
        let rows = client.query(names, &[]).await.expect("names");
        rows.iter().map(|row| row.get::<_, String>(0)).collect::<Vec<_>>()
    };
    run("ALTER TABLE millstream_jobs RENAME TO plain; \
         CREATE TABLE millstream_jobs (LIKE plain, PRIMARY KEY (id, enqueued_at)) PARTITION BY RANGE (enqueued_at); \
         CREATE TABLE part_1 PARTITION OF millstream_jobs FOR VALUES FROM ('2000-01-03') TO ('2000-01-10'); \
         CREATE TABLE \"part 2\" PARTITION OF millstream_jobs FOR VALUES FROM ('2000-01-10') TO ('2000-01-17'); \
         CREATE TABLE part_young PARTITION OF millstream_jobs FOR VALUES FROM (now()) TO (now() + interval '7 days'); \
         CREATE TABLE part_rest PARTITION OF millstream_jobs DEFAULT")
    .await;
    let insert = "INSERT INTO millstream_jobs (id, queue, kind, version, lane, state, attempt, run, crash, enqueued_at, \
                  finished_at, worker) VALUES (gen_random_uuid(), 'q', 'k', 1, 'normal', 'failed', 1, 1, 0, '2000-01-11', \
                  '2000-01-11', 'w')";
    run(insert).await;

    // Whoever uses the table is not waited for, and nobody waits behind the attempt for long.
    let mut other = store.raw_postgres().await.expect("a client");
    let reading = other.transaction().await.expect("a transaction");
    reading.query("SELECT FROM millstream_jobs", &[]).await.expect("read");
    let started = Instant::now();
    assert_eq!(store.prune(&Retention::forever()).await.expect("pruned").partitions, 0);
    assert!(started.elapsed() < Duration::from_secs(3));
    reading.rollback().await.expect("ended");

    assert_eq!(store.prune(&Retention::forever()).await.expect("pruned").partitions, 1);
    assert_eq!(partitions().await, ["\"part 2\"", "part_rest", "part_young"].map(str::to_owned));
    let pruned = store.prune(&Retention::default().state(State::Failed, DAY)).await.expect("pruned");
    assert_eq!((pruned.jobs, pruned.partitions), (1, 1));
    assert_eq!(partitions().await, ["part_rest", "part_young"].map(str::to_owned));
}

#[tokio::test(flavor = "multi_thread")]
async fn deleting_looks_rows_up_and_reads_no_table_through() {
    let database = crate::database::Database::sqlite().await;
    let (store, queue) = (database.migrated().await, Queue::new().await);
    fill(&queue, &store, 1..2000, DAY).await;
    for statement in [
        include_str!("../../src/retention/sqlite/due.sql"),
        include_str!("../../src/retention/sqlite/attempts.sql"),
        include_str!("../../src/retention/sqlite/tags.sql"),
        include_str!("../../src/retention/sqlite/jobs.sql"),
    ] {
        let plan = store.raw_sqlite(move |conn| {
            conn.execute_batch("ANALYZE")?;
            let mut explain = conn.prepare(&format!("EXPLAIN QUERY PLAN {statement}"))?;
            let values = ["[]", "completed"].into_iter().take(explain.parameter_count());
            let steps = explain.query_map(rusqlite::params_from_iter(values), |row| row.get::<_, String>(3))?;
            steps.collect::<Result<Vec<_>, _>>()
        });
        let plan = plan.await.expect("a plan");
        let reads: Vec<&String> =
            plan.iter().filter(|step| step.contains("millstream_") || step.contains(" jobs ")).collect();
        assert!(!reads.is_empty(), "{plan:?}");
        for step in reads {
            assert!(step.starts_with("SEARCH") && step.contains("id=?"), "{step} in {statement}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn on_postgres_too_deleting_looks_rows_up() {
    let database = crate::database::Database::postgres().await;
    let (store, queue) = (database.migrated().await, Queue::new().await);
    fill(&queue, &store, 1..40_000, DAY).await;
    let client = store.raw_postgres().await.expect("a client");
    client.batch_execute("ANALYZE").await.expect("analyzed");
    let ids: Vec<Uuid> = (1..=50).map(Uuid::from_u128).collect();
    let times = vec![Utc::now(); 50];
    let explain = format!("EXPLAIN {}", include_str!("../../src/retention/postgres/prune.sql"));
    let typed = [
        (&ids as &(dyn ToSql + Sync), Type::UUID_ARRAY),
        (&times, Type::TIMESTAMPTZ_ARRAY),
        (&times, Type::TIMESTAMPTZ_ARRAY),
        (&"completed", Type::TEXT),
    ];
    let plan = client.query_typed(&explain, &typed).await.expect("a plan");
    let plan: Vec<String> = plan.iter().map(|row| row.get(0)).collect();
    // Of a partition without rows it may read what there is.
    let tables = with_rows(&store).await;
    let through = plan.iter().filter(|step| step.contains("Seq Scan")).any(|step| reads(step, &tables).is_some());
    assert!(!through, "{}", plan.join("\n"));
}

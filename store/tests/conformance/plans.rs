//! Every question to a large history is answered along an index: the databases' own plans say so.

use std::collections::HashSet;

use chrono::{DateTime, TimeDelta, Utc};
use millstream_queue::{Job, Outcome, State};
use millstream_store::{History, Store};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{
    database::{on_both, sql},
    packs::{Queue, outcome},
};

const ROWS: u128 = 100_000;
/// Two rows in each thousand failed with this, and half of the failed rows with the other.
const RARE: &str = "checksum 7 differs";
const FREQUENT: &str = "timed out";

#[derive(Serialize, Deserialize)]
struct Resize {
    user: u32,
}

impl Job for Resize {
    const KIND: &'static str = "resize";
    const QUEUE: &'static str = "photos";
    const SEARCHABLE: &'static [&'static str] = &["user"];
}

/// One of the jobs of four weeks.
fn job(number: u128, now: DateTime<Utc>) -> Outcome {
    let id = Uuid::from_u128(number << 80 | 7 << 76 | 2 << 62 | number);
    let end = now - TimeDelta::weeks(4) + TimeDelta::seconds(24 * number as i64);
    let state = match number % 25 {
        0 => State::Dead,
        1 => State::Failed,
        2 => State::Cancelled,
        _ => State::Completed,
    };
    let error = match number % 1000 {
        25 | 50 => RARE.to_owned(),
        _ if number.is_multiple_of(2) => format!("{FREQUENT} after {number} ms"),
        _ => format!("no answer from host {number}"),
    };
    Outcome {
        id,
        kind: ["resize", "palette", "thumbnail", "mail", "sweep"][(number % 5) as usize].into(),
        state,
        error: state.is_error().then_some(error),
        worker: format!("w{}", number % 40),
        enqueued_ms: (end - TimeDelta::seconds(2)).timestamp_millis(),
        started_us: Some((end - TimeDelta::seconds(1)).timestamp_micros()),
        finished_us: end.timestamp_micros(),
        payload: Some(format!(r#"{{"user":{}}}"#, number % 997).into_bytes()),
        tags: vec![format!("tenant-{}", number % 200)],
        of: (number % 500 == 3).then(|| Uuid::from_u128(number % 13)),
        ..outcome(1)
    }
}

trait IsError {
    fn is_error(&self) -> bool;
}

impl IsError for State {
    fn is_error(&self) -> bool {
        matches!(self, State::Dead | State::Failed)
    }
}

async fn filled(store: &Store, now: DateTime<Utc>) {
    let queue = Queue::new().await;
    queue.client.declare_searchable("photos", "resize", Resize::SEARCHABLE).await.expect("declared");
    let recording = queue.recorder(store).await;
    let numbers: Vec<u128> = (1..=ROWS).collect();
    for pack in numbers.chunks(512) {
        queue.finish(&pack.iter().map(|number| job(*number, now)).collect::<Vec<_>>()).await;
    }
    tokio::time::timeout(std::time::Duration::from_secs(300), async {
        while queue.packs().await > 0 {
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        }
    })
    .await
    .expect("recorded");
    recording.stop().await;
    assert_eq!(sql(store, "SELECT count(*) FROM millstream_job_tags").await.expect("a count"), ROWS as i64);
    assert_eq!(sql(store, "SELECT count(*) FROM millstream_job_fields").await.expect("a count"), ROWS as i64 / 5);
}

/// Each filter, the common pairs, and for some the pages behind the first. Whether its rows may be put in order, being few.
fn questions(store: &Store, now: DateTime<Utc>) -> Vec<(&'static str, History, bool)> {
    let all = || store.history();
    let (from, to) = (now - TimeDelta::days(9), now - TimeDelta::days(8));
    vec![
        ("everything", all(), false),
        ("id", all().id(job(7, now).id), true),
        ("kind", all().job::<Resize>(), false),
        ("queue", all().queue("photos"), false),
        ("state", all().state(State::Dead), false),
        ("frequent state", all().state(State::Completed), false),
        ("worker", all().worker("w7"), false),
        ("tag", all().tag("tenant-7"), false),
        ("time", all().since(from).until(to), false),
        ("frequent error", all().error_contains(FREQUENT), false),
        ("rare error", all().error_contains(RARE), true),
        ("error that none has", all().error_contains("no such text"), true),
        ("short error", all().error_contains("ms"), false),
        ("revived from", all().revived_from(Uuid::from_u128(7)), true),
        ("field", all().job::<Resize>().field("user", 35), false),
        ("kind and state", all().job::<Resize>().state(State::Dead), false),
        ("queue and state", all().queue("photos").state(State::Dead), false),
        ("kind and time", all().job::<Resize>().since(from).until(to), false),
        ("state and time", all().state(State::Dead).since(from).until(to), false),
        ("worker and state", all().worker("w7").state(State::Completed), false),
        ("tag and state", all().tag("tenant-7").state(State::Completed), false),
        ("tag and kind", all().tag("tenant-7").kind("thumbnail"), false),
        ("tag and time", all().tag("tenant-7").since(from).until(to), false),
        ("tag and field", all().tag("tenant-7").job::<Resize>().field("user", 35), false),
        ("field and state", all().job::<Resize>().field("user", 35).state(State::Completed), false),
        ("field and time", all().job::<Resize>().field("user", 35).since(from), false),
        ("tag and frequent error", all().tag("tenant-0").error_contains(FREQUENT), false),
        ("frequent error and kind", all().error_contains(FREQUENT).job::<Resize>(), false),
    ]
}

/// The partitions and tables in which there is something.
pub(crate) async fn with_rows(store: &Store) -> HashSet<String> {
    let client = store.raw_postgres().await.expect("a client");
    let rows = client
        .query(
            "SELECT relname::text FROM pg_class WHERE relname LIKE 'millstream%' AND relkind = 'r' AND reltuples > 0",
            &[],
        )
        .await;
    rows.expect("names").iter().map(|row| row.get(0)).collect()
}

/// The table that a step of Postgres reads.
pub(crate) fn reads<'p>(step: &'p str, tables: &HashSet<String>) -> Option<&'p str> {
    let mut words = step.split_whitespace().skip_while(|word| *word != "on");
    words.next();
    words.next().filter(|table| tables.contains(*table))
}

fn check_postgres(what: &str, plan: &[String], may_sort: bool, tables: &HashSet<String>) {
    let all = plan.join("\n");
    for (index, step) in plan.iter().enumerate() {
        if step.contains("Seq Scan") {
            assert_eq!(reads(step, tables), None, "{what} reads a table through:\n{all}");
        }
        if step.contains("Sort  (") && !may_sort {
            let below = plan[index..].iter().find(|step| step.contains(" on millstream")).map_or("", |step| &**step);
            assert_eq!(reads(below, tables), None, "{what} sorts:\n{all}");
        }
    }
}

fn check_sqlite(what: &str, plan: &[String], may_sort: bool) {
    let all = plan.join("\n");
    for step in plan {
        let through = step.starts_with("SCAN") && !step.contains("INDEX") && !step.contains("VIRTUAL TABLE");
        assert!(!through, "{what} reads a table through:\n{all}");
        assert!(may_sort || !step.contains("TEMP B-TREE FOR ORDER BY"), "{what} sorts:\n{all}");
    }
}

/// Reads all pages of some questions whose rows are found in more than one way.
async fn check_all_pages(store: &Store) {
    let failed = || store.history().error_contains(FREQUENT);
    let rare = store.history().error_contains(RARE);
    for history in
        [failed(), rare, failed().tag("tenant-0"), failed().worker("w10"), store.history().error_contains("ms")]
    {
        let (mut places, mut after) = (Vec::new(), None);
        loop {
            let history = history.clone().limit(300);
            let page = after.as_ref().map_or(history.clone(), |after| history.after(after)).await.expect("a page");
            places.extend(page.rows.iter().map(|row| (row.finished_at, row.id)));
            after = page.next;
            if after.is_none() {
                break;
            }
        }
        assert!(places.is_sorted_by(|before, next| before > next), "{history:?}");
        assert!(!places.is_empty(), "{history:?}");
        assert_eq!(places.len() as u64, history.clone().count().await.expect("a count"), "{history:?}");
    }
}

on_both! {
    async fn every_page_of_a_large_history_runs_along_an_index(database: Database) {
        let (store, now) = (database.migrated().await, Utc::now());
        filled(&store, now).await;
        let postgres = database.url.starts_with("postgres");
        let tables = if postgres {
            store.raw_postgres().await.expect("a client").batch_execute("ANALYZE").await.expect("analyzed");
            with_rows(&store).await
        } else {
            HashSet::new()
        };
        check_all_pages(&store).await;
        for analyzed in [false, true] {
            if analyzed && !postgres {
                store.raw_sqlite(|conn| conn.execute_batch("ANALYZE")).await.expect("analyzed");
            }
            for (what, history, may_sort) in questions(&store, now) {
                let first = history.clone().limit(10).await.expect("a page");
                let mut asked = vec![history.clone()];
                asked.extend(first.next.map(|cursor| history.clone().after(&cursor)));
                for history in asked {
                    let plan = history.plan().await.expect("a plan");
                    if postgres {
                        check_postgres(what, &plan, may_sort, &tables);
                    } else {
                        check_sqlite(what, &plan, may_sort);
                    }
                }
            }
        }
    }
}

//! Pages of a large history beside those of a small one.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use chrono::{DateTime, TimeDelta, Utc};
use millstream_queue::{Outcome, State};
use millstream_store::{History, Store};
use millstream_tests::{Postgres, fresh_database};
use uuid::Uuid;

use crate::{
    outcomes::{Completed, FIELD, KIND, beside_a_recorder, check, id, leave, until_recorded},
    pairs::{Pairs, median},
    report::Figure,
    setting::Setting,
    store::each,
};

/// Rows of a page.
const PAGE: u16 = 50;
/// Pages of one measurement.
const PAGES: u32 = 10;
/// Jobs of the small history, at least: each question has to find a page.
const SMALL: u64 = 10_000;
/// Most outcomes in memory.
const SLICE: u64 = 65_536;
/// Jobs are spread over these weeks, the last of which ends now.
const WEEKS: i64 = 4;

const QUEUES: [&str; 2] = ["photos", "mail"];
const KINDS: [&str; 5] = ["sweep", "palette", KIND, "mail", "thumbnail"];
/// What half of all failed jobs say, and one in sixteen.
const FREQUENT: &str = "timed out";
const RARE: &str = "checksum";

/// The question whose page takes longest beside the small history's, of all questions on both databases. A page that is not
/// full where there are rows enough is an error.
pub(crate) async fn page(setting: &Setting) -> Result<Figure> {
    let (large, now) = (setting.backlog(), Utc::now());
    let small = (large / 100).max(SMALL);
    let large = large.max(small);
    let (server, folder) = (Postgres::start().await?, tempfile::tempdir()?);
    let file = |name: &str| format!("sqlite://{}", folder.path().join(name).display());
    let databases = [
        ("Postgres", fresh_database(&server.url()).await?, fresh_database(&server.url()).await?),
        ("SQLite", file("large.db"), file("small.db")),
    ];
    let mut found: Vec<(&str, &str, Pairs)> = Vec::new();
    for (name, of_large, of_small) in &databases {
        let of_large = filled(setting, of_large, large, now).await?;
        let of_small = filled(setting, of_small, small, now).await?;
        let questions = questions(&of_large, large, now).into_iter().zip(questions(&of_small, small, now));
        for ((what, of_large), (_, of_small)) in questions {
            is_full(what, &of_large).await?;
            is_full(what, &of_small).await?;
            let asked = async |history: &History| each(PAGES, async || history.clone().await).await;
            let pairs = Pairs::measure(setting.pairs, async || asked(&of_large).await, async || asked(&of_small).await);
            found.push((what, name, pairs.await?));
        }
    }
    found.sort_by(|a, b| median(&b.2.ratios()).total_cmp(&median(&a.2.ratios())));
    for (what, name, pairs) in found.iter().take(5) {
        let (large, small, ratio) = (median(&pairs.ours), median(&pairs.limits), median(&pairs.ratios()));
        eprintln!("history.page: {what} on {name}: {large:.0} µs, of the small history {small:.0} µs, {ratio:.2}");
    }
    let (_, _, worst) = found.into_iter().next().context("there are questions")?;
    Ok(Figure::new("history.page", "µs", &worst))
}

async fn is_full(what: &str, history: &History) -> Result<()> {
    let rows = history.clone().await?.rows.len();
    let wanted = if what == "id" { 1 } else { usize::from(PAGE) };
    ensure!(rows == wanted, "{rows} rows on the page of {what:?}");
    Ok(())
}

/// A history with so many jobs, written by a recorder.
async fn filled(setting: &Setting, url: &str, jobs: u64, now: DateTime<Utc>) -> Result<Store> {
    setting.clear().await?;
    let store = Store::connect(url).await?;
    store.migrate().await?;
    for queue in QUEUES {
        setting.client.record(queue).await?;
        setting.client.declare_searchable(queue, KIND, &[FIELD]).await?;
    }
    let recorded = async {
        for first in (0..jobs).step_by(SLICE as usize) {
            for (place, queue) in QUEUES.into_iter().enumerate() {
                let slice = first..jobs.min(first + SLICE);
                let of_queue = slice.filter(|number| (number % 4 == 0) == (place == 1));
                let outcomes: Vec<Outcome> = of_queue.map(|number| job(number, jobs, now)).collect();
                leave(setting, queue, &outcomes).await?;
                until_recorded(setting, queue).await?;
            }
        }
        Ok(())
    };
    beside_a_recorder(setting, &store, &QUEUES, recorded).await?;
    check(&store, jobs).await?;
    if store.name().starts_with("postgres") {
        // As autovacuum does in time.
        store.raw_postgres().await?.batch_execute("VACUUM (ANALYZE)").await?;
    }
    Ok(store)
}

/// When a job of so many ended.
fn end(number: u64, jobs: u64, now: DateTime<Utc>) -> DateTime<Utc> {
    let weeks = TimeDelta::weeks(WEEKS).num_microseconds().unwrap_or_default() as u64;
    now - Duration::from_micros((jobs - number) * (weeks / jobs))
}

/// The parts that each question asks for are the same in a history of any size.
fn job(number: u64, jobs: u64, now: DateTime<Utc>) -> Outcome {
    let end = end(number, jobs, now);
    let state = match number / 10 % 20 {
        3 => State::Dead,
        4 => State::Failed,
        5 => State::Cancelled,
        _ => State::Completed,
    };
    let error = match number % 16 {
        even if even % 2 == 0 => format!("{FREQUENT} after {number} ms"),
        1 => format!("{RARE} {number} differs"),
        _ => format!("no answer from host {number}"),
    };
    let job = Completed {
        id: id(end, number),
        tag: format!("tenant-{}", number % 10),
        user: number / 10 % 10,
        payload: crate::outcomes::payload(number / 10 % 10),
        enqueued_at: end - TimeDelta::seconds(2),
        started_at: end - TimeDelta::seconds(1),
        finished_at: end,
    };
    Outcome {
        kind: KINDS[(number % 5) as usize].into(),
        state,
        error: matches!(state, State::Dead | State::Failed).then_some(error),
        worker: format!("w{}", number / 3 % 20),
        of: (number % 100 == 3).then(|| Uuid::from_u128(7)),
        ..job.outcome()
    }
}

/// Each filter, and the pairs that people ask for.
fn questions(store: &Store, jobs: u64, now: DateTime<Utc>) -> Vec<(&'static str, History)> {
    let all = || store.history().limit(PAGE);
    let (kind, user) = (|| all().kind(KIND), || all().kind(KIND).field(FIELD, 7));
    let (from, to) = (now - TimeDelta::days(14), now - TimeDelta::days(7));
    vec![
        ("everything", all()),
        ("id", all().id(id(end(7, jobs, now), 7))),
        ("kind", kind()),
        ("queue", all().queue("mail")),
        ("state", all().state(State::Dead)),
        ("frequent state", all().state(State::Completed)),
        ("worker", all().worker("w7")),
        ("tag", all().tag("tenant-2")),
        ("time", all().since(from).until(to)),
        ("frequent error", all().error_contains(FREQUENT)),
        ("rare error", all().error_contains(RARE)),
        ("short error", all().error_contains("ms")),
        ("revived from", all().revived_from(Uuid::from_u128(7))),
        ("field", user()),
        ("kind and state", kind().state(State::Dead)),
        ("queue and state", all().queue("mail").state(State::Dead)),
        ("queue and kind", kind().queue("mail")),
        ("kind and worker", kind().worker("w7")),
        ("kind and time", kind().since(from).until(to)),
        ("state and time", all().state(State::Dead).since(from).until(to)),
        ("worker and state", all().worker("w7").state(State::Completed)),
        ("tag and state", all().tag("tenant-2").state(State::Completed)),
        ("tag and kind", kind().tag("tenant-2")),
        ("tag and time", all().tag("tenant-2").since(from).until(to)),
        ("tag and field", user().tag("tenant-2")),
        ("field and state", user().state(State::Completed)),
        ("field and time", user().since(from)),
        ("tag and frequent error", all().tag("tenant-2").error_contains(FREQUENT)),
        ("kind and frequent error", kind().error_contains(FREQUENT)),
        ("state and frequent error", all().state(State::Dead).error_contains(FREQUENT)),
        ("time and frequent error", all().error_contains(FREQUENT).since(from).until(to)),
    ]
}

//! Pages against a model: one after the other they are the filtered whole in its order.

use chrono::DateTime;
use millstream_queue::{Outcome, State};
use millstream_store::{History, Store};
use proptest::{
    prelude::*,
    test_runner::{Config, TestCaseError, TestRunner},
};
use tokio::runtime::Handle;

use crate::{
    database::on_both,
    packs::{NOON, Queue, outcome},
};

const KINDS: [&str; 3] = ["resize", "palette", "mail"];
const STATES: [State; 4] = [State::Completed, State::Failed, State::Dead, State::Cancelled];
const ERRORS: [&str; 3] = ["disk full", "Disk gone", "no answer"];

/// Few values of each, so that filters meet; few times, so that ids decide.
fn jobs() -> Vec<Outcome> {
    let job = |number: u128| {
        let mix = number * 2_654_435_761 % 4_294_967_296;
        let pick = |shift: u32, count: u128| ((mix >> shift) % count) as usize;
        let state = STATES[pick(3, 4)];
        Outcome {
            kind: KINDS[pick(7, 3)].into(),
            state,
            error: (state != State::Completed).then(|| ERRORS[pick(11, 3)].into()),
            worker: format!("w{}", pick(13, 3)),
            finished_us: NOON + pick(17, 60) as i64,
            tags: (0..pick(19, 3)).map(|tag| format!("t{tag}")).collect(),
            payload: Some(format!(r#"{{"photo":{},"by":{{"name":"n{}"}}}}"#, pick(5, 4), pick(9, 3)).into_bytes()),
            ..outcome(number)
        }
    };
    (1..=400).map(job).collect()
}

#[derive(Clone, Debug)]
struct Question {
    kind: Option<usize>,
    state: Option<usize>,
    worker: Option<u8>,
    tag: Option<u8>,
    since: Option<i64>,
    until: Option<i64>,
    error: Option<&'static str>,
    photo: Option<i32>,
    name: Option<u8>,
    limit: u16,
}

fn question() -> impl Strategy<Value = Question> {
    let maybe = |values: std::ops::Range<i64>| proptest::option::weighted(0.3, values);
    let error = proptest::option::weighted(0.2, prop_oneof![Just("disk"), Just("SK F"), Just("no"), Just("zzz")]);
    let fields = (maybe(0..5), maybe(0..4));
    (maybe(0..3), maybe(0..4), maybe(0..4), maybe(0..4), maybe(0..60), maybe(0..60), error, fields, 1..60_u16).prop_map(
        |(kind, state, worker, tag, since, until, error, (photo, name), limit)| Question {
            kind: kind.map(|kind| kind as usize),
            state: state.map(|state| state as usize),
            worker: worker.map(|worker| worker as u8),
            tag: tag.map(|tag| tag as u8),
            since,
            until,
            error,
            photo: kind.and(photo).map(|photo| photo as i32),
            name: kind.and(name).map(|name| name as u8),
            limit,
        },
    )
}

impl Question {
    fn ask(&self, store: &Store) -> History {
        let time = |micros| DateTime::from_timestamp_micros(NOON + micros).expect("in range");
        let mut history = store.history().limit(self.limit);
        if let Some(kind) = self.kind {
            history = history.kind(KINDS[kind]);
        }
        if let Some(state) = self.state {
            history = history.state(STATES[state]);
        }
        if let Some(worker) = self.worker {
            history = history.worker(format!("w{worker}"));
        }
        if let Some(tag) = self.tag {
            history = history.tag(format!("t{tag}"));
        }
        if let Some(since) = self.since {
            history = history.since(time(since));
        }
        if let Some(until) = self.until {
            history = history.until(time(until));
        }
        if let Some(error) = self.error {
            history = history.error_contains(error);
        }
        if let Some(photo) = self.photo {
            history = history.field("photo", photo);
        }
        if let Some(name) = self.name {
            history = history.field("by.name", format!("n{name}"));
        }
        history
    }

    fn lets_through(&self, job: &Outcome) -> bool {
        let payload = String::from_utf8_lossy(job.payload.as_deref().unwrap_or_default()).into_owned();
        self.kind.is_none_or(|kind| job.kind == KINDS[kind])
            && self.state.is_none_or(|state| job.state == STATES[state])
            && self.worker.is_none_or(|worker| job.worker == format!("w{worker}"))
            && self.tag.is_none_or(|tag| job.tags.contains(&format!("t{tag}")))
            && self.since.is_none_or(|since| job.finished_us >= NOON + since)
            && self.until.is_none_or(|until| job.finished_us < NOON + until)
            && self.error.is_none_or(|text| {
                job.error.as_deref().is_some_and(|error| error.to_lowercase().contains(&text.to_lowercase()))
            })
            && self.photo.is_none_or(|photo| payload.contains(&format!("\"photo\":{photo},")))
            && self.name.is_none_or(|name| payload.contains(&format!("\"n{name}\"")))
    }
}

async fn all_pages(store: &Store, question: &Question) -> Vec<u128> {
    let mut seen = Vec::new();
    let mut page = question.ask(store).await.expect("a page");
    loop {
        seen.extend(page.rows.iter().map(|row| row.id.as_u128()));
        let Some(next) = page.next else { return seen };
        page = question.ask(store).after(&next).await.expect("a page");
    }
}

on_both! {
    async fn pages_in_a_row_are_the_filtered_whole_in_order(database: Database) {
        let (store, queue, mut jobs) = (database.migrated().await, Queue::new().await, jobs());
        for kind in KINDS {
            queue.client.declare_searchable("photos", kind, &["photo", "by.name"]).await.expect("declared");
        }
        queue.finish(&jobs).await;
        queue.record_into(&store).await;
        jobs.sort_by_key(|job| std::cmp::Reverse((job.finished_us, job.id)));
        let check = |question: Question| {
            let expected: Vec<u128> =
                jobs.iter().filter(|job| question.lets_through(job)).map(|job| job.id.as_u128()).collect();
            let (found, count) = Handle::current().block_on(async {
                (all_pages(&store, &question).await, question.ask(&store).count().await.expect("a count"))
            });
            prop_assert_eq!(count, expected.len() as u64);
            prop_assert_eq!(found, expected);
            Ok::<_, TestCaseError>(())
        };
        let mut runner = TestRunner::new(Config { cases: 100, failure_persistence: None, ..Config::default() });
        tokio::task::block_in_place(|| runner.run(&question(), check)).expect("pages as the model says");
    }
}

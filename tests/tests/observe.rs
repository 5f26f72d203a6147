//! What workers tell by events, and the metrics made of them, over a life with troubles.

#![allow(clippy::unwrap_used, reason = "a test fails where it stands")]

mod probe;

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Debug,
    sync::{Arc, Mutex},
    time::Duration,
};

use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use millstream_queue::{Lane, Overflow, State};
use millstream_tests::Redis;
use millstream_worker::{JOBS_BUCKETS, SECONDS_BUCKETS, metrics_layer};
use probe::{Act, Outcomes, PATIENCE, QUEUE, Running, probe};
use tracing::{
    Event, Subscriber,
    field::{Field, Visit},
};
use tracing_subscriber::{
    Layer,
    layer::{Context, SubscriberExt},
};

/// Every event under the worker's targets, once each, with what the document says of it in the same words.
#[derive(Clone, Default)]
struct Told(Arc<Mutex<BTreeMap<String, Vec<String>>>>);

impl<S: Subscriber> Layer<S> for Told {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        struct Values(Vec<String>);
        impl Visit for Values {
            fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
                self.0.push(format!("{field}={value:?}"));
            }
        }
        let metadata = event.metadata();
        if metadata.target().starts_with("millstream::") {
            let fields: Vec<String> =
                metadata.fields().iter().filter(|field| field.name() != "message").map(|f| format!("`{f}`")).collect();
            let row = format!(
                "| `{}` | `{}` | {} | {} |",
                metadata.name(),
                metadata.target(),
                metadata.level(),
                fields.join(" ")
            );
            let mut values = Values(Vec::new());
            event.record(&mut values);
            self.0.lock().unwrap().entry(row.replace("|  |", "| |")).or_default().push(values.0.join(" "));
        }
    }
}

impl Told {
    fn heard(&self, name: &str) -> Vec<String> {
        let told = self.0.lock().unwrap();
        let start = format!("| `{name}` |");
        told.iter().filter(|(row, _)| row.starts_with(&start)).flat_map(|(_, values)| values.clone()).collect()
    }

    async fn wait_for(&self, name: &str, part: &str) {
        let heard = async {
            while !self.heard(name).iter().any(|values| values.contains(part)) {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        let heard = tokio::time::timeout(PATIENCE, heard).await;
        heard.unwrap_or_else(|_| panic!("{name} with {part} is not among {:?}", self.heard(name)));
    }
}

/// Everything that a worker goes through here, told to a subscriber and an exporter of this process.
fn listen() -> (Told, PrometheusHandle) {
    let prometheus = PrometheusBuilder::new()
        .set_buckets_for_metric(Matcher::Suffix("_seconds".into()), SECONDS_BUCKETS)
        .and_then(|builder| {
            builder.set_buckets_for_metric(Matcher::Full("millstream_finish_jobs".into()), JOBS_BUCKETS)
        })
        .unwrap()
        .install_recorder()
        .unwrap();
    let told = Told::default();
    let subscriber = tracing_subscriber::registry().with(metrics_layer()).with(told.clone());
    tracing::subscriber::set_global_default(subscriber).unwrap();
    (told, prometheus)
}

/// Events of troubles that other tests make, or none can at will.
const RARE: [&str; 15] = [
    "job.key_kept",
    "job.progress_kept",
    "fetch.gone",
    "fetch.kept",
    "fetch.deaf",
    "fetch.not_alone",
    "lease.unlisted",
    "lease.undeclared",
    "lease.runtime_still",
    "lease.not_left",
    "shutdown.asked",
    "shutdown.handed_back",
    "shutdown.blocked",
    "shutdown.left_behind",
    "retry.failed_again",
];

/// The value of a metric on the page.
fn value(page: &str, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
    let labelled = |line: &&str| {
        let has = |(label, value): &(&str, &str)| line.contains(&format!("{label}={value:?}"));
        line.split(['{', ' ']).next() == Some(name) && labels.iter().all(has)
    };
    page.lines().find(labelled).and_then(|line| line.rsplit(' ').next()?.parse().ok())
}

#[tokio::test]
async fn a_life_with_troubles_is_told_as_documented_and_counted() {
    let (told, prometheus) = listen();
    let redis = Redis::start().await.unwrap();
    let client = probe::client(&redis.url()).await;
    let (worker, _said) = probe::worker(&client);
    let worker = Running::start(worker);

    // Jobs of all endings.
    let mut outcomes = Outcomes::of(&client);
    for (name, act) in [
        ("good", Act::Succeed),
        ("bad", Act::Fail),
        ("mad", Act::Panic),
        ("dead", Act::Die),
        ("off", Act::Cancel),
        ("later", Act::Snooze { ms: 5 }),
    ] {
        client.push(probe(name, act)).await.unwrap();
        outcomes.next_end().await;
    }
    let mut conn = client.connection().await.unwrap();
    let lane = client.keys(QUEUE).ready(Lane::Normal);
    redis::cmd("XADD").arg(&lane).arg(&["*", "no", "job"]).exec_async(&mut conn).await.unwrap();
    redis::cmd("XADD").arg(&lane).arg(&["*", "kind", "stranger", "body", "1"]).exec_async(&mut conn).await.unwrap();
    told.wait_for("job.malformed", "error").await;
    told.wait_for("job.incomplete", "parked").await;

    // Pauses of both kinds.
    let control = client.keys(QUEUE).control();
    redis::cmd("HSET").arg(&control).arg("paused").arg(1).exec_async(&mut conn).await.unwrap();
    told.wait_for("fetch.paused", QUEUE).await;
    assert_eq!(value(&prometheus.render(), "millstream_fetch_halted", &[("why", "paused")]), Some(1.0));
    redis::cmd("HDEL").arg(&control).arg("paused").exec_async(&mut conn).await.unwrap();
    client.limit_unrecorded(QUEUE, 1, Overflow::Pause).await.unwrap();
    told.wait_for("fetch.full", QUEUE).await;
    client.limit_unrecorded(QUEUE, 1_000_000, Overflow::Pause).await.unwrap();

    // A consumer that died with a job in hand.
    let mut doomed = probe::process(&redis.url(), &client, &[]);
    client.push_all((0..60).map(|number| probe(&format!("held {number}"), Act::Sleep { ms: 400 }))).await.unwrap();
    doomed.wait_for_line(PATIENCE, |line| line.contains("started held")).await.unwrap();
    doomed.kill().await;
    told.wait_for("rescue.requeued", "jobs=").await;
    assert!(!told.heard("rescue.fenced").is_empty());

    // A job that two workers died under.
    let suspect = ["*", "kind", "probe", "body", r#"{"name":"suspect","act":"succeed"}"#, "crash", "2"];
    let suspects = client.keys(QUEUE).ready(Lane::Suspect);
    redis::cmd("XADD").arg(suspects).arg(&suspect).exec_async(&mut conn).await.unwrap();
    told.wait_for("fetch.alone", QUEUE).await;

    // An outage, and the loss of everything, the living included.
    redis.stop();
    told.wait_for("retry.failed", "beat").await;
    redis.cont();
    told.wait_for("retry.worked", "loop_name").await;
    redis::cmd("FLUSHALL").exec_async(&mut client.connection().await.unwrap()).await.unwrap();
    told.wait_for("lease.fenced", QUEUE).await;
    client.record(QUEUE).await.unwrap();
    client.push(probe("afterwards", Act::Succeed)).await.unwrap();
    let mut after = Outcomes::of(&client);
    while after.next_end().await.state != State::Completed {}
    worker.stop().await;

    // Each event stands in the document as it was told.
    let document = include_str!("../../worker/OBSERVE.md");
    let rows: BTreeSet<String> = told.0.lock().unwrap().keys().cloned().collect();
    for row in &rows {
        assert!(document.lines().any(|line| line.starts_with(row.as_str())), "{row} is not in the document");
    }
    let documented = document.lines().filter(|line| line.starts_with("| `") && line.contains("| `millstream::"));
    let names = documented.filter_map(|line| line.split('`').nth(1));
    let untold: Vec<_> = names.filter(|name| told.heard(name).is_empty() && !RARE.contains(name)).collect();
    assert!(untold.is_empty(), "nothing was told of {untold:?}");

    // And the page has all of it.
    let page = prometheus.render();
    let probes =
        |name: &str, label: &str, of: &str| value(&page, name, &[("queue", QUEUE), ("kind", "probe"), (label, of)]);
    let finished = |state: &str| probes("millstream_jobs_finished_total", "state", state);
    assert_eq!(finished("dead"), Some(3.0), "{page}"); // bad and mad after three attempts, dead at once
    assert_eq!(finished("failed"), Some(4.0));
    assert_eq!(finished("cancelled"), Some(1.0));
    assert_eq!(finished("snoozed"), Some(1.0));
    let completed = finished("completed").unwrap();
    assert!(completed >= 3.0);
    let parked = [("queue", QUEUE), ("kind", "unknown"), ("state", "parked")];
    assert_eq!(value(&page, "millstream_jobs_finished_total", &parked), Some(1.0));
    assert_eq!(probes("millstream_job_run_seconds_count", "how", "returned"), Some(completed));
    assert_eq!(
        probes("millstream_job_run_seconds_bucket", "le", "3600"),
        probes("millstream_job_run_seconds_bucket", "le", "+Inf")
    );
    let on_queue = |name: &str| value(&page, name, &[("queue", QUEUE)]);
    assert_eq!(on_queue("millstream_jobs_running"), Some(0.0));
    assert_eq!(on_queue("millstream_job_wait_seconds_count"), on_queue("millstream_jobs_started_total"));
    assert_eq!(on_queue("millstream_jobs_malformed_total"), Some(1.0));
    assert!(on_queue("millstream_jobs_rescued_total").unwrap() >= 1.0);
    assert_eq!(on_queue("millstream_consumers_fenced_total"), Some(1.0));
    assert_eq!(on_queue("millstream_fenced_total"), Some(1.0));
    assert_eq!(on_queue("millstream_registrations_total"), Some(2.0));
    assert!(on_queue("millstream_finish_jobs_count").unwrap() >= 1.0);
    assert!(value(&page, "millstream_loop_errors_total", &[("loop", "beat")]).unwrap() >= 1.0);
    for why in ["paused", "full"] {
        assert_eq!(value(&page, "millstream_fetch_halted", &[("queue", QUEUE), ("why", why)]), Some(0.0));
    }
    for line in page.lines().filter_map(|line| line.strip_prefix("# TYPE ")) {
        let (name, kind) = line.split_once(' ').unwrap();
        assert!(document.contains(&format!("| `{name}` | {kind} |")), "{line} is not in the document");
    }
}

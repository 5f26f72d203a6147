//! Traces that go on from the span of a push to the runs of its job, as OpenTelemetry sees them.

#![allow(clippy::unwrap_used, reason = "a test fails where it stands")]

mod probe;

use millstream_queue::{Client, Job, Lane};
use millstream_tests::shared_redis;
use millstream_worker::{self as worker, Context, Worker};
use opentelemetry::trace::{SpanKind, Status, TracerProvider};
use opentelemetry_sdk::trace::{InMemorySpanExporter, SdkTracerProvider, SpanData};
use probe::{Outcomes, QUEUE};
use serde::{Deserialize, Serialize};
use tokio::sync::oneshot;
use tracing::{Instrument, info_span};
use tracing_subscriber::layer::SubscriberExt;

#[derive(Serialize, Deserialize)]
struct First;
impl Job for First {
    const KIND: &'static str = "first";
    const QUEUE: &'static str = QUEUE;
}

#[derive(Serialize, Deserialize)]
struct Second;
impl Job for Second {
    const KIND: &'static str = "second";
    const QUEUE: &'static str = QUEUE;
    const ATTEMPTS: u32 = 1;
}

async fn first(_: First, cx: Context<()>) -> worker::Result {
    cx.client.push(Second).into_future().instrument(info_span!("hands on")).await?;
    Ok(())
}

async fn second(_: Second, _: Context<()>) -> worker::Result {
    Err("out of paper".into())
}

/// Keeps the spans of this thread from now on, until the guard is dropped.
fn keep_spans() -> (InMemorySpanExporter, SdkTracerProvider, tracing::subscriber::DefaultGuard) {
    let exporter = InMemorySpanExporter::default();
    let provider = SdkTracerProvider::builder().with_simple_exporter(exporter.clone()).build();
    let layer = tracing_opentelemetry::layer().with_tracer(provider.tracer("test"));
    let guard = tracing::subscriber::set_default(tracing_subscriber::registry().with(layer));
    (exporter, provider, guard)
}

/// Runs a worker until as many jobs have ended.
async fn run(client: &Client, count: usize) {
    let (stop, stopped) = oneshot::channel::<()>();
    let worker = Worker::new(client.clone(), ()).handle(first).handle(second).lease(probe::LEASE);
    let running = tokio::spawn(worker.run_until(stopped));
    let mut outcomes = Outcomes::of(client);
    for _ in 0..count {
        outcomes.next_end().await;
    }
    drop(stop);
    running.await.unwrap().unwrap();
}

fn find<'a>(spans: &'a [SpanData], name: &str) -> &'a SpanData {
    let names: Vec<_> = spans.iter().map(|span| &span.name).collect();
    spans.iter().find(|span| span.name == name).unwrap_or_else(|| panic!("{name} is not among {names:?}"))
}

#[tokio::test]
async fn a_trace_goes_on_from_the_push_over_the_run_to_what_the_run_pushes() {
    let (exporter, _provider, _guard) = keep_spans();
    let client = probe::client(&shared_redis().await.unwrap()).await;
    client.push(First).into_future().instrument(info_span!("request")).await.unwrap();
    run(&client, 2).await;

    let spans = exporter.get_finished_spans().unwrap();
    let [request, first, hands_on, second] =
        ["request", "job first", "hands on", "job second"].map(|name| find(&spans, name));
    let trace = request.span_context.trace_id();
    for (child, parent) in [(first, request), (hands_on, first), (second, hands_on)] {
        assert_eq!(child.span_context.trace_id(), trace);
        assert_eq!(child.parent_span_id, parent.span_context.span_id(), "{} under {}", child.name, parent.name);
    }
    assert!(first.parent_span_is_remote && second.parent_span_is_remote);
    assert_eq!((&first.span_kind, &first.status), (&SpanKind::Consumer, &Status::Unset));
    assert_eq!(second.status, Status::error("out of paper"));
    let attribute = |wanted: &str| {
        first.attributes.iter().find(|attribute| attribute.key.as_str() == wanted).map(|found| found.value.to_string())
    };
    assert_eq!(attribute("queue").as_deref(), Some(QUEUE));
    assert_eq!(attribute("kind").as_deref(), Some("first"));
    assert_eq!(attribute("attempt").as_deref(), Some("1"));
}

#[tokio::test]
async fn all_jobs_of_a_push_all_belong_to_the_trace_around_it() {
    let (exporter, _provider, _guard) = keep_spans();
    let client = probe::client(&shared_redis().await.unwrap()).await;
    let pushing = client.push_all((0..3).map(|_| Second)).into_future();
    pushing.instrument(info_span!("bulk")).await.unwrap();
    run(&client, 3).await;
    let spans = exporter.get_finished_spans().unwrap();
    let bulk = find(&spans, "bulk").span_context.span_id();
    let runs: Vec<_> = spans.iter().filter(|span| span.name == "job second").collect();
    assert_eq!(runs.len(), 3);
    assert!(runs.iter().all(|run| run.parent_span_id == bulk));
}

#[tokio::test]
async fn a_job_without_a_trace_or_with_a_broken_one_begins_its_own() {
    let (exporter, _provider, _guard) = keep_spans();
    let client = probe::client(&shared_redis().await.unwrap()).await;
    client.push(Second).await.unwrap();
    let lane = client.keys(QUEUE).ready(Lane::Normal);
    let mut conn = client.connection().await.unwrap();
    let broken = ["*", "kind", "second", "body", "null", "tp", "no traceparent"];
    redis::cmd("XADD").arg(lane).arg(&broken).exec_async(&mut conn).await.unwrap();
    run(&client, 2).await;
    let spans = exporter.get_finished_spans().unwrap();
    let runs: Vec<_> = spans.iter().filter(|span| span.name == "job second").collect();
    assert_eq!(runs.len(), 2);
    assert!(runs.iter().all(|run| run.parent_span_id == opentelemetry::trace::SpanId::INVALID));
    assert_ne!(runs[0].span_context.trace_id(), runs[1].span_context.trace_id());
}

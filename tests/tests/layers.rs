//! Layers around handlers: the built-in ones, and those of an application.

#![allow(clippy::unwrap_used, reason = "a test fails where it stands")]

mod probe;

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use millstream_queue::{Client, Job, Outcome, State};
use millstream_tests::shared_redis;
use millstream_worker::{self as worker, Call, Context, Failure, Returned, Route, Worker, layers};
use probe::{Outcomes, QUEUE};
use serde::{Deserialize, Serialize};
use tokio::sync::oneshot;
use tower::{Layer, Service, layer::layer_fn, limit::ConcurrencyLimitLayer, service_fn};
use tracing::field::{Field, Visit};
use tracing_subscriber::layer::SubscriberExt;

/// What layers and handlers did, in order.
type Diary = Arc<Mutex<Vec<String>>>;

#[derive(Clone, Serialize, Deserialize)]
struct Left {
    number: u32,
}
impl Job for Left {
    const KIND: &'static str = "left";
    const QUEUE: &'static str = QUEUE;
    const ATTEMPTS: u32 = 1;
    const TIMEOUT: Duration = Duration::from_millis(300);
}

#[derive(Serialize, Deserialize)]
struct Right;
impl Job for Right {
    const KIND: &'static str = "right";
    const QUEUE: &'static str = QUEUE;
    const ATTEMPTS: u32 = 1;
}

async fn left(job: Left, cx: Context<Diary>) -> worker::Result<u32> {
    cx.app.lock().unwrap().push("left".to_owned());
    Ok(job.number)
}

async fn right(_: Right, cx: Context<Diary>) -> worker::Result {
    cx.app.lock().unwrap().push("right".to_owned());
    Ok(())
}

/// A layer that does `before` to each call, and answers in the handler's place if that returns something.
fn ahead<F, S>(before: F) -> impl Layer<Route<S>, Service = Route<S>>
where
    F: Fn(&Call<S>) -> Option<worker::Result<Returned>> + Clone + Send + Sync + 'static,
    S: Send + Sync + 'static,
{
    layer_fn(move |inner: Route<S>| {
        let before = before.clone();
        Route::of(service_fn(move |call: Call<S>| {
            let (before, mut inner) = (before.clone(), inner.clone());
            async move {
                match before(&call) {
                    Some(answer) => answer,
                    None => inner.call(call).await,
                }
            }
        }))
    })
}

fn note(word: &'static str) -> impl Layer<Route<Diary>, Service = Route<Diary>> {
    ahead(move |call: &Call<Diary>| {
        call.cx.app.lock().unwrap().push(word.to_owned());
        None
    })
}

async fn new_client() -> Client {
    probe::client(&shared_redis().await.unwrap()).await
}

/// Runs a worker until as many outcomes are there.
async fn run<S: Send + Sync + 'static>(client: &Client, worker: Worker<S>, count: usize) -> Vec<Outcome> {
    let (stop, stopped) = oneshot::channel::<()>();
    let running = tokio::spawn(worker.lease(probe::LEASE).run_until(stopped));
    let mut outcomes = Outcomes::of(client);
    let mut all = Vec::new();
    while all.len() < count {
        all.push(outcomes.next().await);
    }
    drop(stop);
    running.await.unwrap().unwrap();
    all
}

#[tokio::test]
async fn the_last_layer_is_the_outermost_and_all_handlers_are_inside() {
    let client = new_client().await;
    client.push(Left { number: 7 }).await.unwrap();
    let diary = Diary::default();
    let worker = Worker::new(client.clone(), diary.clone())
        .layer(note("inner"))
        .handle(left)
        .handle_with(right, note("only right"))
        .layer(note("outer"));
    let outcomes = run(&client, worker, 1).await;
    assert_eq!((outcomes[0].state, outcomes[0].result.as_deref()), (State::Completed, Some(&b"7"[..])));
    assert_eq!(*diary.lock().unwrap(), ["outer", "inner", "left"]);
}

#[tokio::test]
async fn a_layer_of_one_handler_is_inside_those_of_all() {
    let client = new_client().await;
    client.push(Right).await.unwrap();
    let diary = Diary::default();
    let worker = Worker::new(client.clone(), diary.clone())
        .handle(left)
        .handle_with(right, note("only right"))
        .layer(note("outer"));
    run(&client, worker, 1).await;
    assert_eq!(*diary.lock().unwrap(), ["outer", "only right", "right"]);
}

#[tokio::test]
async fn a_layer_sees_the_call_and_may_answer_in_the_handlers_place() {
    let client = new_client().await;
    let id = client.push(Left { number: 7 }).await.unwrap();
    let saw = Arc::new(Mutex::new(None));
    let seeing = saw.clone();
    let answers = ahead(move |call: &Call<Diary>| {
        let payload = String::from_utf8(call.payload().to_vec()).unwrap();
        let facts = (call.kind().to_owned(), call.cx.id(), call.cx.attempt(), call.lane().as_str(), payload);
        *seeing.lock().unwrap() = Some(facts);
        assert!((chrono::Utc::now() - call.ready_at()).num_seconds().abs() < 60);
        Some(Returned::new(&"as before"))
    });
    let diary = Diary::default();
    let outcomes = run(&client, Worker::new(client.clone(), diary.clone()).handle(left).layer(answers), 1).await;
    assert_eq!(outcomes[0].result.as_deref(), Some(&br#""as before""#[..]));
    let seen = saw.lock().unwrap().take();
    assert_eq!(seen, Some(("left".to_owned(), id, 1, "normal", r#"{"number":7}"#.to_owned())));
    assert!(diary.lock().unwrap().is_empty(), "the handler ran");
}

#[tokio::test]
async fn a_failure_of_a_layer_is_that_of_the_job() {
    let client = new_client().await;
    client.push(Right).await.unwrap();
    let refuses = ahead(|_: &Call<Diary>| Some(Err(Failure::cancel("not on a Sunday"))));
    let outcomes = run(&client, Worker::new(client.clone(), Diary::default()).handle(right).layer(refuses), 1).await;
    assert_eq!((outcomes[0].state, outcomes[0].error.as_deref()), (State::Cancelled, Some("not on a Sunday")));
}

#[tokio::test]
async fn a_limit_in_a_layer_is_one_over_all_handlers() {
    #[derive(Default)]
    struct Load {
        now: AtomicUsize,
        most: AtomicUsize,
    }
    async fn work(load: &Load) {
        let now = load.now.fetch_add(1, Ordering::SeqCst) + 1;
        load.most.fetch_max(now, Ordering::SeqCst);
        tokio::time::sleep(Duration::from_millis(2)).await;
        load.now.fetch_sub(1, Ordering::SeqCst);
    }
    let client = new_client().await;
    client.push_all((0..10).map(|number| Left { number })).await.unwrap();
    client.push_all((0..10).map(|_| Right)).await.unwrap();
    let load = Arc::new(Load::default());
    let worker = Worker::new(client.clone(), load.clone())
        .handle(async |_: Left, cx: Context<Arc<Load>>| -> worker::Result {
            work(&cx.app).await;
            Ok(())
        })
        .handle(async |_: Right, cx: Context<Arc<Load>>| -> worker::Result {
            work(&cx.app).await;
            Ok(())
        })
        .layer(ConcurrencyLimitLayer::new(2));
    let outcomes = run(&client, worker, 20).await;
    assert_eq!(probe::count(&outcomes, State::Completed), 20);
    assert_eq!(load.most.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn a_panic_of_a_layer_is_a_failed_attempt() {
    let client = new_client().await;
    client.push(Right).await.unwrap();
    let panics = ahead(|_: &Call<Diary>| panic!("a layer's own"));
    let outcomes = run(&client, Worker::new(client.clone(), Diary::default()).handle(right).layer(panics), 1).await;
    assert_eq!(outcomes[0].error.as_deref(), Some("the handler panicked: a layer's own"));
}

#[tokio::test]
async fn a_layer_that_waits_is_cut_off_at_the_jobs_time_out() {
    let client = new_client().await;
    client.push(Left { number: 0 }).await.unwrap();
    let waits = layer_fn(|_: Route<Diary>| {
        service_fn(|_: Call<Diary>| std::future::pending::<Result<Returned, std::convert::Infallible>>())
    });
    let outcomes = run(&client, Worker::new(client.clone(), Diary::default()).handle(left).layer(waits), 1).await;
    assert_eq!(outcomes[0].error.as_deref(), Some("timed out after 300ms"));
}

#[tokio::test]
async fn a_layer_around_another_catch_panic_sees_panics_as_failures() {
    let client = new_client().await;
    client.push(Right).await.unwrap();
    let diary = Diary::default();
    let panics = async |_: Right, _: Context<Diary>| -> worker::Result { panic!("out of paper") };
    let listens = layer_fn(|inner| {
        service_fn(move |call: Call<Diary>| {
            let mut inner: layers::Catching<Route<Diary>> = Clone::clone(&inner);
            async move {
                let diary = call.cx.app.clone();
                let ended = inner.call(call).await;
                diary.lock().unwrap().extend(ended.as_ref().err().map(ToString::to_string));
                ended
            }
        })
    });
    let stack = tower::ServiceBuilder::new().layer(listens).layer(layers::CatchPanic);
    run(&client, Worker::new(client.clone(), diary.clone()).handle(panics).layer(stack), 1).await;
    assert_eq!(*diary.lock().unwrap(), ["the handler panicked: out of paper"]);
}

/// The fields of the spans named `job`, as they are made.
#[derive(Clone, Default)]
struct Spans(Diary);

impl<S: tracing::Subscriber> tracing_subscriber::Layer<S> for Spans {
    fn on_new_span(
        &self,
        span: &tracing::span::Attributes<'_>,
        _: &tracing::span::Id,
        _: tracing_subscriber::layer::Context<'_, S>,
    ) {
        struct Text(String);
        impl Visit for Text {
            fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
                self.0 += &format!(" {field}={value:?}");
            }
        }
        let mut text = Text(format!("{} {}", span.metadata().target(), span.metadata().name()));
        span.record(&mut text);
        self.0.lock().unwrap().push(text.0);
    }
}

#[tokio::test]
async fn every_run_has_a_span_with_the_facts_of_the_job() {
    let spans = Spans::default();
    let _guard = tracing::subscriber::set_default(tracing_subscriber::registry().with(spans.clone()));
    let client = new_client().await;
    let id = client.push(Left { number: 7 }).await.unwrap();
    run(&client, Worker::new(client.clone(), Diary::default()).handle(left), 1).await;
    let facts = format!(r#" kind="left" id={id} queue="{QUEUE}" lane="normal" attempt=1 run=1"#);
    let spans = spans.0.lock().unwrap();
    let is_wanted = |span: &String| span.starts_with("millstream::job job ") && span.ends_with(&facts);
    assert!(spans.iter().any(is_wanted), "{facts} are not those of {spans:?}");
}

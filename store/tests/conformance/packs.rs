//! Outcomes and packs as workers make them.

use std::time::Duration;

use millstream_queue::{Client, Lane, Outcome, State};
use millstream_store::{Recorder, Store};
use millstream_tests::{namespace, shared_redis};
use tokio::{sync::oneshot, task::JoinHandle};
use uuid::Uuid;

/// Noon of 2026-01-01 in Unix microseconds.
pub(crate) const NOON: i64 = 1_767_268_800_000_000;

/// The first run of a job, completed a second after noon.
pub(crate) fn outcome(id: u128) -> Outcome {
    Outcome {
        id: Uuid::from_u128(id),
        kind: "resize".into(),
        lane: Lane::Normal,
        version: 1,
        run: 1,
        attempt: 1,
        crash: 0,
        state: State::Completed,
        enqueued_ms: NOON / 1000,
        started_us: Some(NOON + 500_000),
        finished_us: NOON + 1_000_000,
        worker: "w1".into(),
        error: None,
        payload: Some(br#"{"photo":7}"#.to_vec()),
        content_type: None,
        result: None,
        next_ms: None,
        tags: Vec::new(),
        traceparent: None,
        log: None,
        progress: None,
        of: None,
        ready_ms: None,
    }
}

/// A run of the job, a second long, that ended in `state`.
pub(crate) fn run(id: u128, run: u32, state: State) -> Outcome {
    let start = NOON + i64::from(run) * 60_000_000;
    Outcome {
        run,
        attempt: run,
        state,
        started_us: Some(start),
        finished_us: start + 1_000_000,
        error: (state != State::Completed).then(|| format!("run {run} went wrong")),
        ..outcome(id)
    }
}

/// A namespace of a Redis with one recorded queue, `photos`.
pub(crate) struct Queue {
    pub(crate) client: Client,
}

impl Queue {
    pub(crate) async fn new() -> Self {
        Self::on(&shared_redis().await.expect("a Redis")).await
    }

    pub(crate) async fn on(url: &str) -> Self {
        let client = Client::builder(url).namespace(namespace()).await.expect("a client");
        client.record("photos").await.expect("registered");
        Self { client }
    }

    /// Appends one pack, as a finish does, and returns its id.
    pub(crate) async fn finish(&self, outcomes: &[Outcome]) -> String {
        let mut pack = Vec::new();
        outcomes.iter().for_each(|outcome| outcome.pack_into(&mut pack));
        self.append(outcomes.len(), &pack).await
    }

    pub(crate) async fn append(&self, count: usize, pack: &[u8]) -> String {
        let keys = self.client.keys("photos");
        let mut conn = self.client.connection().await.expect("a connection");
        let (id, _, _): (String, i64, i64) = redis::pipe()
            .atomic()
            .cmd("XADD")
            .arg(keys.done())
            .arg("*")
            .arg("n")
            .arg(count)
            .arg("b")
            .arg(pack)
            .cmd("HINCRBY")
            .arg(keys.control())
            .arg("done:outcomes")
            .arg(count)
            .cmd("HINCRBY")
            .arg(keys.control())
            .arg("done:bytes")
            .arg(pack.len())
            .query_async(&mut conn)
            .await
            .expect("appended");
        id
    }

    /// Packs that are not recorded yet.
    pub(crate) async fn packs(&self) -> u64 {
        let mut conn = self.client.connection().await.expect("a connection");
        let done = self.client.keys("photos").done();
        redis::cmd("XLEN").arg(done).query_async(&mut conn).await.expect("a length")
    }

    /// Outcomes and bytes that are not recorded yet, as the queue counts them.
    pub(crate) async fn counters(&self) -> (i64, i64) {
        let mut conn = self.client.connection().await.expect("a connection");
        let control = self.client.keys("photos").control();
        let fields = ["done:outcomes", "done:bytes"];
        redis::cmd("HMGET").arg(control).arg(&fields).query_async(&mut conn).await.expect("counters")
    }

    /// Until everything is recorded.
    pub(crate) async fn drained(&self) {
        until(async || self.packs().await == 0).await;
    }

    /// Records everything there is.
    pub(crate) async fn record_into(&self, store: &Store) {
        let recording = self.recorder(store).await;
        self.drained().await;
        recording.stop().await;
    }

    /// A recorder that runs until stopped.
    pub(crate) async fn recorder(&self, store: &Store) -> Recording {
        Recording::start(Recorder::new(self.client.clone(), store.clone())).await
    }
}

/// A running recorder.
pub(crate) struct Recording {
    stop: oneshot::Sender<()>,
    task: JoinHandle<Result<(), millstream_store::Error>>,
}

impl Recording {
    pub(crate) async fn start(recorder: Recorder) -> Self {
        let (stop, stopped) = oneshot::channel();
        let shutdown = async move {
            stopped.await.ok();
        };
        Self { stop, task: tokio::spawn(recorder.run_until(shutdown)) }
    }

    pub(crate) async fn stop(self) {
        self.stop.send(()).ok();
        self.task.await.expect("no panic").expect("recorded");
    }

    /// Ends it like a crash: nothing is finished or handed back by its owner.
    pub(crate) fn abort(self) {
        self.task.abort();
    }
}

/// Looks until it holds; a test that waits for more than 30 s has failed.
pub(crate) async fn until(holds: impl AsyncFn() -> bool) {
    let waiting = async {
        while !holds().await {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), waiting).await.expect("it holds within 30 s");
}

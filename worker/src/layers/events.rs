//! Events about each run, from its start to its end.

use std::{
    pin::Pin,
    sync::Arc,
    task::{self, Poll, ready},
    time::Instant,
};

use millstream_queue::Entry;
use pin_project_lite::pin_project;
use tower_layer::Layer;
use tower_service::Service;

use crate::{Call, clock::now_us, engine::Lease, events};

/// Tells of each run by the events `job.started` and `job.ended`, if anybody listens.
#[derive(Clone, Copy, Debug, Default)]
pub struct Events;

impl<Svc> Layer<Svc> for Events {
    type Service = Telling<Svc>;

    fn layer(&self, inner: Svc) -> Telling<Svc> {
        Telling { inner }
    }
}

/// The service of [`Events`].
#[derive(Clone, Debug)]
pub struct Telling<Svc> {
    inner: Svc,
}

impl<S, Svc> Service<Call<S>> for Telling<Svc>
where
    Svc: Service<Call<S>>,
{
    type Response = Svc::Response;
    type Error = Svc::Error;
    type Future = TellingFuture<Svc::Future>;

    fn poll_ready(&mut self, task: &mut task::Context<'_>) -> Poll<Result<(), Svc::Error>> {
        self.inner.poll_ready(task)
    }

    fn call(&mut self, call: Call<S>) -> Self::Future {
        let run = events::of_jobs_are_heard().then(|| Run::start(&call));
        TellingFuture { running: self.inner.call(call), run }
    }
}

pin_project! {
    /// The future of [`Events`].
    pub struct TellingFuture<F> {
        #[pin]
        running: F,
        run: Option<Run>,
    }
}

impl<F, T, E> Future for TellingFuture<F>
where
    F: Future<Output = Result<T, E>>,
{
    type Output = Result<T, E>;

    fn poll(self: Pin<&mut Self>, task: &mut task::Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let ended = ready!(this.running.poll(task));
        if let Some(mut run) = this.run.take() {
            run.how = if ended.is_ok() { "returned" } else { "failed" };
        }
        Poll::Ready(ended)
    }
}

/// A run that was told of. Its drop tells of its end, so that a run that is cut off is not thought to go on.
struct Run {
    entry: Arc<Entry>,
    lease: Arc<Lease>,
    start: Instant,
    how: &'static str,
}

impl Run {
    fn start<S>(call: &Call<S>) -> Self {
        let waited_us = now_us().saturating_sub(call.ready_at().timestamp_micros());
        let waited_us = u64::try_from(waited_us).unwrap_or(0); // the server's clock may be ahead
        events::job_started(call.cx.queue(), call.kind(), call.cx.attempt(), call.cx.run(), waited_us);
        let (entry, lease) = (call.entry().clone(), call.cx.lease().clone());
        Self { entry, lease, start: Instant::now(), how: "dropped" }
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        let ran_us = u64::try_from(self.start.elapsed().as_micros()).unwrap_or(u64::MAX);
        events::job_ended(self.lease.queue(), &self.entry.kind, self.how, ran_us);
    }
}

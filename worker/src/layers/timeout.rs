//! The time-out of an attempt.

use std::{
    pin::Pin,
    task::{self, Poll, ready},
};

use pin_project_lite::pin_project;
use tower_layer::Layer;
use tower_service::Service;

use crate::{Call, Failure, engine::Longest};

/// Cuts a run off after the job's time-out, that of its push or its type, or at its deadline, with a [`Failure`] that is retried. It counts
/// from the call of this layer's service, so what inner layers wait for counts too.
#[derive(Clone, Copy, Debug, Default)]
pub struct Timeout;

impl<Svc> Layer<Svc> for Timeout {
    type Service = Limited<Svc>;

    fn layer(&self, inner: Svc) -> Limited<Svc> {
        Limited { inner }
    }
}

/// The service of [`Timeout`].
#[derive(Clone, Debug)]
pub struct Limited<Svc> {
    inner: Svc,
}

impl<S, Svc> Service<Call<S>> for Limited<Svc>
where
    Svc: Service<Call<S>, Error = Failure>,
{
    type Response = Svc::Response;
    type Error = Failure;
    type Future = LimitedFuture<Svc::Future>;

    fn poll_ready(&mut self, task: &mut task::Context<'_>) -> Poll<Result<(), Failure>> {
        self.inner.poll_ready(task)
    }

    fn call(&mut self, call: Call<S>) -> Self::Future {
        let limit = call.cx.longest();
        LimitedFuture { running: tokio::time::timeout(limit.time, self.inner.call(call)), limit }
    }
}

pin_project! {
    /// The future of [`Timeout`].
    pub struct LimitedFuture<F> {
        #[pin]
        running: tokio::time::Timeout<F>,
        limit: Longest,
    }
}

impl<F, T> Future for LimitedFuture<F>
where
    F: Future<Output = Result<T, Failure>>,
{
    type Output = Result<T, Failure>;

    fn poll(self: Pin<&mut Self>, task: &mut task::Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let ended = ready!(this.running.poll(task));
        Poll::Ready(ended.unwrap_or_else(|_| Err(this.limit.exceeded().into())))
    }
}

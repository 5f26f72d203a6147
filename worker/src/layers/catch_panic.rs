//! A panic is a failed attempt, not the end of the task that runs it.

use std::{
    any::Any,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    task::{self, Poll, ready},
};

use pin_project_lite::pin_project;
use tower_layer::Layer;
use tower_service::Service;

use crate::{Call, Failure};

/// Makes a panic a [`Failure`] that is retried and holds the panic's message.
#[derive(Clone, Copy, Debug, Default)]
pub struct CatchPanic;

impl<Svc> Layer<Svc> for CatchPanic {
    type Service = Catching<Svc>;

    fn layer(&self, inner: Svc) -> Catching<Svc> {
        Catching { inner }
    }
}

/// The service of [`CatchPanic`].
#[derive(Clone, Debug)]
pub struct Catching<Svc> {
    inner: Svc,
}

impl<S, Svc> Service<Call<S>> for Catching<Svc>
where
    Svc: Service<Call<S>, Error = Failure>,
{
    type Response = Svc::Response;
    type Error = Failure;
    type Future = CatchingFuture<Svc::Future>;

    fn poll_ready(&mut self, task: &mut task::Context<'_>) -> Poll<Result<(), Failure>> {
        self.inner.poll_ready(task)
    }

    fn call(&mut self, call: Call<S>) -> Self::Future {
        match catch_unwind(AssertUnwindSafe(|| self.inner.call(call))) {
            Ok(running) => CatchingFuture { running: Some(running), panicked: None },
            Err(panic) => CatchingFuture { running: None, panicked: Some(panicked(&*panic)) },
        }
    }
}

pin_project! {
    /// The future of [`CatchPanic`].
    pub struct CatchingFuture<F> {
        #[pin]
        running: Option<F>,
        panicked: Option<Failure>,
    }
}

impl<F, T> Future for CatchingFuture<F>
where
    F: Future<Output = Result<T, Failure>>,
{
    type Output = Result<T, Failure>;

    fn poll(self: Pin<&mut Self>, task: &mut task::Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        let Some(running) = this.running.as_mut().as_pin_mut() else {
            return Poll::Ready(Err(this.panicked.take().unwrap_or_else(|| panicked(&()))));
        };
        match catch_unwind(AssertUnwindSafe(|| running.poll(task))) {
            Ok(polled) => Poll::Ready(ready!(polled)),
            Err(panic) => {
                // What panicked is never polled again, and dropped here: its drop may panic as well.
                let _ = catch_unwind(AssertUnwindSafe(|| this.running.set(None)));
                Poll::Ready(Err(panicked(&*panic)))
            }
        }
    }
}

fn panicked(payload: &(dyn Any + Send)) -> Failure {
    let text = payload.downcast_ref::<&str>().copied();
    let text = text.or_else(|| payload.downcast_ref::<String>().map(String::as_str));
    format!("the handler panicked: {}", text.unwrap_or("without a message")).into()
}

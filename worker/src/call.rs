//! What passes through the layers on its way to a handler, and what comes back.

use std::{pin::Pin, sync::Arc};

use chrono::{DateTime, Utc};
use millstream_queue::{Entry, Lane};
use serde::Serialize;
use tower_service::Service;

use crate::{Context, Failure, Result};

/// One run of a job on its way to its handler: the request of the layers' services.
pub struct Call<S> {
    /// What the handler will be given: the application's state, the client, and the facts of this run.
    pub cx: Context<S>,
    entry: Arc<Entry>,
    lane: Lane,
    ready_ms: u64,
    handler: Route<S>,
}

impl<S> Call<S> {
    /// `ready_ms`: when the job came into its lane.
    pub(crate) fn new(cx: Context<S>, entry: Arc<Entry>, lane: Lane, ready_ms: u64, handler: Route<S>) -> Self {
        Self { cx, entry, lane, ready_ms, handler }
    }

    /// The job type's stable name.
    pub fn kind(&self) -> &str {
        &self.entry.kind
    }

    /// Version of the payload's shape.
    pub fn version(&self) -> u32 {
        self.entry.version
    }

    /// The payload as it was enqueued: JSON unless the entry says otherwise.
    pub fn payload(&self) -> &[u8] {
        &self.entry.body
    }

    /// The lane the job was read from: its priority, or that of the suspects.
    pub fn lane(&self) -> Lane {
        self.lane
    }

    /// When the job came into its lane, on the server's clock: when it was pushed, became due, or was put back.
    pub fn ready_at(&self) -> DateTime<Utc> {
        i64::try_from(self.ready_ms).ok().and_then(DateTime::from_timestamp_millis).unwrap_or_default()
    }

    /// The W3C traceparent under which the job was pushed.
    pub fn traceparent(&self) -> Option<&str> {
        self.entry.traceparent.as_deref()
    }

    pub(crate) fn entry(&self) -> &Arc<Entry> {
        &self.entry
    }
}

impl<S> Clone for Call<S> {
    fn clone(&self) -> Self {
        Self {
            cx: self.cx.clone(),
            entry: self.entry.clone(),
            lane: self.lane,
            ready_ms: self.ready_ms,
            handler: self.handler.clone(),
        }
    }
}

/// What a run returned: the handler's result as JSON, nothing for `()`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Returned {
    json: Option<Vec<u8>>,
}

impl Returned {
    /// A result, for a layer that answers in the handler's place; `()` becomes nothing, as does whatever else is JSON's null.
    ///
    /// # Errors
    /// A failure that is retried, when `result` can't be written as JSON.
    pub fn new<R: Serialize>(result: &R) -> Result<Self> {
        let json =
            serde_json::to_vec(result).map_err(|error| format!("the result can't be written as JSON: {error}"))?;
        Ok(Self { json: (json != b"null").then_some(json) })
    }

    /// The result.
    pub fn json(&self) -> Option<&[u8]> {
        self.json.as_deref()
    }

    pub(crate) fn into_json(self) -> Option<Vec<u8>> {
        self.json
    }
}

/// A handler, or a layer's service, whose type is erased.
type Run<S> = dyn Fn(Call<S>) -> Running + Send + Sync;

/// The future of a [`Route`].
pub type Running = Pin<Box<dyn Future<Output = Result<Returned>> + Send>>;

/// The handlers with the layers around them so far: the service that the next [`layer`](crate::Worker::layer) wraps.
/// Always ready.
pub struct Route<S>(Arc<Run<S>>);

impl<S: Send + Sync + 'static> Route<S> {
    pub(crate) fn new(run: impl Fn(Call<S>) -> Running + Send + Sync + 'static) -> Self {
        Self(Arc::new(run))
    }

    /// Leads each call to the handler of its job.
    pub(crate) fn to_handlers() -> Self {
        Self::new(|call| {
            let handler = call.handler.0.clone();
            handler(call)
        })
    }

    /// Erases the type of a service. Each call gets a clone of its own, whose readiness is awaited in its future.
    pub fn of<Svc>(service: Svc) -> Self
    where
        Svc: Service<Call<S>, Response = Returned> + Clone + Send + Sync + 'static,
        Svc::Error: Into<Failure>,
        Svc::Future: Send,
    {
        Self::new(move |call| {
            let mut service = service.clone();
            Box::pin(async move {
                std::future::poll_fn(|task| service.poll_ready(task)).await.map_err(Into::into)?;
                service.call(call).await.map_err(Into::into)
            })
        })
    }
}

impl<S> Service<Call<S>> for Route<S> {
    type Response = Returned;
    type Error = Failure;
    type Future = Running;

    fn poll_ready(&mut self, _: &mut std::task::Context<'_>) -> std::task::Poll<Result> {
        std::task::Poll::Ready(Ok(()))
    }

    fn call(&mut self, call: Call<S>) -> Running {
        (self.0)(call)
    }
}

impl<S> Clone for Route<S> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

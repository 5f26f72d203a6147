//! The span of a run.

use std::task::{self, Poll};

use tower_layer::Layer;
use tower_service::Service;
use tracing::{Instrument, Span, error_span, instrument::Instrumented};

use crate::Call;

/// Puts each run into a span `job` of the target `millstream::job`, with the fields `kind`, `id`, `queue`, `lane`,
/// `attempt` and `run`. Its level is ERROR, so that whatever a handler logs carries them under any filter.
#[derive(Clone, Copy, Debug, Default)]
pub struct Trace;

impl<Svc> Layer<Svc> for Trace {
    type Service = Traced<Svc>;

    fn layer(&self, inner: Svc) -> Traced<Svc> {
        Traced { inner }
    }
}

/// The service of [`Trace`].
#[derive(Clone, Debug)]
pub struct Traced<Svc> {
    inner: Svc,
}

impl<S, Svc> Service<Call<S>> for Traced<Svc>
where
    Svc: Service<Call<S>>,
{
    type Response = Svc::Response;
    type Error = Svc::Error;
    type Future = Instrumented<Svc::Future>;

    fn poll_ready(&mut self, task: &mut task::Context<'_>) -> Poll<Result<(), Svc::Error>> {
        self.inner.poll_ready(task)
    }

    fn call(&mut self, call: Call<S>) -> Self::Future {
        let span = span(&call);
        let running = span.in_scope(|| self.inner.call(call));
        running.instrument(span)
    }
}

fn span<S>(call: &Call<S>) -> Span {
    error_span!(
        target: "millstream::job",
        "job",
        kind = call.kind(),
        id = %call.cx.id(),
        queue = call.cx.queue(),
        lane = call.lane().as_str(),
        attempt = call.cx.attempt(),
        run = call.cx.run(),
    )
}

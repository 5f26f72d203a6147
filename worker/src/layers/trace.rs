//! The span of a run.

use std::{
    pin::Pin,
    task::{self, Poll, ready},
};

use pin_project_lite::pin_project;
use tower_layer::Layer;
use tower_service::Service;
use tracing::{Instrument, Span, error_span, instrument::Instrumented};

#[cfg(feature = "opentelemetry")]
mod remote;

use crate::{Call, Failure};

/// Puts each run into a span `job` of the target `millstream::job`, with the fields `kind`, `id`, `queue`, `lane`,
/// `attempt` and `run`. Its level is ERROR, so that whatever a handler logs carries them under any filter.
///
/// With the feature `opentelemetry` the span continues the trace in which the job was pushed: its parent is the job's
/// traceparent, which a push takes from the span around it. It is a consumer span named `job <kind>`, with an error as its
/// status where the run failed. The program chooses where spans go, here over OTLP to the collector that
/// `OTEL_EXPORTER_OTLP_ENDPOINT` names (by default the one on this machine):
///
/// ```no_run
/// use opentelemetry::trace::TracerProvider;
/// use opentelemetry_sdk::{Resource, trace::SdkTracerProvider};
/// use tracing_subscriber::{Layer, filter::LevelFilter, layer::SubscriberExt, util::SubscriberInitExt};
///
/// # fn example() -> Result<(), Box<dyn std::error::Error>> {
/// let provider = SdkTracerProvider::builder()
///     .with_batch_exporter(opentelemetry_otlp::SpanExporter::builder().with_tonic().build()?)
///     .with_resource(Resource::builder().with_service_name("mailer").build())
///     .build();
/// tracing_subscriber::registry()
///     .with(tracing_subscriber::fmt::layer().with_filter(LevelFilter::INFO))
///     .with(tracing_opentelemetry::layer().with_tracer(provider.tracer("mailer")).with_filter(LevelFilter::INFO))
///     .init();
/// // … run the worker …
/// provider.shutdown()?; // sends what is left
/// # Ok(())
/// # }
/// ```
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
    Svc: Service<Call<S>, Error = Failure>,
{
    type Response = Svc::Response;
    type Error = Failure;
    type Future = TracedFuture<Svc::Future>;

    fn poll_ready(&mut self, task: &mut task::Context<'_>) -> Poll<Result<(), Failure>> {
        self.inner.poll_ready(task)
    }

    fn call(&mut self, call: Call<S>) -> Self::Future {
        let span = span(&call);
        #[cfg(feature = "opentelemetry")]
        remote::follow(&span, call.traceparent());
        let running = span.in_scope(|| self.inner.call(call));
        TracedFuture { running: running.instrument(span) }
    }
}

pin_project! {
    /// The future of [`Trace`].
    pub struct TracedFuture<F> {
        #[pin]
        running: Instrumented<F>,
    }
}

impl<F, T> Future for TracedFuture<F>
where
    F: Future<Output = Result<T, Failure>>,
{
    type Output = Result<T, Failure>;

    fn poll(self: Pin<&mut Self>, task: &mut task::Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        let ended = ready!(this.running.as_mut().poll(task));
        #[cfg(feature = "opentelemetry")]
        if let Err(failure) = &ended {
            remote::failed(this.running.span(), failure);
        }
        Poll::Ready(ended)
    }
}

#[cfg(feature = "opentelemetry")]
fn span<S>(call: &Call<S>) -> Span {
    error_span!(
        target: "millstream::job",
        "job",
        otel.name = format!("job {}", call.kind()),
        otel.kind = "consumer",
        kind = call.kind(),
        id = %call.cx.id(),
        queue = call.cx.queue(),
        lane = call.lane().as_str(),
        attempt = call.cx.attempt(),
        run = call.cx.run(),
    )
}

#[cfg(not(feature = "opentelemetry"))]
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

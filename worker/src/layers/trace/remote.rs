//! The span of a run as part of the trace in which its job was pushed.

use opentelemetry::{
    Context,
    trace::{SpanContext, SpanId, Status, TraceContextExt, TraceFlags, TraceId, TraceState},
};
use tracing::Span;
use tracing_opentelemetry::OpenTelemetrySpanExt;

use crate::Failure;

/// Makes the job's traceparent the span's parent. Without one, or with one that can't be read, a trace begins here.
pub(super) fn follow(span: &Span, traceparent: Option<&str>) {
    if let Some(parent) = traceparent.and_then(parse) {
        // Refused where no OpenTelemetry layer is installed, or it does not want the span.
        let _ = span.set_parent(Context::new().with_remote_span_context(parent));
    }
}

/// Notes that the run failed.
pub(super) fn failed(span: &Span, failure: &Failure) {
    if !span.is_disabled() {
        span.set_status(Status::error(failure.to_string()));
    }
}

/// Reads `<version>-<trace>-<parent>-<flags>`; a later version may say more behind the flags.
fn parse(traceparent: &str) -> Option<SpanContext> {
    let mut parts = traceparent.split('-');
    let (_version, trace, parent, flags) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    let is_sampled = u8::from_str_radix(flags, 16).ok()? & 1 == 1;
    let flags = TraceFlags::default().with_sampled(is_sampled);
    let (trace, parent) = (TraceId::from_hex(trace).ok()?, SpanId::from_hex(parent).ok()?);
    let context = SpanContext::new(trace, parent, flags, true, TraceState::default());
    context.is_valid().then_some(context)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_traceparent_is_read_and_what_is_none_is_left_alone() {
        let context = parse("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01").expect("a traceparent");
        assert_eq!(context.trace_id().to_string(), "4bf92f3577b34da6a3ce929d0e0e4736");
        assert_eq!(context.span_id().to_string(), "00f067aa0ba902b7");
        assert!(context.is_sampled() && context.is_remote());
        let unsampled = parse("cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00-later").expect("a traceparent");
        assert!(!unsampled.is_sampled());
        for none in ["", "00-1", "hello", "00-0-0-01", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-xx"] {
            assert!(parse(none).is_none(), "{none}");
        }
    }
}

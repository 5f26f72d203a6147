//! The trace that a job belongs to, as a W3C traceparent.

use crate::Error;

/// The traceparent of the current span, and so of what is pushed inside of it; none where spans are not traced: outside of
/// one, without an OpenTelemetry layer, or without the feature `opentelemetry`.
#[cfg(feature = "opentelemetry")]
pub fn current_traceparent() -> Option<String> {
    use opentelemetry::{Context, trace::TraceContextExt};
    use tracing_opentelemetry::OpenTelemetrySpanExt;

    let mut context = tracing::Span::current().context();
    if !context.has_active_span() {
        context = Context::current(); // of a program that uses OpenTelemetry's own spans
    }
    let span = context.span();
    let span = span.span_context();
    let flags = span.trace_flags().to_u8() & 1; // the one that says whether the trace is kept
    span.is_valid().then(|| format!("00-{}-{}-{flags:02x}", span.trace_id(), span.span_id()))
}

/// The traceparent of the current span, and so of what is pushed inside of it: none without the feature `opentelemetry`.
#[cfg(not(feature = "opentelemetry"))]
pub fn current_traceparent() -> Option<String> {
    None
}

/// Gives back a traceparent that is well-formed: `00-<32 hex>-<16 hex>-<2 hex>`, or a later version's, which may go on
/// behind another hyphen.
pub(crate) fn check(value: String) -> Result<String, Error> {
    let rule = match broken_rule(&value) {
        None => return Ok(value),
        Some(rule) => rule,
    };
    Err(Error::Traceparent { value: value.chars().take(100).collect(), rule })
}

fn broken_rule(value: &str) -> Option<&'static str> {
    const SHAPE: &str = "it is <2>-<32>-<16>-<2> digits of lower-case hexadecimal";
    let parts: Vec<&str> = value.split('-').collect();
    let &[version, trace, parent, flags, ref more @ ..] = parts.as_slice() else { return Some(SHAPE) };
    let is_hex = |part: &str, length| {
        part.len() == length && part.bytes().all(|digit| matches!(digit, b'0'..=b'9' | b'a'..=b'f'))
    };
    let is_zero = |part: &str| part.bytes().all(|digit| digit == b'0');
    if ![(version, 2), (trace, 32), (parent, 16), (flags, 2)].iter().all(|(part, length)| is_hex(part, *length)) {
        Some(SHAPE)
    } else if version == "ff" || (version == "00" && !more.is_empty()) {
        Some("version 00 ends with its flags, and version ff is none")
    } else if is_zero(trace) || is_zero(parent) {
        Some("its ids are not all zeros")
    } else if value.len() > 256 || value.chars().any(char::is_control) {
        Some("it has at most 256 bytes without control characters")
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(feature = "opentelemetry")]
    #[test]
    fn the_current_traceparent_is_that_of_the_innermost_span() {
        use opentelemetry::trace::{TraceContextExt, TracerProvider};
        use tracing_opentelemetry::OpenTelemetrySpanExt;
        use tracing_subscriber::layer::SubscriberExt;

        let provider = opentelemetry_sdk::trace::SdkTracerProvider::builder().build();
        let layer = tracing_opentelemetry::layer().with_tracer(provider.tracer("test"));
        let _guard = tracing::subscriber::set_default(tracing_subscriber::registry().with(layer));
        assert_eq!(current_traceparent(), None, "outside of a span");
        let outer = tracing::info_span!("outer").entered();
        let inner = tracing::info_span!("inner").entered();
        let context = inner.context();
        let (span, trace) = (context.span().span_context().span_id(), context.span().span_context().trace_id());
        let traceparent = current_traceparent().expect("inside of a span");
        assert_eq!(traceparent, format!("00-{trace}-{span}-01"));
        assert_eq!(check(traceparent.clone()).expect("well-formed"), traceparent);
        drop(inner);
        assert_ne!(current_traceparent(), Some(traceparent));
        drop(outer);
    }

    #[test]
    fn a_traceparent_is_held_against_the_standard() {
        let good = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        assert_eq!(check(good.to_owned()).expect("well-formed"), good);
        assert!(check(format!("01{}-more-of-it", &good[2..])).is_ok(), "a later version may say more");
        let bad = [
            "",
            "hello",
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7",
        ];
        for value in bad {
            assert!(matches!(check(value.to_owned()), Err(Error::Traceparent { .. })), "{value}");
        }
    }
}

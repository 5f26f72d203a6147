//! Prometheus' text format, version 0.0.4.

use std::fmt::{Display, Write};

use crate::Histogram;

/// A page that grows metric by metric. Writing to a `String` doesn't fail.
#[derive(Default)]
pub(crate) struct Page(String);

impl Page {
    /// Begins a metric: its `kind` is `counter`, `gauge` or `histogram`.
    pub(crate) fn head(&mut self, name: &str, kind: &str, help: &str) {
        let _ = writeln!(self.0, "# HELP {name} {help}\n# TYPE {name} {kind}");
    }

    /// A value of it; labels as [`label`] makes them, joined by commas, or none.
    pub(crate) fn value(&mut self, name: &str, labels: &str, value: impl Display) {
        let _ = match labels {
            "" => writeln!(self.0, "{name} {value}"),
            _ => writeln!(self.0, "{name}{{{labels}}} {value}"),
        };
    }

    /// A histogram of durations in seconds, of a metric whose name ends so.
    pub(crate) fn histogram(&mut self, name: &str, labels: &str, histogram: &Histogram) {
        let comma = if labels.is_empty() { "" } else { "," };
        let buckets = histogram.buckets.iter().map(|(bound, count)| (bound.as_secs_f64().to_string(), *count));
        for (bound, count) in buckets.chain([("+Inf".to_owned(), histogram.count)]) {
            self.value(&format!("{name}_bucket"), &format!("{labels}{comma}le=\"{bound}\""), count);
        }
        self.value(&format!("{name}_sum"), labels, histogram.sum.as_secs_f64());
        self.value(&format!("{name}_count"), labels, histogram.count);
    }

    pub(crate) fn into_text(self) -> String {
        self.0
    }
}

/// A label with its value escaped.
pub(crate) fn label(name: &str, value: &str) -> String {
    let value = value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
    format!("{name}=\"{value}\"")
}

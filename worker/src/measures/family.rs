//! A metric and its handles by labels. Handles are kept, for finding one in a recorder takes longer than using it.

use std::{
    collections::HashMap,
    sync::{PoisonError, RwLock},
};

use metrics::{Counter, Gauge, Histogram, Label, Unit};

use super::fields::{Fields, Labels};

/// What a metric is.
pub(super) struct Measure {
    pub(super) name: &'static str,
    /// `Counter`, `Gauge` or `Histogram`.
    pub(super) kind: &'static str,
    #[cfg_attr(not(test), expect(dead_code, reason = "held against the documentation"))]
    pub(super) labels: &'static [&'static str],
    pub(super) unit: Unit,
    pub(super) meaning: &'static str,
}

impl Measure {
    pub(super) fn describe(&self) {
        match self.kind {
            "Counter" => metrics::describe_counter!(self.name, self.unit, self.meaning),
            "Gauge" => metrics::describe_gauge!(self.name, self.unit, self.meaning),
            _ => metrics::describe_histogram!(self.name, self.unit, self.meaning),
        }
    }
}

/// The handles of one metric.
pub(super) struct Family<T> {
    name: &'static str,
    labels: &'static [&'static str],
    handles: RwLock<HashMap<Labels, T>>,
}

impl<T: Handle> Family<T> {
    pub(super) fn new(name: &'static str, labels: &'static [&'static str]) -> Self {
        Self { name, labels, handles: RwLock::default() }
    }

    /// The handle for these values of the labels.
    pub(super) fn with(&self, values: &Labels) -> T {
        if let Some(handle) = self.handles.read().unwrap_or_else(PoisonError::into_inner).get(values) {
            return handle.clone();
        }
        let labels = self.labels.iter().map(|label| Label::new(*label, values.get(label).to_owned())).collect();
        let handle = T::register(self.name, labels);
        self.handles.write().unwrap_or_else(PoisonError::into_inner).insert(values.clone(), handle.clone());
        handle
    }
}

impl Family<Counter> {
    /// Adds the event's count.
    pub(super) fn add(&self, fields: &Fields) {
        self.with(&fields.labels).increment(fields.count);
    }
}

/// Counters, gauges and histograms.
pub(super) trait Handle: Clone {
    fn register(name: &'static str, labels: Vec<Label>) -> Self;
}

impl Handle for Counter {
    fn register(name: &'static str, labels: Vec<Label>) -> Self {
        metrics::counter!(name, labels)
    }
}

impl Handle for Gauge {
    fn register(name: &'static str, labels: Vec<Label>) -> Self {
        metrics::gauge!(name, labels)
    }
}

impl Handle for Histogram {
    fn register(name: &'static str, labels: Vec<Label>) -> Self {
        metrics::histogram!(name, labels)
    }
}

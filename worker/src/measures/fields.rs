//! What the metrics take from an event.

use std::fmt::Debug;

use tracing::{
    Event,
    field::{Field, Visit},
};

/// The values of labels; empty where the event has none.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Labels {
    pub(super) queue: String,
    pub(super) kind: String,
    /// The third label, whatever its name: `how`, `state`, `why` or `loop`.
    pub(super) word: String,
}

impl Labels {
    /// The value of a label by its name.
    pub(super) fn get(&self, label: &str) -> &str {
        match label {
            "queue" => &self.queue,
            "kind" => &self.kind,
            _ => &self.word,
        }
    }

    pub(super) fn without_word(&self) -> Self {
        Self { queue: self.queue.clone(), kind: self.kind.clone(), word: String::new() }
    }
}

/// Labels and numbers of an event.
#[derive(Debug, Default)]
pub(super) struct Fields {
    pub(super) labels: Labels,
    pub(super) count: u64,
    pub(super) seconds: f64,
}

impl Fields {
    pub(super) fn of(event: &Event<'_>) -> Self {
        let mut fields = Self::default();
        event.record(&mut fields);
        fields
    }
}

impl Visit for Fields {
    fn record_str(&mut self, field: &Field, value: &str) {
        match field.name() {
            "queue" => value.clone_into(&mut self.labels.queue),
            "kind" => value.clone_into(&mut self.labels.kind),
            "how" | "state" | "loop_name" => value.clone_into(&mut self.labels.word),
            _ => {}
        }
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        match field.name() {
            "jobs" | "consumers" => self.count = value,
            "wait_us" | "run_us" | "took_us" => self.seconds = value as f64 / 1e6,
            _ => {}
        }
    }

    fn record_debug(&mut self, _: &Field, _: &dyn Debug) {}
}

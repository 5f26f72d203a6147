//! The figures there are, in the order of the table, each with what it has to reach; one without is only told.

use serde::Serialize;

/// What a figure has to reach: its ratio to the limit, or its value where it has no limit.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Target {
    AtLeast(f64),
    AtMost(f64),
}
use Target::{AtLeast, AtMost};

pub(crate) const FIGURES: [(&str, Option<Target>); 25] = [
    ("enqueue.bulk", Some(AtLeast(0.85))),
    ("enqueue.single", Some(AtLeast(0.8))),
    ("drain.noop", Some(AtLeast(0.75))),
    ("drain.backlog", Some(AtLeast(0.95))),
    ("drain.delayed_beside", Some(AtLeast(0.95))),
    ("latency.p50", Some(AtMost(1.5))),
    ("latency.p99", Some(AtMost(2.0))),
    ("memory.queued", Some(AtMost(1.3))),
    ("memory.after_drain", Some(AtMost(2.0))),
    ("worker.rss", Some(AtMost(64.0))),
    ("push_all.rss", Some(AtMost(32.0))),
    ("idle.cpu", Some(AtMost(0.5))),
    ("idle.commands", Some(AtMost(40.0))),
    ("promote.due", Some(AtLeast(50_000.0))),
    ("pool.checkout", Some(AtMost(1.2))),
    ("crud.get", Some(AtLeast(0.9))),
    ("crud.insert_many", Some(AtLeast(0.9))),
    ("crud.page", Some(AtMost(1.5))),
    ("record.postgres", Some(AtLeast(0.8))),
    ("record.copy", None),
    ("record.sqlite", Some(AtLeast(0.8))),
    ("record.lag", Some(AtMost(20.0))),
    ("history.page", Some(AtMost(2.0))),
    ("outbox.push", Some(AtLeast(0.8))),
    ("outbox.relay", Some(AtLeast(0.5))),
];

/// Whether there is such a figure.
pub(crate) fn is_known(name: &str) -> bool {
    FIGURES.iter().any(|(known, _)| *known == name)
}

/// All names, for messages.
pub(crate) fn names() -> String {
    FIGURES.map(|(name, _)| name).join(", ")
}

impl Target {
    /// The target of a figure; none where it is only told, or if there is no such figure.
    pub(crate) fn of(name: &str) -> Option<Self> {
        FIGURES.iter().find(|(known, _)| *known == name).and_then(|(_, target)| *target)
    }

    pub(crate) fn is_met(self, reached: f64) -> bool {
        match self {
            AtLeast(least) => reached >= least,
            AtMost(most) => reached <= most,
        }
    }
}

impl std::fmt::Display for Target {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            AtLeast(least) => write!(f, "≥ {least}"),
            AtMost(most) => write!(f, "≤ {most}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_is_met_from_its_side_and_on_the_spot() {
        assert!(AtLeast(0.8).is_met(0.8) && AtLeast(0.8).is_met(2.0) && !AtLeast(0.8).is_met(0.79));
        assert!(AtMost(2.0).is_met(2.0) && AtMost(2.0).is_met(-1.0) && !AtMost(2.0).is_met(2.1));
    }

    #[test]
    fn each_name_has_its_target() {
        assert_eq!(Target::of("latency.p99"), Some(AtMost(2.0)));
        assert_eq!(Target::of("latency.p98"), None);
        assert_eq!(Target::of("record.copy"), None);
        assert!(is_known("record.copy") && !is_known("latency.p98"));
    }
}

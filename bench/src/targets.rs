//! The figures there are, in the order of the table, each with what it has to reach.

use serde::Serialize;

/// What a figure has to reach: its ratio to the limit, or its value where it has no limit.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Target {
    AtLeast(f64),
    AtMost(f64),
}
use Target::{AtLeast, AtMost};

pub(crate) const FIGURES: [(&str, Target); 18] = [
    ("enqueue.bulk", AtLeast(0.85)),
    ("enqueue.single", AtLeast(0.8)),
    ("drain.noop", AtLeast(0.75)),
    ("drain.backlog", AtLeast(0.95)),
    ("drain.delayed_beside", AtLeast(0.95)),
    ("latency.p50", AtMost(1.5)),
    ("latency.p99", AtMost(2.0)),
    ("memory.queued", AtMost(1.3)),
    ("memory.after_drain", AtMost(2.0)),
    ("worker.rss", AtMost(64.0)),
    ("push_all.rss", AtMost(32.0)),
    ("idle.cpu", AtMost(0.5)),
    ("idle.commands", AtMost(40.0)),
    ("promote.due", AtLeast(50_000.0)),
    ("pool.checkout", AtMost(1.2)),
    ("crud.get", AtLeast(0.9)),
    ("crud.insert_many", AtLeast(0.9)),
    ("crud.page", AtMost(1.5)),
];

/// All names, for messages.
pub(crate) fn names() -> String {
    FIGURES.map(|(name, _)| name).join(", ")
}

impl Target {
    /// The target of a figure; none if there is no such figure.
    pub(crate) fn of(name: &str) -> Option<Self> {
        FIGURES.iter().find(|(known, _)| *known == name).map(|(_, target)| *target)
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
    }
}

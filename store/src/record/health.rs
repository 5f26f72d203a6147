//! Whether a recorder keeps up.

use std::time::Duration;

use futures::future::try_join_all;
use millstream_queue::Unrecorded;

use super::{Recorder, progress::Progress};
use crate::{Error, Histogram, prometheus};

/// A Redis that has not answered by then counts as away: less than the 2 seconds that a worker gives its checks.
const PATIENCE: Duration = Duration::from_millis(1500);

/// A handle to a recorder's health, from [`Recorder::health`]: cheap to clone, and of use before, while and after the
/// recorder runs.
#[derive(Clone, Debug)]
pub struct RecorderHealth {
    recorder: Recorder,
}

/// Where a recorder stands in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RecorderPhase {
    /// [`Recorder::run_until`] was not awaited yet.
    NotStarted,
    /// It runs.
    Running,
    /// It was told to stop, and writes what it has read.
    Stopping,
    /// It stopped, or its future was dropped.
    Ended,
}

/// How a recorder is.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct RecorderReport {
    /// Where it stands in its life.
    pub phase: RecorderPhase,
    /// What waits in each of its queues; none while Redis doesn't answer.
    pub unrecorded: Vec<Unrecorded>,
    /// Why writing to SQL fails, while it does. Jobs don't suffer from that as long as what waits is within its bound.
    pub trouble: Option<String>,
    /// Why Redis didn't answer.
    pub redis: Option<String>,
}

impl RecorderHealth {
    pub(super) fn new(recorder: Recorder) -> Self {
        Self { recorder }
    }

    fn progress(&self) -> &Progress {
        &self.recorder.progress
    }

    /// Asks Redis what waits, for 1.5 seconds at most.
    pub async fn report(&self) -> RecorderReport {
        let asked = tokio::time::timeout(PATIENCE, measure(&self.recorder)).await;
        let (unrecorded, redis) = match asked {
            Ok(Ok(unrecorded)) => (unrecorded, None),
            Ok(Err(error)) => (Vec::new(), Some(error.to_string())),
            Err(_) => (Vec::new(), Some(format!("no answer within {PATIENCE:?}"))),
        };
        RecorderReport { phase: self.progress().phase(), unrecorded, trouble: self.progress().trouble(), redis }
    }

    /// [`RecorderHealth::report`] as a check, such as one of a worker's health.
    ///
    /// # Errors
    /// [`Error::Unhealthy`] with all that needs attention.
    pub async fn check(&self) -> Result<(), Error> {
        let problems = self.report().await.problems();
        if problems.is_empty() { Ok(()) } else { Err(Error::Unhealthy { problems: problems.join("; ") }) }
    }

    /// What the recorder did so far, and what waited when it last looked.
    pub fn metrics(&self) -> RecorderMetrics {
        let [outcomes, packs, rejected, pruned_jobs] = self.progress().counts();
        let (write_time, unrecorded) = (self.progress().writes(), self.progress().unrecorded());
        RecorderMetrics { outcomes, packs, rejected, pruned_jobs, write_time, unrecorded }
    }
}

impl RecorderReport {
    /// Whether it runs, Redis answers, and no queue has half of the outcomes waiting that may wait.
    pub fn is_healthy(&self) -> bool {
        self.problems().is_empty()
    }

    /// What needs attention, one sentence each.
    pub fn problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        match self.phase {
            RecorderPhase::NotStarted => problems.push("the recorder has not started".to_owned()),
            RecorderPhase::Ended => problems.push("the recorder has ended".to_owned()),
            RecorderPhase::Running | RecorderPhase::Stopping => {}
        }
        problems.extend(self.redis.iter().map(|error| format!("Redis: {error}")));
        let why = self.trouble.as_ref().map_or_else(String::new, |error| format!(", because writing fails: {error}"));
        problems.extend(self.unrecorded.iter().filter(|queue| queue.is_high()).map(|queue| {
            let Unrecorded { queue, outcomes, limit, .. } = queue;
            format!("{outcomes} outcomes of the queue {queue:?} wait, of at most {limit}{why}")
        }));
        problems
    }
}

/// What waits in all queues of the recorder.
pub(super) async fn measure(recorder: &Recorder) -> Result<Vec<Unrecorded>, Error> {
    let queues = recorder.known_queues().await?;
    Ok(try_join_all(queues.iter().map(|queue| recorder.client.unrecorded(queue))).await?)
}

/// A recorder's numbers at one moment. Counters begin with the recorder.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct RecorderMetrics {
    /// Outcomes written, those delivered again included.
    pub outcomes: u64,
    /// Packs they came in.
    pub packs: u64,
    /// Packs and outcomes set aside; see [`Store::rejected`](crate::Store::rejected).
    pub rejected: u64,
    /// Jobs deleted by [retention](crate::Retention).
    pub pruned_jobs: u64,
    /// How long writing a batch took, further tries included.
    pub write_time: Histogram,
    /// What waited in each queue, at most 5 seconds ago.
    pub unrecorded: Vec<Unrecorded>,
}

impl RecorderMetrics {
    /// The same in Prometheus' text format; `OBSERVE.md` lists the names.
    #[must_use]
    pub fn to_prometheus(&self) -> String {
        let mut page = prometheus::Page::default();
        for (name, help, value) in [
            ("outcomes_total", "Outcomes written.", self.outcomes),
            ("packs_total", "Packs they came in.", self.packs),
            ("rejected_total", "Packs and outcomes set aside.", self.rejected),
            ("pruned_jobs_total", "Jobs deleted by retention.", self.pruned_jobs),
        ] {
            let name = format!("millstream_recorder_{name}");
            page.head(&name, "counter", help);
            page.value(&name, "", value);
        }
        let name = "millstream_recorder_write_seconds";
        page.head(name, "histogram", "How long writing a batch took, further tries included.");
        page.histogram(name, "", &self.write_time);
        for (name, kind, help, value) in WAITING {
            let name = format!("millstream_unrecorded_{name}");
            page.head(&name, kind, help);
            for queue in &self.unrecorded {
                page.value(&name, &prometheus::label("queue", &queue.queue), value(queue));
            }
        }
        page.into_text()
    }
}

type Waiting = (&'static str, &'static str, &'static str, fn(&Unrecorded) -> f64);

const WAITING: [Waiting; 5] = [
    ("outcomes", "gauge", "Outcomes that wait for a recorder.", |queue| queue.outcomes as f64),
    ("bytes", "gauge", "Their bytes.", |queue| queue.bytes as f64),
    ("limit", "gauge", "Outcomes that may wait.", |queue| queue.limit as f64),
    ("oldest_seconds", "gauge", "For how long the oldest has waited.", |queue| {
        queue.oldest.unwrap_or_default().as_secs_f64()
    }),
    ("dropped_total", "counter", "Outcomes that were dropped because more would have waited.", |queue| {
        queue.dropped as f64
    }),
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pool::Durations;

    #[test]
    fn the_document_lists_exactly_the_metrics_on_the_page() {
        let unrecorded = Vec::new();
        let write_time = Durations::default().snapshot();
        let page = RecorderMetrics { outcomes: 0, packs: 0, rejected: 0, pruned_jobs: 0, write_time, unrecorded };
        let page = page.to_prometheus();
        let mut told: Vec<[&str; 2]> = Vec::new();
        for line in page.lines().filter_map(|line| line.strip_prefix("# TYPE ")) {
            let (name, kind) = line.split_once(' ').expect("name and type");
            told.push([name, kind]);
        }
        let table = include_str!("../../OBSERVE.md").lines().filter(|line| line.starts_with("| `millstream_"));
        let documented: Vec<[&str; 2]> = table
            .map(|line| {
                let mut cells = line.split('|').map(|cell| cell.trim().trim_matches('`')).skip(1);
                [cells.next().expect("a name"), cells.next().expect("a type")]
            })
            .collect();
        assert_eq!(documented, told);
    }
}

//! What a recorder does beside recording: a table of (interval, task), one after the other.

use std::time::{Duration, Instant};

use chrono::Utc;
use tokio_util::sync::CancellationToken;

use super::{Recorder, health::measure, trouble::Trouble};
use crate::{Error, events, retention::Pruner, statistics};

#[derive(Clone, Copy)]
enum Task {
    /// Looks at what waits.
    Measure,
    /// Folds statistics, some at once.
    Fold,
    /// Deletes what is too old, a batch at once.
    Prune,
}

/// A line of the table, and when it is due next.
struct Line {
    every: Duration,
    task: Task,
    due: Instant,
    trouble: Trouble,
}

pub(super) struct House {
    recorder: Recorder,
    pruner: Pruner,
}

impl House {
    pub(super) fn new(recorder: Recorder) -> Self {
        let pruner = Pruner::new(recorder.store.clone(), recorder.retention.clone());
        Self { recorder, pruner }
    }

    /// Works through the table until stopped. Stopping cuts a task off, whose statement then runs to its end by itself.
    pub(super) async fn keep(mut self, stop: CancellationToken) {
        let mut table = [
            (Duration::from_secs(5), Task::Measure, "measuring what waits for the recorder"),
            (Duration::from_secs(20), Task::Fold, "folding statistics"),
            (self.recorder.retention.pause(), Task::Prune, "pruning the history"),
        ]
        .map(|(every, task, what)| Line {
            every,
            task,
            due: Instant::now() + every,
            trouble: Trouble::new(what),
        });
        table[0].due = Instant::now();
        while let Some(line) = table.iter_mut().min_by_key(|line| line.due) {
            let work = async {
                tokio::time::sleep_until(line.due.into()).await;
                self.run(line.task).await
            };
            let done = tokio::select! {
                done = work => done,
                () = stop.cancelled() => return,
            };
            let pause = match done {
                Ok(more) => {
                    line.trouble.worked();
                    more.unwrap_or(line.every)
                }
                Err(error) => line.trouble.failed(&error),
            };
            line.due = Instant::now() + pause;
        }
    }

    /// Does the task, or part of it: then it says after which pause it is to go on.
    async fn run(&mut self, task: Task) -> Result<Option<Duration>, Error> {
        let progress = &self.recorder.progress;
        match task {
            Task::Measure => {
                progress.measured(measure(&self.recorder).await?);
                Ok(None)
            }
            Task::Fold => {
                let started = Instant::now();
                let rows = statistics::fold(&self.recorder.store, Utc::now()).await?;
                if rows > 0 {
                    events::statistics_folded(rows);
                }
                Ok((rows > 0).then(|| started.elapsed()))
            }
            Task::Prune => {
                let started = Instant::now();
                let step = self.pruner.step(Utc::now()).await?;
                progress.pruned(&step.pruned, started.elapsed());
                Ok(step.pause)
            }
        }
    }
}

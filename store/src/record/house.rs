//! What a recorder does beside recording: a table of (interval, task). Each goes on whatever holds the others up.

use std::time::{Duration, Instant};

use chrono::Utc;
use futures::future::join_all;
use tokio_util::sync::CancellationToken;

use super::{Recorder, health::measure, trouble::Trouble};
use crate::{Error, events, retention::Pruner, statistics};

enum Task {
    /// Looks at what waits.
    Measure,
    /// Folds statistics, some at once.
    Fold,
    /// Deletes what is too old, a batch at once.
    Prune(Box<Pruner>),
}

/// Keeps house until stopped. Stopping cuts tasks off, whose statements then run to their ends by themselves.
pub(super) async fn keep(recorder: Recorder, stop: CancellationToken) {
    let pruner = Box::new(Pruner::new(recorder.store.clone(), recorder.retention.clone()));
    let table = [
        (Duration::from_secs(5), Task::Measure, "measuring what waits for the recorder"),
        (Duration::from_secs(20), Task::Fold, "folding statistics"),
        (recorder.retention.pause(), Task::Prune(pruner), "pruning the history"),
    ];
    let all = join_all(table.map(|(interval, task, what)| task.repeat(recorder.clone(), interval, what)));
    tokio::select! {
        _ = all => {}
        () = stop.cancelled() => {}
    }
}

impl Task {
    /// Does it again and again, at the shorter pause that it asks for where it has more to do.
    async fn repeat(mut self, recorder: Recorder, interval: Duration, what: &'static str) {
        let mut trouble = Trouble::new(what);
        // What is measured is told from the start; the rest has time.
        let mut pause = if matches!(self, Task::Measure) { Duration::ZERO } else { interval };
        loop {
            tokio::time::sleep(pause).await;
            pause = match self.run(&recorder).await {
                Ok(more) => {
                    trouble.worked();
                    more.unwrap_or(interval)
                }
                Err(error) => trouble.failed(&error),
            };
        }
    }

    /// Does it, or part of it: then it says after which pause it is to go on.
    async fn run(&mut self, recorder: &Recorder) -> Result<Option<Duration>, Error> {
        let started = Instant::now();
        match self {
            Task::Measure => {
                recorder.progress.measured(measure(recorder).await?);
                Ok(None)
            }
            Task::Fold => {
                let rows = statistics::fold(&recorder.store, Utc::now()).await?;
                if rows > 0 {
                    events::statistics_folded(rows);
                }
                Ok((rows > 0).then(|| started.elapsed()))
            }
            Task::Prune(pruner) => {
                let step = pruner.step(Utc::now()).await?;
                recorder.progress.pruned(&step.pruned, started.elapsed());
                Ok(step.pause)
            }
        }
    }
}

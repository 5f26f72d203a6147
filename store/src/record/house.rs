//! What a recorder does beside recording: a table of (interval, task). Each goes on whatever holds the others up.

use std::time::{Duration, Instant};

use chrono::Utc;
use futures::future::join_all;
use tokio_util::sync::CancellationToken;

use super::{Recorder, health::measure, trouble::Trouble};
use crate::{Error, events, reconcile::take_watermarks, retention::Pruner, statistics};

enum Task {
    /// Looks at what waits.
    Measure,
    /// Folds statistics, some at once.
    Fold,
    /// Deletes what is too old, a batch at once.
    Prune(Box<Pruner>),
    /// Deletes what has expired of an application's state.
    PruneState,
    /// Notes how far the queues' streams have come.
    Mark,
}

/// Keeps house until stopped. Stopping cuts tasks off, whose statements then run to their ends by themselves.
pub(super) async fn keep(recorder: Recorder, stop: CancellationToken) {
    let pruner = Box::new(Pruner::new(recorder.store.clone(), recorder.retention.clone()));
    let table = [
        (Duration::from_secs(5), Task::Measure, "measuring what waits for the recorder"),
        (Duration::from_secs(20), Task::Fold, "folding statistics"),
        (recorder.retention.pause(), Task::Prune(pruner), "pruning the history"),
        (Duration::from_secs(60), Task::PruneState, "pruning the state"),
        (Duration::from_secs(10), Task::Mark, "taking watermarks"),
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
        // What is told or seen is so from the start, and a short-lived recorder prunes too; the rest has time.
        let mut pause =
            if matches!(self, Task::Measure | Task::PruneState | Task::Mark) { Duration::ZERO } else { interval };
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
            Task::PruneState => {
                recorder.store.prune_state().await?;
                Ok(None)
            }
            Task::Mark => {
                take_watermarks(&recorder.store, &recorder.client).await?;
                Ok(None)
            }
        }
    }
}

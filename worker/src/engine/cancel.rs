//! Requests to cancel jobs. They are marks in the queue's `cancel` set: whoever meets a marked job drops it, and a signal
//! makes workers look among the jobs that they run.

use std::{collections::HashSet, sync::Arc, time::Duration};

use futures::FutureExt;
use millstream_queue::{Error, Retry, Signal, Signals};
use uuid::Uuid;

use super::epoch::Epoch;

/// Between two looks: signals that come meanwhile are answered by the second.
const PAUSE: Duration = Duration::from_millis(50);
/// Ids in one question.
const MOST: usize = 1000;

/// Looks for marks on what is in hand: at the start, since a request may have come before the subscription, and whenever a
/// signal says so, or may have been lost.
pub(super) async fn run<S>(epoch: Arc<Epoch<S>>, mut signals: Signals) {
    let mut retry = Retry::new("cancel");
    loop {
        epoch.hands.hear_of_cancel();
        match cancel_marked(&epoch).await {
            Ok(()) => {
                retry.worked();
                tokio::time::sleep(PAUSE).await;
                request(&mut signals).await;
            }
            Err(error) => retry.failed(&error).await,
        }
    }
}

/// Waits for a request, and takes all that have come by then for one.
async fn request(signals: &mut Signals) {
    let mut has_come = false;
    while !has_come {
        has_come |= is_request(&signals.next().await);
        while let Some(another) = signals.next().now_or_never() {
            has_come |= is_request(&another);
        }
    }
}

fn is_request(signal: &Signal) -> bool {
    match signal {
        Signal::Message(message) => message.as_ref() == b"cancel",
        Signal::Missed => true,
    }
}

async fn cancel_marked<S>(epoch: &Epoch<S>) -> Result<(), Error> {
    let marked = marked(epoch, &epoch.hands.jobs()).await?;
    epoch.hands.cancel(&marked);
    Ok(())
}

/// Which of the jobs someone asked to cancel.
pub(super) async fn marked<S>(epoch: &Epoch<S>, jobs: &[Uuid]) -> Result<HashSet<Uuid>, Error> {
    let mut marked = HashSet::new();
    if jobs.is_empty() {
        return Ok(marked);
    }
    let mut conn = epoch.process.client.connection().await?;
    for some in jobs.chunks(MOST) {
        let mut ask = redis::cmd("ZMSCORE");
        ask.arg(epoch.lease.keys().cancel());
        for job in some {
            ask.arg(job.to_string());
        }
        let scores: Vec<Option<f64>> = ask.query_async(&mut conn).await?;
        marked.extend(some.iter().zip(scores).filter_map(|(job, score)| score.map(|_| *job)));
    }
    Ok(marked)
}

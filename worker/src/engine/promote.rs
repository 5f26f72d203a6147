//! Delayed jobs become ready when they are due, and the queue's settings are read on the way.

use std::{sync::Arc, time::Duration};

use millstream_queue::{Error, Retry, Signals};

use super::{epoch::Epoch, scripts};

/// Due jobs moved by one script.
const MOST: usize = 200;
/// Between two looks, unless something is due earlier.
const TICK: Duration = Duration::from_secs(1);

/// What a look found: jobs moved, milliseconds until the next is due or -1, and the settings.
type Look = (usize, i64, Vec<(String, String)>);

/// Looks once a second, when the next job is due, and when a push signals an earlier one.
pub(super) async fn run<S>(epoch: Arc<Epoch<S>>, mut signals: Signals) {
    let mut retry = Retry::new("promote");
    while !epoch.is_over() {
        epoch.process.beats.runtime_is_alive();
        match promote(&epoch).await {
            Ok((moved, _, _)) if moved == MOST => {} // more may be due
            Ok((_, next_due_ms, settings)) => {
                retry.worked();
                let is_paused = settings.iter().any(|(name, _)| name == "paused");
                epoch.paused.send_if_modified(|paused| std::mem::replace(paused, is_paused) != is_paused);
                let wait = u64::try_from(next_due_ms).map_or(TICK, |ms| TICK.min(Duration::from_millis(ms)));
                tokio::select! {
                    () = tokio::time::sleep(wait) => {}
                    _ = signals.next() => {}
                    () = epoch.lease.fenced() => {}
                }
            }
            Err(error) => retry.failed(&error).await,
        }
    }
}

async fn promote<S>(epoch: &Epoch<S>) -> Result<Look, Error> {
    let mut conn = epoch.process.client.connection().await?;
    Ok(scripts::promote(epoch.lease.keys(), MOST).invoke_async(&mut conn).await?)
}

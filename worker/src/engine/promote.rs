//! Delayed jobs become ready when they are due, and the queue's settings are read on the way.

use std::{sync::Arc, time::Duration};

use millstream_queue::{Error, Overflow, Retry, Signal, Signals, UNRECORDED_LIMIT};

use super::{epoch::Epoch, scripts};
use crate::{events, health::Doing};

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
            Ok((MOST, _, _)) => {} // more may be due
            Ok((_, next_due_ms, settings)) => {
                retry.worked();
                obey(&epoch, &Control::read(&settings));
                let wait = u64::try_from(next_due_ms).map_or(TICK, |ms| TICK.min(Duration::from_millis(ms)));
                tokio::select! {
                    () = tokio::time::sleep(wait) => {}
                    () = told(&mut signals) => {}
                    () = epoch.lease.fenced() => {}
                }
            }
            Err(error) => retry.failed(&error).await,
        }
    }
}

/// Until a delayed job became the earliest, or that may have been missed. What else is told wakes nobody here.
async fn told(signals: &mut Signals) {
    while let Signal::Message(message) = signals.next().await {
        if *message == *b"due" {
            return;
        }
    }
}

/// What the queue's control hash says about fetching.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Control {
    is_paused: bool,
    /// As many outcomes wait for a recorder as may.
    is_full: bool,
}

impl Control {
    fn read(settings: &[(String, String)]) -> Self {
        let find = |wanted: &str| settings.iter().find(|(name, _)| name == wanted).map(|(_, value)| value.as_str());
        let number = |name: &str| find(name).and_then(|value| value.parse::<i64>().ok());
        let limit = number("done:limit").unwrap_or(UNRECORDED_LIMIT as i64);
        let drops = find("done:overflow") == Some(Overflow::Drop.as_str());
        Self {
            is_paused: find("paused").is_some(),
            is_full: !drops && number("done:outcomes").is_some_and(|waiting| waiting >= limit),
        }
    }
}

fn obey<S>(epoch: &Epoch<S>, control: &Control) {
    let halt = match control {
        Control { is_paused: true, .. } => Some(Doing::Paused),
        Control { is_full: true, .. } => Some(Doing::Full),
        _ => None,
    };
    epoch.halt(halt);
}

async fn promote<S>(epoch: &Epoch<S>) -> Result<Look, Error> {
    let mut conn = epoch.process.client.connection().await?;
    let look: Look = scripts::promote(epoch.lease.keys(), MOST).invoke_async(&mut conn).await?;
    if look.0 > 0 {
        events::promote_moved(epoch.lease.queue(), look.0);
    }
    Ok(look)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(settings: &[(&str, &str)]) -> Control {
        let own = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        Control::read(&settings.iter().map(own).collect::<Vec<_>>())
    }

    #[test]
    fn nothing_set_halts_nothing() {
        assert_eq!(read(&[("record", "1"), ("done:outcomes", "999999")]), Control { is_paused: false, is_full: false });
    }

    #[test]
    fn outcomes_halt_fetching_at_their_limit_unless_the_oldest_are_dropped() {
        assert!(read(&[("done:outcomes", "1000000")]).is_full);
        assert!(read(&[("done:outcomes", "10"), ("done:limit", "10"), ("done:overflow", "pause")]).is_full);
        assert!(!read(&[("done:outcomes", "9"), ("done:limit", "10")]).is_full);
        assert!(!read(&[("done:outcomes", "10"), ("done:limit", "10"), ("done:overflow", "drop")]).is_full);
        assert!(read(&[("paused", "1")]).is_paused);
    }
}

//! Why a pool could not connect: by itself bb8 only says that it took too long.

use std::time::Instant;

use bb8::ErrorSink;
use tokio::sync::watch;
use tracing::debug;

use super::Failure;

/// The newest refusal, told to all who wait for a connection.
#[derive(Clone, Debug)]
pub(super) struct Refusals(watch::Sender<Option<(Instant, String)>>);

impl Default for Refusals {
    fn default() -> Self {
        Self(watch::Sender::new(None))
    }
}

impl Refusals {
    /// The next refusal from now on that comes while `holds`.
    pub(super) async fn next(&self, holds: impl Fn() -> bool) -> String {
        let mut refusals = self.0.subscribe();
        loop {
            // The sender lives in `self`.
            let _ = refusals.changed().await;
            if let Some((_, reason)) = &*refusals.borrow_and_update()
                && holds()
            {
                return reason.clone();
            }
        }
    }

    /// The newest refusal, if it came after `start`; an older one explains nothing.
    pub(super) fn since(&self, start: Instant) -> Option<String> {
        self.0.borrow().as_ref().filter(|(at, _)| *at >= start).map(|(_, reason)| reason.clone())
    }
}

impl ErrorSink<Failure> for Refusals {
    fn sink(&self, failure: Failure) {
        match failure {
            Failure::Refused(reason) => drop(self.0.send_replace(Some((Instant::now(), reason)))),
            Failure::Gone(reason) => debug!(reason, "a pooled connection is replaced"),
        }
    }

    fn boxed_clone(&self) -> Box<dyn ErrorSink<Failure>> {
        Box::new(self.clone())
    }
}

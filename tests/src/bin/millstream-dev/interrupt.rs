//! The wish to stop.

use anyhow::Result;
use tokio::signal::unix::{SignalKind, signal};

/// The code of a program that Ctrl-C ended before it was done.
pub(crate) const INTERRUPTED: u8 = 130;

/// From its creation on, takes Ctrl-C, `SIGTERM` and the closing of the terminal as a wish to stop in order.
pub(crate) struct Interrupt([tokio::signal::unix::Signal; 3]);

impl Interrupt {
    pub(crate) fn new() -> Result<Self> {
        Ok(Self([signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?, signal(SignalKind::hangup())?]))
    }

    /// Waits for the next such wish. Cancel-safe.
    pub(crate) async fn wait(&mut self) {
        let [interrupt, terminate, hangup] = &mut self.0;
        tokio::select! {
            _ = interrupt.recv() => (),
            _ = terminate.recv() => (),
            _ = hangup.recv() => (),
        }
    }
}

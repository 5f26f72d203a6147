//! The pause between failed tries of a loop that must go on: no hot loop, each trouble logged once.

use std::{fmt::Display, time::Duration};

use tracing::{info, warn};

const FIRST: Duration = Duration::from_millis(50);
const LONGEST: Duration = Duration::from_secs(1);

/// Paces a loop through a trouble, such as a server that is away.
#[derive(Debug)]
pub struct Retry {
    what: &'static str,
    pause: Duration,
    last: Option<String>,
}

impl Retry {
    /// `what` names the loop in the log.
    pub fn new(what: &'static str) -> Self {
        Self { what, pause: FIRST, last: None }
    }

    /// Logs the error unless it is the last one again, and waits: 50 ms at first, then twice as long each time, up to
    /// one second.
    pub async fn failed(&mut self, error: &impl Display) {
        let error = error.to_string();
        if self.last.as_ref() != Some(&error) {
            warn!(loop_name = self.what, %error, "failed, trying again");
            self.last = Some(error);
        }
        tokio::time::sleep(self.pause).await;
        self.pause = (self.pause * 2).min(LONGEST);
    }

    /// Notes that it works; says so if it didn't before.
    pub fn worked(&mut self) {
        if self.last.take().is_some() {
            info!(loop_name = self.what, "works again");
            self.pause = FIRST;
        }
    }
}

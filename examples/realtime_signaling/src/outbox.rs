//! What waits to be sent to one client: never more than a fixed number of messages.

use axum::extract::ws::Utf8Bytes;
use tokio::sync::{mpsc, watch};

/// Messages that may wait for a client before it counts as too slow.
pub(crate) const CAPACITY: usize = 256;

/// Why a socket is closed: a code of RFC 6455, 7.4.1, and a reason for whoever debugs the client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Farewell {
    pub(crate) code: u16,
    pub(crate) reason: String,
}

impl Farewell {
    pub(crate) const GOING_AWAY: u16 = 1001;
    pub(crate) const POLICY: u16 = 1008;
    pub(crate) const TRY_AGAIN_LATER: u16 = 1013;

    pub(crate) fn new(code: u16, reason: impl Into<String>) -> Self {
        Self { code, reason: reason.into() }
    }
}

/// The sending side. Never waits: a client that can't keep up must not slow down the others.
#[derive(Clone, Debug)]
pub(crate) struct Outbox {
    messages: mpsc::Sender<Utf8Bytes>,
    farewell: watch::Sender<Option<Farewell>>,
}

/// The socket's side.
pub(crate) struct Inbox {
    pub(crate) messages: mpsc::Receiver<Utf8Bytes>,
    pub(crate) closing: Closing,
}

/// Tells when the socket is to be closed.
pub(crate) struct Closing(watch::Receiver<Option<Farewell>>);

impl Closing {
    /// Waits for the reason to close the socket; `None` if whoever could give one is gone. May be dropped and called
    /// again.
    pub(crate) async fn farewell(&mut self) -> Option<Farewell> {
        self.0.wait_for(Option::is_some).await.ok()?.clone()
    }

    #[cfg(test)]
    pub(crate) fn peek(&self) -> Option<Farewell> {
        self.0.borrow().clone()
    }
}

pub(crate) fn outbox() -> (Outbox, Inbox) {
    let (send, messages) = mpsc::channel(CAPACITY);
    let (close, farewell) = watch::channel(None);
    (Outbox { messages: send, farewell: close }, Inbox { messages, closing: Closing(farewell) })
}

impl Outbox {
    /// Puts a message behind those that wait, or closes the socket if they are too many.
    pub(crate) fn send(&self, message: Utf8Bytes) {
        if let Err(mpsc::error::TrySendError::Full(_)) = self.messages.try_send(message) {
            let reason = format!("too slow: {CAPACITY} messages are waiting");
            self.close(Farewell::new(Farewell::TRY_AGAIN_LATER, reason));
        }
    }

    /// Closes the socket, past whatever waits; the first reason counts.
    pub(crate) fn close(&self, farewell: Farewell) {
        self.farewell.send_if_modified(|current| {
            let first = current.is_none();
            current.get_or_insert(farewell);
            first
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_client_that_lets_too_much_wait_is_closed_and_the_first_reason_counts() {
        let (outbox, inbox) = outbox();
        for _ in 0..CAPACITY {
            outbox.send("message".into());
        }
        assert!(inbox.closing.peek().is_none());
        outbox.send("one too many".into());
        outbox.close(Farewell::new(Farewell::GOING_AWAY, "later"));
        let farewell = inbox.closing.peek().unwrap();
        assert_eq!(farewell.reason, "too slow: 256 messages are waiting");
        assert_eq!(inbox.messages.len(), CAPACITY);
    }
}

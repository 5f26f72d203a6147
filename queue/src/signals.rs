//! A queue's signal channel: wake-ups and cancels for its workers.

use std::sync::Arc;

use crate::{
    Client, Error,
    event::{Lagged, Sound, Tap},
    names,
};

/// What arrives on a queue's signal channel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Signal {
    /// A message, such as `due`.
    Message(Arc<[u8]>),
    /// Messages may have been lost: look for yourself.
    Missed,
}

/// A subscription to a queue's signal channel; see [`Client::signals`].
pub struct Signals {
    ring: Tap<Sound>,
}

impl Client {
    /// Subscribes to the signals of a queue; returns when the server has confirmed it, which waits for a server that is away.
    ///
    /// # Errors
    /// [`Error::Name`].
    pub async fn signals(&self, queue: &str) -> Result<Signals, Error> {
        names::check("queue", queue)?;
        Ok(Signals { ring: self.hub().ears.join(&self.keys(queue).signal()).await })
    }
}

impl Signals {
    /// The next signal. May be dropped and called again without loss.
    pub async fn next(&mut self) -> Signal {
        match self.ring.recv().await {
            Ok(Sound::Message(message)) => Signal::Message(message),
            Ok(Sound::Missed) | Err(Lagged) => Signal::Missed,
        }
    }
}

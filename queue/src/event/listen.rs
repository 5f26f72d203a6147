//! Listening to broadcasts.

use std::{future::IntoFuture, marker::PhantomData};

use super::{
    Envelope, Event,
    envelope::decode_document,
    hub::{Lagged, Sound, Tap},
};
use crate::{Client, Error, client::BoxFuture, keys, names};

impl Client {
    /// Listens to the broadcasts of a topic from now on.
    ///
    /// # Errors
    /// [`Error::Name`]. A server that is away is waited for.
    pub fn listen<E: Event>(&self) -> Listen<'_, E> {
        Listen { client: self, event: PhantomData }
    }
}

/// A subscription on its way; `.await` returns the [`Listener`] once the server has confirmed it.
#[must_use = "nothing is subscribed until awaited"]
pub struct Listen<'a, E> {
    client: &'a Client,
    event: PhantomData<fn() -> E>,
}

impl<'a, E: Event> IntoFuture for Listen<'a, E> {
    type Output = Result<Listener<E>, Error>;
    type IntoFuture = BoxFuture<'a, Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async move {
            names::check("topic", E::NAME)?;
            let channel = keys::event_channel(self.client.namespace(), E::NAME);
            Ok(Listener { ring: self.client.hub().ears.join(&channel).await, event: PhantomData })
        })
    }
}

/// What a [`Listener`] yields.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Heard<E> {
    /// A broadcast.
    Event(Envelope<E>),
    /// Broadcasts may have been lost: the connection was away, or the listener too slow.
    Missed,
}

/// Receives the broadcasts of a topic, at most once each.
pub struct Listener<E> {
    ring: Tap<Sound>,
    event: PhantomData<fn() -> E>,
}

impl<E: Event> Listener<E> {
    /// The next broadcast. May be dropped and called again without loss.
    ///
    /// # Errors
    /// [`Error::Decode`] for a broadcast that can't be read; the next call goes on behind it.
    pub async fn next(&mut self) -> Result<Heard<E>, Error> {
        match self.ring.recv().await {
            Ok(Sound::Message(json)) => decode_document(&json).map(Heard::Event),
            Ok(Sound::Missed) | Err(Lagged) => Ok(Heard::Missed),
        }
    }
}

//! Broadcasting: one PUBLISH of a structured CloudEvent; kept nowhere.

use std::future::IntoFuture;

use super::{Event, envelope::Outgoing};
use crate::{Client, Error, client::BoxFuture, keys, names};

impl Client {
    /// Tells an event to whoever listens now, at most once: for what is worthless a second later.
    ///
    /// # Errors
    /// [`Error::Name`], [`Error::Encode`], [`Error::TooLarge`], [`Error::Unreachable`], [`Error::Redis`].
    pub fn broadcast<E: Event>(&self, event: E) -> Broadcast<'_, E> {
        Broadcast { client: self, event, subject: None }
    }
}

/// An event on its way; `.await` tells it.
#[must_use = "nothing is told until awaited"]
pub struct Broadcast<'a, E> {
    client: &'a Client,
    event: E,
    subject: Option<String>,
}

impl<E: Event> Broadcast<'_, E> {
    /// What the event is about, such as a room; an empty one means none.
    pub fn subject(mut self, subject: impl ToString) -> Self {
        self.subject = Some(subject.to_string()).filter(|subject| !subject.is_empty());
        self
    }

    async fn broadcast(self) -> Result<(), Error> {
        names::check("topic", E::NAME)?;
        let data = self.client.encode(E::NAME, &self.event)?;
        let outgoing = Outgoing::now::<E>(self.client, self.subject.as_deref(), &data);
        let document = outgoing.document().map_err(|source| Error::Encode { name: E::NAME, source })?;
        let mut conn = self.client.connection().await?;
        let channel = keys::event_channel(self.client.namespace(), E::NAME);
        redis::cmd("PUBLISH").arg(channel).arg(document).exec_async(&mut conn).await?;
        Ok(())
    }
}

impl<'a, E: Event> IntoFuture for Broadcast<'a, E> {
    type Output = Result<(), Error>;
    type IntoFuture = BoxFuture<'a, Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.broadcast())
    }
}

//! Publishing: one XADD, nothing else.

use std::future::IntoFuture;

use redis::Cmd;
use uuid::Uuid;

use super::{Event, Position, envelope::Outgoing};
use crate::{Client, Error, client::BoxFuture, keys, names};

impl Client {
    /// Appends an event to its topic, where durable groups and live followers read it.
    ///
    /// # Errors
    /// Nothing is stored on [`Error::Name`], [`Error::Encode`], [`Error::TooLarge`], [`Error::Unreachable`] and
    /// [`Error::Redis`]; after [`Error::Indeterminate`] the event may or may not be stored.
    pub fn publish<E: Event>(&self, event: E) -> Publish<'_, E> {
        Publish { client: self, event, subject: None }
    }
}

/// Where a published event is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Published {
    /// The event's id.
    pub id: Uuid,
    /// Its place in the topic.
    pub position: Position,
}

/// An event on its way; `.await` publishes it.
#[must_use = "nothing is published until awaited"]
pub struct Publish<'a, E> {
    client: &'a Client,
    event: E,
    subject: Option<String>,
}

impl<E: Event> Publish<'_, E> {
    /// What the event is about, such as a room; an empty one means none. All subjects of a topic share one order.
    pub fn subject(mut self, subject: impl ToString) -> Self {
        self.subject = Some(subject.to_string()).filter(|subject| !subject.is_empty());
        self
    }

    async fn publish(self) -> Result<Published, Error> {
        names::check("topic", E::NAME)?;
        let data = self.client.encode(E::NAME, &self.event)?;
        let outgoing = Outgoing::now::<E>(self.client, self.subject.as_deref(), &data);
        let mut command = Cmd::new();
        command.arg("XADD").arg(keys::event_log(self.client.namespace(), E::NAME)).arg("*");
        for (name, value) in outgoing.fields() {
            command.arg(name).arg(value);
        }
        let mut conn = self.client.connection().await?;
        let position: String = command.query_async(&mut conn).await.map_err(|source| {
            if source.is_io_error() { Error::Indeterminate { id: outgoing.id, source } } else { Error::Redis(source) }
        })?;
        let position = position.parse().map_err(|reason| Error::Decode {
            what: "the reply to XADD".to_owned(),
            name: "Position",
            reason,
        })?;
        Ok(Published { id: outgoing.id, position })
    }
}

impl<'a, E: Event> IntoFuture for Publish<'a, E> {
    type Output = Result<Published, Error>;
    type IntoFuture = BoxFuture<'a, Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.publish())
    }
}

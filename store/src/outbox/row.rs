//! A row of the outbox.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use millstream_queue::{Message, MessageOptions, MessageRef, OutboxBatch};
use uuid::Uuid;

use crate::{
    Id, Time,
    schema::millstream_outbox,
    sql_types::{DbTime, DbUuid},
};

/// A job or an event as it is inserted; [`Outbox`](crate::Outbox) makes it.
#[derive(Clone, Debug, PartialEq, Eq, Insertable)]
#[diesel(table_name = millstream_outbox, treat_none_as_default_value = false)]
pub struct OutboxRow {
    target: String,
    order_key: Option<String>,
    kind: String,
    id: Id,
    body: String,
    options: Option<String>,
    created_at: Time,
}

impl OutboxRow {
    /// The id of the job or of the event.
    pub fn id(&self) -> Id {
        self.id
    }
}

impl From<Message> for OutboxRow {
    fn from(message: Message) -> Self {
        Self {
            target: message.target.to_string(),
            order_key: message.order_key,
            kind: message.kind,
            id: Id(message.id),
            body: message.body,
            options: message.options.to_text(),
            created_at: Time(crate::fit::time(message.created_at)),
        }
    }
}

/// A row that waits.
#[derive(Clone, Debug, QueryableByName)]
pub(super) struct Waiting {
    #[diesel(sql_type = diesel::sql_types::BigInt)]
    pub(super) seq: i64,
    #[diesel(sql_type = diesel::sql_types::Text)]
    kind: String,
    #[diesel(sql_type = DbUuid)]
    id: Id,
    #[diesel(sql_type = diesel::sql_types::Text)]
    body: String,
    #[diesel(sql_type = diesel::sql_types::Nullable<diesel::sql_types::Text>)]
    options: Option<String>,
    #[diesel(sql_type = DbTime)]
    created_at: Time,
}

impl Waiting {
    pub(super) const COLUMNS: &'static str = "seq, kind, id, body, options, created_at";

    /// Adds it to a batch.
    ///
    /// # Errors
    /// Why it can't be relayed.
    pub(super) fn add_to(&self, batch: &mut OutboxBatch) -> Result<(), String> {
        let options = self.options.as_deref();
        RowRef { kind: &self.kind, id: self.id.0, body: &self.body, options, created_at: self.created_at.0 }
            .add_to(batch)
    }
}

/// A row that waits, as a driver lends it.
#[derive(Clone, Copy, Debug)]
pub(super) struct RowRef<'r> {
    pub(super) kind: &'r str,
    pub(super) id: Uuid,
    pub(super) body: &'r str,
    pub(super) options: Option<&'r str>,
    pub(super) created_at: DateTime<Utc>,
}

impl RowRef<'_> {
    /// As [`Waiting::add_to`].
    pub(super) fn add_to(&self, batch: &mut OutboxBatch) -> Result<(), String> {
        let Self { kind, id, body, created_at, .. } = *self;
        let options = MessageOptions::parse(self.options)?;
        batch.push(MessageRef { id, kind, body, options: &options, created_at })
    }
}

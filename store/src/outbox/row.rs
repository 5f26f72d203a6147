//! A row of the outbox.

use diesel::prelude::*;
use millstream_queue::{Message, MessageOptions};

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
    target: String,
    #[diesel(sql_type = diesel::sql_types::Nullable<diesel::sql_types::Text>)]
    order_key: Option<String>,
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
    /// The message, or why it can't be relayed.
    pub(super) fn message(&self, payload_limit: usize) -> Result<Message, String> {
        let message = Message {
            target: self.target.parse().map_err(|error: millstream_queue::Error| error.to_string())?,
            id: self.id.0,
            kind: self.kind.clone(),
            body: self.body.clone(),
            order_key: self.order_key.clone(),
            options: MessageOptions::parse(self.options.as_deref())?,
            created_at: self.created_at.0,
        };
        message.check(payload_limit).map(|()| message)
    }
}

//! A job or an event on its way into an outbox.

use std::future::IntoFuture;

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::{Message, MessageOptions, Target};
use crate::{
    Conflict, Error, Event, Job, Lane, Options,
    client::{self, BoxFuture, PAYLOAD_LIMIT},
    id, names,
    push::{
        chain::{Chain, chained},
        when::When,
    },
};

/// What keeps messages until they are relayed, such as a transaction.
pub trait Keep: Send {
    /// What comes of keeping one: a future where that takes time.
    type Kept;

    /// Keeps a message that was checked.
    fn keep(self, message: Message) -> Self::Kept;
}

/// One job on its way into an outbox. In a transaction `.await` writes it and returns the id of its row, which is the job's
/// too unless [`id`](Self::id) or a unique key gives another; elsewhere [`row`](Self::row) makes the row.
#[must_use = "nothing is written until awaited or made a row"]
pub struct Deferred<K, J> {
    keeper: K,
    job: J,
    chain: Chain,
    key: Option<String>,
    order_key: Option<String>,
}

impl<K: Keep, J: Job> Deferred<K, J> {
    /// A job that `keeper` will keep.
    pub fn new(keeper: K, job: J) -> Self {
        Self { keeper, job, chain: Chain::default(), key: None, order_key: None }
    }

    chained!();

    /// An idempotency key, see [`Push::id`](crate::Push::id): the window counts from the relay on, and the job's id follows
    /// from the key.
    pub fn id(mut self, key: impl Into<String>) -> Self {
        self.key = Some(key.into());
        self
    }

    /// Jobs of one queue and key reach the queue in the order in which their transactions commit; transactions with the same
    /// key wait for one another from here to their end. An empty key means none. Default: none.
    pub fn ordered_by(mut self, key: impl ToString) -> Self {
        self.order_key = Some(order_key(&key.to_string())).filter(|key| !key.is_empty());
        self
    }

    /// Checks everything that was chained and the payload, and hands the message over. A payload has at most 1 MiB.
    ///
    /// # Errors
    /// [`Error::Name`], [`Error::Tag`], [`Error::Traceparent`], [`Error::UniqueField`], [`Error::Encode`],
    /// [`Error::TooLarge`], [`Error::Time`].
    pub fn row(mut self) -> Result<K::Kept, Error> {
        let template = self.chain.template::<J>()?;
        self.chain.when.argument()?;
        let body = client::encode(J::KIND, &self.job, PAYLOAD_LIMIT)?;
        let created_at = Utc::now();
        let (entry, unique_key) = template.entry(body, id::fresh(), created_at.timestamp_millis())?;
        let unique = template.unique.filter(|_| unique_key.is_some());
        let options = MessageOptions {
            v: Some(J::VERSION).filter(|version| *version != 1),
            lane: Some(template.lane.as_str().to_owned()).filter(|_| template.lane != Lane::Normal),
            after_ms: match self.chain.when {
                When::After(ms) => u64::try_from(ms).ok(),
                _ => None,
            },
            at_ms: match self.chain.when {
                When::At(ms) => Some(ms),
                _ => None,
            },
            key: self.key,
            opt: entry.options.as_deref().map(|options| Options::parse(Some(options))),
            tp: entry.traceparent,
            unique_ms: unique.map(|unique| unique.time_ms()),
            conflict: unique.map(|unique| unique.conflict()).filter(|conflict| *conflict != Conflict::Keep),
            subject: None,
        };
        Ok(self.keeper.keep(Message {
            target: Target::Queue(J::QUEUE.to_owned()),
            id: entry.id,
            kind: entry.kind,
            body: text(entry.body),
            order_key: self.order_key,
            options,
            created_at,
        }))
    }
}

/// One event on its way into an outbox. In a transaction `.await` writes it and returns its id; elsewhere
/// [`row`](Self::row) makes the row.
#[must_use = "nothing is written until awaited or made a row"]
pub struct DeferredEvent<K, E> {
    keeper: K,
    event: E,
    subject: Option<String>,
    time: DateTime<Utc>,
}

impl<K: Keep, E: Event> DeferredEvent<K, E> {
    /// An event that `keeper` will keep.
    pub fn new(keeper: K, event: E) -> Self {
        Self { keeper, event, subject: None, time: Utc::now() }
    }

    /// What the event is about, such as a room; an empty one means none. Events of one subject, or of none, reach the topic
    /// in the order in which their transactions commit, and such transactions wait for one another.
    pub fn subject(mut self, subject: impl ToString) -> Self {
        self.subject = Some(subject.to_string()).filter(|subject| !subject.is_empty());
        self
    }

    /// Checks the event and hands the message over. A payload has at most 1 MiB.
    ///
    /// # Errors
    /// [`Error::Name`], [`Error::Encode`], [`Error::TooLarge`].
    pub fn row(self) -> Result<K::Kept, Error> {
        names::check("topic", E::NAME)?;
        let body = client::encode(E::NAME, &self.event, PAYLOAD_LIMIT)?;
        let options = MessageOptions {
            v: Some(E::VERSION).filter(|version| *version != 1),
            subject: self.subject.clone(),
            ..MessageOptions::default()
        };
        Ok(self.keeper.keep(Message {
            target: Target::Topic(E::NAME.to_owned()),
            id: id::fresh(),
            kind: E::NAME.to_owned(),
            body: text(body),
            order_key: Some(order_key(&self.subject.unwrap_or_default())),
            options,
            created_at: self.time,
        }))
    }
}

/// Postgres' texts hold no NUL. Keys that are the same then share an order, which breaks none.
fn order_key(text: &str) -> String {
    text.replace('\0', "\u{FFFD}")
}

fn text(body: Vec<u8>) -> String {
    String::from_utf8(body).expect("serde_json writes UTF-8")
}

impl<'a, K, J, X> IntoFuture for Deferred<K, J>
where
    K: Keep<Kept = BoxFuture<'a, Result<Uuid, X>>> + 'a,
    J: Job,
    X: From<Error> + Send + 'a,
{
    type Output = Result<Uuid, X>;
    type IntoFuture = BoxFuture<'a, Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        self.row().unwrap_or_else(|error| Box::pin(std::future::ready(Err(error.into()))))
    }
}

impl<'a, K, E, X> IntoFuture for DeferredEvent<K, E>
where
    K: Keep<Kept = BoxFuture<'a, Result<Uuid, X>>> + 'a,
    E: Event,
    X: From<Error> + Send + 'a,
{
    type Output = Result<Uuid, X>;
    type IntoFuture = BoxFuture<'a, Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        self.row().unwrap_or_else(|error| Box::pin(std::future::ready(Err(error.into()))))
    }
}

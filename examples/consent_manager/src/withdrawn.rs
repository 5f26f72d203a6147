use millstream_queue::Event;
use millstream_store::Time;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::Record;

/// A subject doesn't agree any more: published if and only if the withdrawal was committed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConsentWithdrawn {
    /// The record's place in the chain.
    pub seq: i64,
    /// The record's id.
    pub record: Uuid,
    /// Who.
    pub subject: String,
    /// What for.
    pub purpose: String,
    /// When.
    pub at: Time,
}

impl Event for ConsentWithdrawn {
    const NAME: &'static str = "consent_withdrawn";
}

impl ConsentWithdrawn {
    pub(crate) fn of(record: &Record) -> Self {
        let Record { seq, id, subject, purpose, at, .. } = record.clone();
        Self { seq, record: id.0, subject, purpose, at }
    }
}

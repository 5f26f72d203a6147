//! A numbered batch of an outbox on its way to Redis.

use redis::{ErrorKind, RedisResult, ServerErrorKind};

use super::OutboxBatch;
use crate::{Client, Error};

/// What became of a batch.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Relayed {
    /// The number of the last batch that the target had before this call. Where it is not below the batch's own, this call
    /// changed nothing: the batch itself had arrived before, or a later one.
    pub last: u64,
    /// The messages that Redis refused, by their place in the batch from 0, with the reason. The others have arrived.
    pub refused: Vec<(usize, String)>,
    /// Whether it came before the batch that it was to come [after](OutboxBatch::after): this call changed nothing.
    pub is_early: bool,
}

impl Relayed {
    /// Whether each message of the batch `number` has arrived, by this call or by the same one before.
    pub fn is_complete(&self, number: u64) -> bool {
        self.last <= number && self.refused.is_empty() && !self.is_early
    }
}

impl Client {
    /// Enqueues or publishes the messages of a batch, all of them or, if this or a higher number of its outbox arrived before,
    /// none. So the same batch may be sent any number of times.
    ///
    /// # Errors
    /// [`Error::Unreachable`] and [`Error::Redis`], after which the batch may or may not have arrived.
    pub async fn relay(&self, batch: OutboxBatch) -> Result<Relayed, Error> {
        let (call, script) = batch.into_call();
        let mut conn = self.connection().await?;
        let mut reply: RedisResult<(u64, Vec<u8>, bool)> = call.query_async(&mut conn).await;
        if matches!(&reply, Err(error) if error.kind() == ErrorKind::Server(ServerErrorKind::NoScript)) {
            script.load_async(&mut conn).await?;
            reply = call.query_async(&mut conn).await;
        }
        let (last, refused, is_early) = reply?;
        let refused = serde_json::from_str(&String::from_utf8_lossy(&refused)).unwrap_or_default();
        Ok(Relayed { last, refused, is_early })
    }
}

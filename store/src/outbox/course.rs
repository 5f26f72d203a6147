//! Batches of a target on their way, one behind the other. Two are sent at once, so that Redis has the next one when it has done with
//! the first: the second does nothing unless the first has arrived with all its messages.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use futures::{FutureExt, future::BoxFuture};
use millstream_queue::{Client, OutboxBatch, Relayed};

use super::{
    ahead::Ahead,
    batch::{Batch, Packer},
    members::{Members, OnItsWay},
};
use crate::{Error, Store};

/// Batches on their way at once.
const AT_ONCE: usize = 2;

/// A batch and what Redis answered.
pub(super) type Done = (Batch, Relayed);

/// A batch that is written down and sent.
struct Flight {
    batch: Batch,
    reply: BoxFuture<'static, Result<Relayed, Error>>,
}

pub(super) struct Course {
    client: Client,
    ahead: Ahead,
    flights: VecDeque<Flight>,
    /// The last batch that was answered.
    answered: Option<Done>,
    /// Rows that have arrived and are written down as such.
    to_delete: Members,
    /// For how long the database was locked for it.
    pub(super) held: Duration,
}

impl Course {
    /// Sends a batch that was written down when no other one was on its way.
    pub(super) fn begin(store: &Store, packer: &Packer, batch: Batch, packed: OutboxBatch) -> Self {
        let ahead = Ahead::new(store, packer, &batch.target);
        let (client, flights, held) = (packer.client.clone(), VecDeque::with_capacity(AT_ONCE), Duration::ZERO);
        let mut course = Self { client, ahead, flights, answered: None, to_delete: Members::default(), held };
        course.send(batch, packed);
        course
    }

    /// The number of the batch that was written down last.
    pub(super) fn last(&self) -> Option<i64> {
        self.flights.back().map(|flight| flight.batch.number)
    }

    /// Writes the next batch down and sends it. False where no other one may follow those on their way.
    pub(super) async fn step(&mut self) -> Result<bool, Error> {
        let Some(last) = self.last() else { return Ok(false) };
        let sent: Vec<Members> = self.flights.iter().map(|flight| flight.batch.members()).collect();
        let read = self.ahead.read(last + 1, &sent, std::mem::take(&mut self.to_delete)).await;
        // Where it can't be read, it is once what is on its way has arrived.
        let (next, deleting) = read.unwrap_or_default();
        self.held += deleting;
        let Some((batch, packed)) = next else { return Ok(false) };
        if self.flights.len() == AT_ONCE && !self.land().await? {
            return Ok(false);
        }
        let before = self.flights.back().map(|flight| flight.batch.members()).unwrap_or_default();
        let arrived = self.answered.as_ref().map(|(batch, _)| batch.members()).unwrap_or_default();
        let on_its_way = OnItsWay { batch: batch.members(), before, arrived };
        let began = Instant::now();
        let is_noted = self.ahead.note(batch.number, &on_its_way).await?;
        self.held += began.elapsed();
        if is_noted {
            self.to_delete = on_its_way.arrived;
            self.send(batch, packed.after(last.unsigned_abs()));
        }
        Ok(is_noted)
    }

    /// Waits until nothing is on its way. The last batch that was answered.
    pub(super) async fn end(mut self) -> Result<Option<Done>, Error> {
        while !self.flights.is_empty() {
            if !self.land().await? {
                break;
            }
        }
        Ok(self.answered)
    }

    /// Waits for the answer to the first batch on its way. Whether it has arrived with all its messages, so that the next one may.
    async fn land(&mut self) -> Result<bool, Error> {
        let Some(Flight { batch, reply }) = self.flights.pop_front() else { return Ok(false) };
        let relayed = reply.await?;
        let is_complete = relayed.is_complete(batch.number.unsigned_abs());
        // Of one that came too early nothing is known but that the one before it is done with.
        if !relayed.is_early {
            self.answered = Some((batch, relayed));
        }
        Ok(is_complete)
    }

    fn send(&mut self, batch: Batch, packed: OutboxBatch) {
        let client = self.client.clone();
        let mut reply = async move { Ok(client.relay(packed).await?) }.boxed();
        // On its way before anything that is sent later.
        let reply = match reply.as_mut().now_or_never() {
            Some(answered) => async move { answered }.boxed(),
            None => reply,
        };
        self.flights.push_back(Flight { batch, reply });
    }
}

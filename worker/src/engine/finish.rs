//! Telling Redis what has ended. While one finish is on its way the next runs gather, so batches grow with the load.

use std::{sync::Arc, time::Instant};

use millstream_queue::{Client, Dedicated, Error, Retry};
use tokio::sync::mpsc;

use super::{
    batch::{Batch, Finished},
    epoch::Servers,
    hands::Hands,
    lease::Lease,
};
use crate::{events, settings::BATCH};

/// The finisher of one consumer: strictly one finish after another, each numbered, so that one whose reply was lost can be
/// sent again.
pub(super) struct Finisher {
    client: Client,
    lease: Arc<Lease>,
    hands: Arc<Hands>,
    servers: Arc<Servers>,
    incoming: mpsc::Receiver<Finished>,
    connection: Option<Dedicated>,
    number: u64,
    retry: Retry,
}

impl Finisher {
    pub(super) fn new(
        client: Client,
        lease: Arc<Lease>,
        hands: Arc<Hands>,
        servers: Arc<Servers>,
        incoming: mpsc::Receiver<Finished>,
    ) -> Self {
        Self { client, lease, hands, servers, incoming, connection: None, number: 0, retry: Retry::new("finish") }
    }

    /// Runs until every sender is gone, or the consumer was fenced.
    pub(super) async fn run(mut self) {
        let mut gathered = Vec::with_capacity(BATCH);
        while !self.lease.is_fenced() && self.incoming.recv_many(&mut gathered, BATCH).await > 0 {
            while !gathered.is_empty() {
                self.finish(Batch::take_from(&mut gathered)).await;
            }
        }
    }

    /// Sends a batch until it is confirmed, or refused for good.
    async fn finish(&mut self, batch: Batch) {
        self.number += 1;
        let start = Instant::now();
        while !self.lease.is_fenced() {
            match self.send(&batch).await {
                Ok(Answer::Applied) => {
                    self.retry.worked();
                    self.hands.release(batch.places());
                    let took_us = u64::try_from(start.elapsed().as_micros()).unwrap_or(u64::MAX);
                    events::finish_confirmed(self.lease.queue(), batch.places().count(), took_us);
                    return;
                }
                Ok(Answer::Fenced) => self.lease.end(),
                Err(error) => {
                    self.connection = None;
                    self.retry.failed(&error).await;
                }
            }
        }
    }

    async fn send(&mut self, batch: &Batch) -> Result<Answer, Error> {
        let connection = match &mut self.connection {
            Some(connection) => connection,
            none => none.insert(self.client.dedicated(std::time::Duration::ZERO).await?),
        };
        let server = self.servers.number(&connection.run_id);
        let answer: String = batch.call(&self.lease, self.number, server).invoke_async(&mut connection.conn).await?;
        Ok(if answer == "FENCED" { Answer::Fenced } else { Answer::Applied })
    }
}

enum Answer {
    Applied,
    Fenced,
}

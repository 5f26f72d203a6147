//! One target's batches, sent one behind the other.

use std::time::{Duration, Instant};

use millstream_queue::{Client, OutboxBatch, Relayed};
use tokio_util::sync::CancellationToken;

use super::{
    ahead::Ahead,
    batch::{self, Batch, Next, Packer},
};
use crate::{Error, Store};

/// How long one target is served before the other targets are looked for again.
const TURN: Duration = Duration::from_millis(250);
/// For how long a batch on its way belongs to the relay that wrote it down. Sent twice, it still has its effect once.
const PATIENCE: Duration = Duration::from_secs(2);

/// What a relay knows of a target.
#[derive(Default)]
pub(super) struct Lane {
    /// A batch that this relay wrote down or adopted and whose end it doesn't know.
    mine: Option<i64>,
    /// A batch on its way by another relay, and since when this one has seen it.
    elsewhere: Option<(i64, Instant)>,
    /// What was sent last, where another batch may follow it in the next turn.
    resting: Option<Sent>,
}

impl Lane {
    /// Sends batches for a turn, unless nothing waits before it ends. Whether any was sent. A lane that `may_rest` goes on in the
    /// next turn where it stopped.
    pub(super) async fn serve(
        &mut self,
        store: &Store,
        packer: &Packer,
        target: &str,
        may_rest: bool,
        stop: &CancellationToken,
    ) -> Result<bool, Error> {
        let (start, mut held, mut any) = (Instant::now(), Duration::ZERO, false);
        let mut sent = self.resting.take();
        loop {
            let began = Instant::now();
            let followed = match sent.take() {
                Some(sent) => sent.followed().await?,
                None => Err(None),
            };
            let sending = match followed {
                Ok(sending) => sending,
                Err(done) => {
                    let has_done = done.is_some();
                    let next = batch::advance(store, target, done, self.mine, packer).await?;
                    if has_done {
                        self.mine = None;
                    }
                    match next {
                        Next::Send(batch, packed) => Sending { ahead: Ahead::new(store, packer), batch, packed },
                        Next::Nothing => return Ok(any),
                        Next::Elsewhere(number) => {
                            self.wait_for(number);
                            return Ok(false);
                        }
                    }
                }
            };
            held += began.elapsed();
            // Written down, it is sent in any case: its owner would otherwise be waited for.
            self.mine = Some(sending.batch.number);
            any = true;
            let (now_sent, deleting) = sending.send(&packer.client).await?;
            held += deleting;
            if !store.is_postgres() {
                leave_free(held, start.elapsed()).await;
            }
            let is_over = start.elapsed() >= TURN || stop.is_cancelled();
            sent = Some(now_sent);
            if is_over {
                self.resting = sent;
                if !may_rest {
                    self.finish(store, target).await?;
                }
                return Ok(true);
            }
        }
    }

    /// Strikes out what was sent last, and lets nothing follow.
    pub(super) async fn finish(&mut self, store: &Store, target: &str) -> Result<(), Error> {
        if let Some(Sent { batch, relayed, .. }) = self.resting.take() {
            batch::finish(store, target, Some((batch, relayed))).await?;
            self.mine = None;
        }
        Ok(())
    }

    /// Another relay's batch that stays for too long has lost its relay.
    fn wait_for(&mut self, number: i64) {
        match self.elsewhere {
            Some((seen, since)) if seen == number => {
                if since.elapsed() >= PATIENCE {
                    self.mine = Some(number);
                }
            }
            _ => self.elsewhere = Some((number, Instant::now())),
        }
    }
}

/// A batch that is written down.
struct Sending {
    ahead: Ahead,
    batch: Batch,
    packed: OutboxBatch,
}

impl Sending {
    /// Sends it, and meanwhile reads the next one. With it, how long rows were deleted.
    async fn send(mut self, client: &Client) -> Result<(Sent, Duration), Error> {
        let (relayed, read) = tokio::join!(client.relay(self.packed), self.ahead.read(&self.batch));
        let (relayed, (deleting, next)) = (relayed?, read.unwrap_or_default());
        Ok((Sent { ahead: self.ahead, batch: self.batch, relayed, next }, deleting))
    }
}

/// A batch that Redis has answered.
struct Sent {
    ahead: Ahead,
    batch: Batch,
    relayed: Relayed,
    /// What was read behind it.
    next: Option<(Batch, OutboxBatch)>,
}

impl Sent {
    /// The next batch written down, as long as nothing is out of the ordinary; else what is to be struck out first.
    async fn followed(mut self) -> Result<Result<Sending, Option<(Batch, Relayed)>>, Error> {
        match self.next {
            Some((batch, packed))
                if self.relayed.is_complete(self.batch.number.unsigned_abs())
                    && self.ahead.follow(&self.batch, &batch).await? =>
            {
                Ok(Ok(Sending { ahead: self.ahead, batch, packed }))
            }
            _ => Ok(Err(Some((self.batch, self.relayed)))),
        }
    }
}

/// Waits until the lock of a SQLite file, which a turn of `turn` so far has `held` for so long, was free for a third of it: who
/// waits for the lock in another process only looks now and then.
async fn leave_free(held: Duration, turn: Duration) {
    let pause = (held * 3 / 2).saturating_sub(turn);
    // A timer has no shorter one.
    if pause >= Duration::from_millis(1) {
        tokio::time::sleep(pause).await;
    }
}

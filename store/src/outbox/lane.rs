//! A target's turns.

use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;

use super::{
    batch::{self, Next, Packer},
    course::Course,
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
    /// What is on its way, where other batches may follow in the next turn.
    resting: Option<Course>,
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
        let (mut course, mut done) = (self.resting.take(), None);
        loop {
            let goes_on = match &mut course {
                Some(course) => course.step().await?,
                None => false,
            };
            if !goes_on {
                if let Some(ended) = course.take() {
                    held += ended.held;
                    done = ended.end().await?;
                }
                let began = Instant::now();
                let next = batch::advance(store, target, done.take(), self.mine, packer).await?;
                held += began.elapsed();
                match next {
                    Next::Send(batch, packed) => course = Some(Course::begin(store, packer, batch, packed)),
                    Next::Again(batch, packed) => done = Some((batch, packer.client.relay(packed).await?)),
                    Next::Elsewhere(number) => {
                        self.mine = None;
                        self.wait_for(number);
                        return Ok(false);
                    }
                    Next::Nothing => {
                        self.mine = None;
                        return Ok(any);
                    }
                }
            }
            any = true;
            let Some(going) = &mut course else { continue };
            self.mine = going.last();
            held += std::mem::take(&mut going.held);
            if !store.is_postgres() {
                leave_free(held, start.elapsed()).await;
            }
            if start.elapsed() >= TURN || stop.is_cancelled() {
                self.resting = course;
                if !may_rest {
                    self.finish(store, target).await?;
                }
                return Ok(true);
            }
        }
    }

    /// Strikes out what is on its way once it has arrived, and lets nothing follow.
    pub(super) async fn finish(&mut self, store: &Store, target: &str) -> Result<(), Error> {
        let Some(course) = self.resting.take() else { return Ok(()) };
        let done = course.end().await?;
        batch::finish(store, target, done).await
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

/// Waits until the lock of a SQLite file, which a turn of `turn` so far has `held` for so long, was free for a third of it: who
/// waits for the lock in another process only looks now and then.
async fn leave_free(held: Duration, turn: Duration) {
    let pause = (held * 3 / 2).saturating_sub(turn);
    // A timer has no shorter one.
    if pause >= Duration::from_millis(1) {
        tokio::time::sleep(pause).await;
    }
}

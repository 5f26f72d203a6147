//! The loop of a worker: wait for free slots, fetch as many jobs, start them.

use std::{future::poll_fn, pin::pin, sync::Arc, task::Poll, time::Duration};

use millstream_queue::{Error, Retry};
use redis::RedisError;
use tokio::sync::OwnedSemaphorePermit;

use super::{
    batch::Finished,
    cancel,
    epoch::Epoch,
    execute::{execute, is_suspect},
    fetch::{Catch, MOST, Reader, Refusal, Taken},
    hand_back::give_back,
    hands::Place,
    solitude::Alone,
};
use crate::{events, health::Doing};

/// How often a blocked read is asked to end once the worker stops.
const NUDGE: Duration = Duration::from_millis(100);

pub(super) struct FetchLoop<S> {
    epoch: Arc<Epoch<S>>,
    reader: Option<Reader>,
    retry: Retry,
    /// Kept from before the read of a suspect until it has started: were it read while others run, or others started before
    /// a lost reply is made up for, it would be blamed for a crash of theirs.
    alone: Option<Box<Alone>>,
}

impl<S: Send + Sync + 'static> FetchLoop<S> {
    pub(super) fn new(epoch: Arc<Epoch<S>>) -> Self {
        Self { epoch, reader: None, retry: Retry::new("fetch"), alone: None }
    }

    /// Runs until the worker stops or the consumer is fenced.
    pub(super) async fn run(mut self) {
        while let Some(slots) = self.free_slots().await {
            if self.alone.is_none() && self.wants_to_be_alone() {
                self.alone = self.be_alone().await;
                if self.alone.is_none() {
                    continue; // that took its time: whether anything may start is to be asked once more
                }
            }
            let cancels_heard = self.epoch.hands.cancels_heard();
            match self.fetch(slots).await {
                Ok(catch) => self.start(catch, cancels_heard).await,
                Err(error) => self.back_off(error).await,
            }
        }
    }

    /// Waits until something may start: a slot is free, the lease is fresh, the queue is not paused. None at the end.
    async fn free_slots(&mut self) -> Option<usize> {
        let epoch = &self.epoch;
        // A pause of this queue keeps no other waiting.
        self.alone.take_if(|_| epoch.halted.borrow().is_some());
        let progress = &epoch.queue.progress;
        let may_start = async {
            let mut halt = epoch.halted.subscribe();
            let _ = halt.wait_for(|halt| halt.inspect(|why| progress.enter(*why)).is_none()).await;
            progress.enter(Doing::WaitingForLease);
            epoch.lease.fresh_or_fenced().await;
            progress.enter(Doing::WaitingForSlot);
            if self.alone.is_none() {
                // Only this loop takes slots, and who wants to be alone: what is free stays free, or what is read goes back.
                drop(epoch.queue.slots.acquire().await);
            }
        };
        tokio::select! {
            biased;
            () = epoch.process.shutdown.stopping() => None,
            () = epoch.lease.fenced() => None,
            () = may_start => Some(epoch.queue.slots.available_permits().clamp(1, MOST)),
        }
    }

    /// Whether a suspect waits, and it is nobody's turn. What a lost reply delivered comes first: it may be a suspect, too.
    fn wants_to_be_alone(&self) -> bool {
        let lease = &self.epoch.lease;
        lease.has_suspects() && !lease.must_reread() && !self.epoch.process.solitude.is_sought()
    }

    /// Waits until nothing else runs in this process, or has run for too long. None where it is another's turn, or the reason
    /// to wait is gone.
    async fn be_alone(&self) -> Option<Box<Alone>> {
        let epoch = &self.epoch;
        epoch.queue.progress.enter(Doing::WaitingForSlot);
        events::fetch_alone(epoch.lease.queue());
        let mut halt = epoch.halted.subscribe();
        let alone = tokio::select! {
            biased;
            () = epoch.process.shutdown.stopping() => None,
            () = epoch.lease.fenced() => None,
            _ = halt.wait_for(Option::is_some) => None,
            () = epoch.lease.no_suspects() => None,
            alone = epoch.process.solitude.seek() => alone,
        };
        alone.filter(|_| epoch.lease.is_fresh())
    }

    async fn fetch(&mut self, slots: usize) -> Result<Catch, Error> {
        self.epoch.queue.progress.enter(Doing::Fetching);
        let mut reader = match self.reader.take() {
            Some(reader) => reader,
            None => self.connect().await?,
        };
        // What the server handed out in vain comes before anything else: were it a suspect, the next one read must not run
        // while it is pending.
        let catch = self.read(&mut reader, slots).await.inspect_err(|_| self.epoch.lease.ask_for_reread())?;
        self.epoch.queue.progress.read_returned();
        events::fetch_read(self.epoch.lease.queue(), catch.taken.len());
        // Kept only after a success: after an error the connection may still deliver what nobody waits for.
        self.reader = Some(reader);
        self.retry.worked();
        Ok(catch)
    }

    async fn connect(&self) -> Result<Reader, Error> {
        let settings = self.epoch.process.settings;
        let connection = self.epoch.process.client.dedicated(settings.block()).await?;
        let server = self.epoch.servers.number(&connection.run_id);
        Ok(Reader::new(connection, &self.epoch.lease, server, settings))
    }

    /// One read. It is never dropped half-way: the server would hand out what nobody receives.
    async fn read(&self, reader: &mut Reader, slots: usize) -> Result<Catch, RedisError> {
        let epoch = &self.epoch;
        if epoch.lease.take_reread() {
            let before = epoch.hands.snapshot();
            let mut catch = reader.reread(slots, &before).await?;
            if catch.taken.len() >= slots {
                epoch.lease.ask_for_reread(); // there may be more
            }
            let after = epoch.hands.snapshot();
            catch.taken.retain(|taken| !after.contains(taken.place, taken.job_id()));
            return Ok(catch);
        }
        if self.alone.is_some() {
            let catch = reader.read_suspect().await?;
            // Not again before the next beat, so that others have their turn, also in the other queues.
            epoch.lease.set_suspects(false);
            return Ok(catch);
        }
        let client_id = reader.client_id();
        let mut read = pin!(reader.read(slots));
        loop {
            tokio::select! {
                result = &mut read => return result,
                () = self.nudge(client_id) => {}
            }
        }
    }

    /// Once the term is over, asks the server to end a blocked read.
    async fn nudge(&self, client_id: i64) {
        let epoch = &self.epoch;
        if !epoch.is_over() {
            tokio::select! {
                () = epoch.process.shutdown.stopping() => {}
                () = epoch.lease.fenced() => {}
            }
        }
        if let Ok(mut conn) = epoch.process.client.connection().await {
            let _ = redis::cmd("CLIENT").arg("UNBLOCK").arg(client_id).exec_async(&mut conn).await;
        }
        tokio::time::sleep(NUDGE).await;
    }

    /// Starts what was read; `cancels_heard` is from before the read.
    async fn start(&mut self, mut catch: Catch, cancels_heard: u64) {
        // Where a re-read left something for the next one, that may be the suspect.
        let mut alone = self.alone.take();
        if catch.refusal.is_none() && self.epoch.lease.must_reread() {
            self.alone = alone.take_if(|_| !catch.taken.iter().any(is_suspect));
        }
        let epoch = &self.epoch;
        if !catch.gone.is_empty() {
            self.acknowledge_gone(&catch.gone).await;
        }
        match catch.refusal {
            Some(Refusal::Fenced) => epoch.lease.end(),
            // Ahead of the promoter's next look at the settings, so that nothing is read and given back meanwhile.
            Some(Refusal::Paused) => epoch.halt(Some(Doing::Paused)),
            None => {}
        }
        if catch.refusal.is_some() || epoch.is_over() {
            return self.give_back(catch.taken).await;
        }
        // A group that was made again, or a server that lost its last writes, hands out what is in hand already.
        epoch.hands.take(&mut catch.taken, |taken| (taken.place, taken.job_id(), taken.cancel.clone()));
        // In hand first: from here on a signal finds them. What was heard of earlier did not.
        if catch.cancels || epoch.hands.cancels_heard() != cancels_heard {
            self.cancel_marked(&catch.taken).await;
        }
        let is_lone = catch.taken.len() == 1;
        let mut too_many = Vec::new();
        for taken in catch.taken {
            // Permits are taken here, not in the task: the next look at what is free must not count these.
            let (slots, alone) =
                if is_suspect(&taken) { (&epoch.queue.lone_slot, alone.take()) } else { (&epoch.queue.slots, None) };
            let slot = slots.clone().try_acquire_owned().ok();
            let may_start = if is_suspect(&taken) { alone.is_some() } else { slot.is_some() };
            if !may_start && (is_suspect(&taken) || epoch.process.solitude.is_sought()) {
                too_many.push(taken);
                continue;
            }
            if alone.as_ref().is_some_and(|alone| alone.is_beside_others) {
                events::fetch_not_alone(epoch.lease.queue());
            }
            tokio::spawn(run_one(epoch.clone(), taken, slot, alone));
        }
        drop(alone);
        if !too_many.is_empty() {
            epoch.hands.release(too_many.iter().map(|taken| &taken.place));
            self.give_back(too_many).await;
        }
        if is_lone {
            let_start().await;
        }
    }

    /// Cancels those of the jobs that someone asked to cancel before they were in hand.
    async fn cancel_marked(&self, taken: &[Taken]) {
        let jobs: Vec<_> = taken.iter().map(Taken::job_id).collect();
        let mut retry = Retry::new("cancel");
        while !self.epoch.lease.is_fenced() {
            match cancel::marked(&self.epoch, &jobs).await {
                Ok(marked) => return self.epoch.hands.cancel(&marked),
                Err(error) => retry.failed(&error).await,
            }
        }
    }

    /// Entries that must not start here go back to their lanes, with no attempt and no crash counted. Nothing is read until
    /// that is confirmed: a hand-back that is applied late would give away what was read again and runs here.
    async fn give_back(&self, taken: Vec<Taken>) {
        let places: Vec<Place> = taken.iter().map(|taken| taken.place).collect();
        let mut retry = Retry::new("hand back");
        while let Err(error) = give_back(&self.epoch, &places).await {
            if self.epoch.is_over() {
                // This consumer reads no more; they stay pending for it until others rescue them.
                events::fetch_kept(self.epoch.lease.queue(), &error.to_string());
                return;
            }
            retry.failed(&error).await;
        }
    }

    async fn acknowledge_gone(&self, gone: &[Place]) {
        events::fetch_gone(self.epoch.lease.queue(), gone.len());
        let Ok(mut conn) = self.epoch.process.client.connection().await else { return };
        for place in gone {
            let mut ack = redis::cmd("XACK");
            ack.arg(self.epoch.lease.keys().ready(place.lane)).arg(millstream_queue::keys::WORKERS);
            let _ = ack.arg(place.position.to_string()).exec_async(&mut conn).await;
        }
    }

    /// Waits a moment. Lanes that were deleted get their groups back.
    async fn back_off(&mut self, error: Error) {
        self.epoch.queue.progress.enter(Doing::BackingOff);
        let is_groupless = error.server_code().is_some_and(|code| code == "NOGROUP" || code == "UNBLOCKED");
        if is_groupless && let Err(error) = self.epoch.regroup().await {
            self.retry.failed(&error).await;
        }
        self.retry.failed(&error).await;
    }
}

/// Lets the job start that was just spawned, before the next read is built and sent: that takes longer than all else
/// between the server's reply and the handler. Unlike [`tokio::task::yield_now`], which leaves the caller to this thread
/// until it runs out of work, a wake-up makes another thread take over the loop while the job keeps this one.
async fn let_start() {
    let mut has_yielded = false;
    poll_fn(|cx| {
        if std::mem::replace(&mut has_yielded, true) {
            return Poll::Ready(());
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

/// Runs one job in its slot, or in the next one where a read brought too many, and passes on how it ended. A suspect
/// stays `alone` until its finish is confirmed: as long as it is pending, a crash would be blamed on it. What waits when the
/// worker stops never starts, and is handed back with all that is pending.
async fn run_one<S: Send + Sync + 'static>(
    epoch: Arc<Epoch<S>>,
    taken: Taken,
    slot: Option<OwnedSemaphorePermit>,
    alone: Option<Box<Alone>>,
) {
    let slot = match slot {
        Some(slot) => Ok(slot),
        None => {
            let slots = if alone.is_some() { &epoch.queue.lone_slot } else { &epoch.queue.slots };
            tokio::select! {
                biased;
                () = epoch.process.shutdown.stopping() => return epoch.hands.release([taken.place].iter()),
                () = epoch.lease.fenced() => return,
                slot = slots.clone().acquire_owned() => slot,
            }
        }
    };
    if slot.is_ok()
        && let Some(finished) = execute(&epoch, taken).await
    {
        // The finisher ends only with a fenced consumer, whose outcomes nobody accepts.
        let _ = epoch.outcomes.send(Finished { _alone: alone, ..finished }).await;
    }
}

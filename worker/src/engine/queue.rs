//! One queue in one worker process: terms of consumers, one after the other, until the worker stops.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use millstream_queue::{Error, Retry, Signals, keys};
use tokio::{
    sync::{Semaphore, mpsc, watch},
    task::JoinSet,
    time::timeout,
};
use tokio_util::sync::CancellationToken;

use super::{
    Process, cancel,
    epoch::{Epoch, Servers},
    fetch_loop::FetchLoop,
    finish::Finisher,
    hand_back,
    hands::Hands,
    lease::Lease,
    promote, rescue, scripts,
};
use crate::{
    events,
    health::{Doing, Progress},
    settings::BATCH,
};

/// How long what is left may take once handlers are cut off.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// A queue and its slots.
pub(crate) struct Queue {
    pub(super) name: String,
    pub(super) concurrency: u32,
    pub(super) slots: Arc<Semaphore>,
    /// The place of a job that runs alone. Apart from the slots, which are kept from others until its finish is confirmed,
    /// while this is free as soon as it has ended.
    pub(super) lone_slot: Arc<Semaphore>,
    pub(super) progress: Arc<Progress>,
}

impl Queue {
    pub(crate) fn new(name: &str, concurrency: u32) -> Self {
        let slots = Arc::new(Semaphore::new(concurrency as usize));
        let progress = Arc::new(Progress::new(name, concurrency));
        Self { name: name.to_owned(), concurrency, slots, lone_slot: Arc::new(Semaphore::new(1)), progress }
    }

    pub(crate) fn progress(&self) -> &Arc<Progress> {
        &self.progress
    }

    /// Waits until nothing runs.
    async fn all_have_ended(&self) {
        let _ = tokio::join!(self.slots.acquire_many(self.concurrency), self.lone_slot.acquire());
    }

    /// Runs that have not ended.
    fn running(&self) -> usize {
        self.concurrency as usize - self.slots.available_permits() + 1 - self.lone_slot.available_permits()
    }

    /// Works until the worker stops. A consumer that was fenced is followed by one under a fresh name.
    pub(crate) async fn run<S: Send + Sync + 'static>(self: Arc<Self>, process: Arc<Process<S>>) {
        while !process.shutdown.is_stopping() {
            let Some(lease) = self.register(&process).await else { return };
            self.clone().serve(process.clone(), lease).await;
        }
        self.progress.enter(Doing::Ending);
    }

    /// Enters a fresh consumer among the living; none when the worker stopped before that worked.
    async fn register<S>(&self, process: &Process<S>) -> Option<Arc<Lease>> {
        let mut retry = Retry::new("register");
        self.progress.enter(Doing::Registering);
        while !process.shutdown.is_stopping() {
            let lease = Arc::new(Lease::new(&process.client, &self.name, process.settings));
            match self.try_register(process, &lease).await {
                Ok(()) => {
                    events::lease_registered(&self.name, lease.consumer());
                    return Some(lease);
                }
                Err(error) => retry.failed(&error).await,
            }
        }
        None
    }

    async fn try_register<S>(&self, process: &Process<S>, lease: &Lease) -> Result<(), Error> {
        let mut conn = process.client.connection().await?;
        let _: () = scripts::register(lease.keys(), lease.consumer()).invoke_async(&mut conn).await?;
        let registry = keys::queues(process.client.namespace());
        // At maxmemory this is refused, and yet the worker must start, for it is what frees memory.
        if let Err(error) = redis::cmd("SADD").arg(registry).arg(&self.name).exec_async(&mut conn).await {
            events::lease_unlisted(&self.name, &error.to_string());
        }
        for (kind, fields) in process.handlers.searchable(&self.name) {
            if let Err(error) = process.client.declare_searchable(&self.name, kind, fields).await {
                events::lease_undeclared(&self.name, kind, &error.to_string());
            }
        }
        Ok(())
    }

    /// One term: fetches and runs until the consumer is fenced or the worker stops, then brings everything to its end.
    async fn serve<S: Send + Sync + 'static>(self: Arc<Self>, process: Arc<Process<S>>, lease: Arc<Lease>) {
        let hands = Arc::new(Hands::default());
        let servers = Arc::new(Servers::default());
        self.progress.run_under(Some((lease.clone(), hands.clone())));
        let (outcomes, incoming) = mpsc::channel(2 * BATCH);
        let finisher = Finisher::new(process.client.clone(), lease.clone(), hands.clone(), servers.clone(), incoming);
        let epoch = Arc::new(Epoch {
            process,
            queue: self,
            lease: lease.clone(),
            hands: hands.clone(),
            servers,
            outcomes,
            halted: watch::Sender::new(Some(Doing::ReadingSettings)),
            cut_off: CancellationToken::new(),
        });
        let mut finishing = tokio::spawn(finisher.run());
        let mut side_loops = JoinSet::new();
        side_loops.spawn(with_signals(epoch.clone(), promote::run));
        side_loops.spawn(with_signals(epoch.clone(), cancel::run));
        side_loops.spawn(rescue::run(epoch.clone()));
        epoch.process.beats.keep(lease.clone(), hands);

        FetchLoop::new(epoch.clone()).run().await;

        let progress = epoch.queue.progress.clone();
        progress.enter(Doing::Ending);
        side_loops.shutdown().await;
        let (beats, client) = (epoch.process.beats.clone(), epoch.process.client.clone());
        if lease.is_fenced() {
            finishing.abort(); // nobody accepts its outcomes any more
        } else {
            drain(&epoch).await;
            drop(epoch); // with the last run's, the finisher's last sender
            if timeout(LAST_WORDS, &mut finishing).await.is_err() {
                finishing.abort();
            }
        }
        beats.stop(&lease);
        leave(&client, &lease).await;
        progress.run_under(None);
    }
}

/// Runs a loop that listens to the queue's signals.
async fn with_signals<S, F>(epoch: Arc<Epoch<S>>, run: impl FnOnce(Arc<Epoch<S>>, Signals) -> F)
where
    F: Future<Output = ()>,
{
    match epoch.process.client.signals(epoch.lease.queue()).await {
        Ok(signals) => run(epoch, signals).await,
        Err(error) => events::fetch_deaf(epoch.lease.queue(), &error.to_string()),
    }
}

/// Lets running jobs finish for the grace period, cuts off the rest, and hands back what can't be cut off.
async fn drain<S>(epoch: &Arc<Epoch<S>>) {
    let process = &epoch.process;
    let (grace, queue) = (process.settings.grace, &epoch.queue);
    process.solitude.give_up();
    let hurried = async {
        tokio::select! {
            done = timeout(grace, queue.all_have_ended()) => done.is_ok(),
            () = process.shutdown.hurrying() => false,
        }
    };
    if hurried.await {
        return;
    }
    process.was_cut_off.store(true, Ordering::Relaxed);
    epoch.cut_off.cancel();
    if timeout(LAST_WORDS, queue.all_have_ended()).await.is_ok() {
        events::shutdown_handed_back(epoch.lease.queue());
        return;
    }
    let running = queue.running();
    // Handed back while its finish is on its way, a job that has ended would run once more.
    let _ = timeout(LAST_WORDS, nothing_in_hand_but(epoch, running)).await;
    let held = epoch.hands.places();
    events::shutdown_blocked(epoch.lease.queue(), running);
    if let Err(error) = hand_back::give_back(epoch, &held).await {
        events::shutdown_left_behind(epoch.lease.queue(), &error.to_string());
    }
}

/// Waits until all that has ended is confirmed, so that only what runs is in hand.
async fn nothing_in_hand_but<S>(epoch: &Epoch<S>, running: usize) {
    while epoch.hands.count() > running {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// Leaves the living, with nothing pending. What could not be handed back is rescued by others, now or after the lease.
async fn leave(client: &millstream_queue::Client, lease: &Lease) {
    let leave = async {
        if !lease.is_fenced() {
            hand_back::give_back_all(client, lease).await?;
        }
        let mut conn = client.connection().await?;
        let _: () = scripts::leave(lease.keys(), lease.consumer()).invoke_async(&mut conn).await?;
        let _: i64 = scripts::forget(lease.keys(), lease.consumer()).invoke_async(&mut conn).await?;
        Ok::<_, Error>(())
    };
    if let Ok(Err(error)) = timeout(LAST_WORDS, leave).await {
        events::lease_not_left(lease.queue(), &error.to_string());
    }
}

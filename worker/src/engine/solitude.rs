//! A job that killed workers runs alone in its process, so that the next crash can be blamed on it and harms nobody else.
//! Alone is who holds all slots of all queues: they are waited for in the order of the semaphores' queues, so that nothing
//! else starts meanwhile.

use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError},
};

use futures::{FutureExt, future::BoxFuture, future::join_all};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::timeout,
};

use super::queue::Queue;
use crate::settings::Settings;

/// The turn to be alone, and what whoever has it holds.
pub(crate) struct Solitude {
    /// One at a time gathers slots: two that wait for each other's would wait for ever.
    turn: Arc<Semaphore>,
    /// The slots of each queue, and how many there are.
    slots: Vec<(Arc<Semaphore>, u32)>,
    settings: Settings,
    held: Mutex<Held>,
}

/// What keeps others from starting. Dropped, it lets them.
enum Held {
    Nothing,
    /// Every slot of every queue.
    All {
        _slots: Vec<OwnedSemaphorePermit>,
    },
    /// The slots that were free, and those that become free: the wait goes on, and whatever it is given it keeps.
    Rest {
        _waiting: BoxFuture<'static, Vec<OwnedSemaphorePermit>>,
    },
}

/// Nothing else starts in this process while this is kept.
pub(super) struct Alone {
    solitude: Arc<Solitude>,
    /// Others were still running when the wait for them was over.
    pub(super) is_beside_others: bool,
    _turn: OwnedSemaphorePermit,
}

impl Solitude {
    pub(crate) fn new(queues: &[Arc<Queue>], settings: Settings) -> Self {
        let slots = queues.iter().map(|queue| (queue.slots.clone(), queue.concurrency)).collect();
        Self { turn: Arc::new(Semaphore::new(1)), slots, settings, held: Mutex::new(Held::Nothing) }
    }

    /// Whether a suspect is alone in this process, or waits to be.
    pub(super) fn is_sought(&self) -> bool {
        self.turn.available_permits() == 0
    }

    /// Waits until nothing runs in this process, or as long as settled for: then what still runs goes on beside. None while
    /// another has the turn. Dropped half-way, this gives back what it has gathered.
    pub(super) async fn seek(self: &Arc<Self>) -> Option<Box<Alone>> {
        let turn = self.turn.clone().try_acquire_owned().ok()?;
        let mut alone = Alone { solitude: self.clone(), is_beside_others: false, _turn: turn };
        let of_queue = |(slots, all): &(Arc<Semaphore>, u32)| slots.clone().acquire_many_owned(*all);
        let gathering = join_all(self.slots.iter().map(of_queue));
        let mut gathering = gathering.map(|slots| slots.into_iter().flatten().collect()).boxed();
        let held = match timeout(self.settings.solitude_wait, &mut gathering).await {
            Ok(slots) => Held::All { _slots: slots },
            Err(_) => Held::Rest { _waiting: gathering },
        };
        alone.is_beside_others = matches!(held, Held::Rest { .. });
        self.hold(held);
        Some(Box::new(alone))
    }

    /// Gives back all slots, whoever holds them: once the worker stops nothing starts any more, and each queue waits for its
    /// own runs.
    pub(super) fn give_up(&self) {
        self.hold(Held::Nothing);
    }

    fn hold(&self, held: Held) {
        let before = std::mem::replace(&mut *self.held.lock().unwrap_or_else(PoisonError::into_inner), held);
        drop(before); // wakes who waits for a slot: after the lock is free
    }
}

impl Drop for Alone {
    /// The slots first: whoever has the turn next holds his own.
    fn drop(&mut self) {
        self.solitude.give_up();
    }
}

impl fmt::Debug for Alone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Alone").field("is_beside_others", &self.is_beside_others).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn solitude(wait: Duration) -> (Arc<Solitude>, [Arc<Queue>; 2]) {
        let queues = [Arc::new(Queue::new("a", 2)), Arc::new(Queue::new("b", 3))];
        let settings = Settings { solitude_wait: wait, ..Settings::default() };
        (Arc::new(Solitude::new(&queues, settings)), queues)
    }

    fn run(queue: &Queue) -> Option<OwnedSemaphorePermit> {
        queue.slots.clone().try_acquire_owned().ok()
    }

    #[tokio::test]
    async fn whoever_is_alone_has_waited_for_the_runs_of_all_queues_and_none_starts() {
        let (solitude, [a, b]) = solitude(Duration::from_secs(60));
        let running = run(&b).expect("a free slot");
        let mut seeking = Box::pin(solitude.seek());
        assert!(futures::poll!(&mut seeking).is_pending());
        assert!(solitude.is_sought() && run(&a).is_none() && run(&b).is_none(), "a job starts while a suspect waits");
        assert!(solitude.seek().await.is_none(), "two wait for each other");
        drop(running);
        let alone = seeking.await.expect("the turn");
        assert!(!alone.is_beside_others && run(&a).is_none() && run(&b).is_none());
        drop(alone);
        assert!(!solitude.is_sought() && run(&a).is_some() && run(&b).is_some());
    }

    #[tokio::test]
    async fn a_wait_that_is_given_up_leaves_all_slots_free() {
        let (solitude, [a, b]) = solitude(Duration::from_secs(60));
        let running = run(&a);
        let mut seeking = Box::pin(solitude.seek());
        assert!(futures::poll!(&mut seeking).is_pending());
        drop(seeking);
        drop(running);
        assert!(!solitude.is_sought());
        assert_eq!((a.slots.available_permits(), b.slots.available_permits()), (2, 3));
    }

    #[tokio::test]
    async fn the_wait_is_bounded_and_even_then_nothing_more_starts() {
        let (solitude, [a, b]) = solitude(Duration::from_millis(10));
        let running = run(&a);
        let alone = solitude.seek().await.expect("the turn");
        assert!(alone.is_beside_others);
        drop(running);
        assert!(run(&a).is_none() && run(&b).is_none(), "a job starts in the slot of one that ended");
        drop(alone);
        assert_eq!((a.slots.available_permits(), b.slots.available_permits()), (2, 3));
    }

    #[tokio::test]
    async fn a_worker_that_stops_has_all_slots_back_at_once() {
        let (solitude, [a, b]) = solitude(Duration::from_secs(60));
        let alone = solitude.seek().await;
        solitude.give_up();
        assert_eq!((a.slots.available_permits(), b.slots.available_permits()), (2, 3));
        drop(alone);
    }
}

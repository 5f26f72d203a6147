//! Who holds a pool's connections, since when, and from where.

use std::{
    fmt,
    ops::{Deref, DerefMut},
    panic::Location,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use bb8::PooledConnection;
use tracing::warn;

use super::{Bounded, Manager, Shared};

/// A connection that someone holds; see [`Store::leases`](crate::Store::leases).
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Lease {
    /// The pool it came from: `typed`, `raw`, `writer` or `readers`.
    pub pool: &'static str,
    /// File, line and column where it was taken.
    pub place: &'static Location<'static>,
    /// Since then.
    pub held: Duration,
}

/// The leases of one pool, each in a slot of its own.
pub(super) struct Leases {
    pool: &'static str,
    database: Arc<str>,
    size: usize,
    slots: Mutex<Slots>,
}

#[derive(Default)]
struct Slots {
    taken: Vec<Option<Taken>>,
    free: Vec<usize>,
    /// When all connections of the pool were held last, and who held one longest, if one was returned since.
    full: Option<(Instant, Lease)>,
}

impl Slots {
    fn count(&self) -> usize {
        self.taken.len() - self.free.len()
    }

    fn longest(&self) -> Option<&Taken> {
        self.taken.iter().flatten().min_by_key(|taken| taken.since)
    }
}

struct Taken {
    place: &'static Location<'static>,
    since: Instant,
    reported: bool,
}

impl Leases {
    /// Of a pool of so many connections.
    pub(super) fn new(pool: &'static str, database: Arc<str>, size: u32) -> Self {
        Self { pool, database, size: size as usize, slots: Mutex::default() }
    }

    pub(super) fn list(&self) -> Vec<Lease> {
        let mut leases: Vec<Lease> = self.slots().taken.iter().flatten().map(|taken| self.lease(taken)).collect();
        leases.sort_unstable_by_key(|lease| std::cmp::Reverse(lease.held));
        leases
    }

    fn lease(&self, taken: &Taken) -> Lease {
        Lease { pool: self.pool, place: taken.place, held: taken.since.elapsed() }
    }

    /// How many are held now.
    pub(super) fn count(&self) -> usize {
        self.slots().count()
    }

    /// The longest holder, if all connections are held, or were at some time since `start`: of several that give up waiting
    /// at once, the first may return one before the others look.
    pub(super) fn holder_of_full(&self, start: Instant) -> Option<Lease> {
        let slots = self.slots();
        if slots.count() >= self.size {
            return slots.longest().map(|taken| self.lease(taken));
        }
        slots.full.as_ref().filter(|(at, _)| *at >= start).map(|(_, longest)| longest.clone())
    }

    /// Reports each connection that is held for longer than `bound`, once. Returns how many were new.
    fn report(&self, bound: Duration) -> u64 {
        let mut new = 0;
        for taken in self.slots().taken.iter_mut().flatten() {
            let held = taken.since.elapsed();
            if held > bound && !std::mem::replace(&mut taken.reported, true) {
                new += 1;
                warn!(
                    database = &*self.database,
                    pool = self.pool,
                    held_seconds = held.as_secs_f64(),
                    place = %taken.place,
                    "a connection is held for too long: return it, or raise leak_after"
                );
            }
        }
        new
    }

    fn take(&self, place: &'static Location<'static>, since: Instant) -> usize {
        let mut slots = self.slots();
        let taken = Some(Taken { place, since, reported: false });
        match slots.free.pop() {
            Some(slot) => {
                slots.taken[slot] = taken;
                slot
            }
            None => {
                slots.taken.push(taken);
                slots.taken.len() - 1
            }
        }
    }

    fn end(&self, slot: usize) {
        let mut slots = self.slots();
        if slots.count() >= self.size {
            slots.full = slots.longest().map(|taken| (Instant::now(), self.lease(taken)));
        }
        slots.taken[slot] = None;
        slots.free.push(slot);
    }

    fn slots(&self) -> MutexGuard<'_, Slots> {
        self.slots.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Looks for leaks until the pool is gone; never with a bound of zero.
pub(super) fn watch(shared: &Arc<Shared>, bound: Duration) {
    if bound.is_zero() {
        return;
    }
    let shared = Arc::downgrade(shared);
    let mut looks = tokio::time::interval((bound / 4).clamp(Duration::from_millis(10), Duration::from_secs(10)));
    tokio::spawn(async move {
        loop {
            looks.tick().await;
            let Some(shared) = shared.upgrade() else { return };
            shared.counters.leaked(shared.leases.report(bound));
        }
    });
}

/// A pooled connection on loan. Dropping it returns it.
pub(crate) struct Leased<M: Manager> {
    connection: PooledConnection<'static, Bounded<M>>,
    shared: Arc<Shared>,
    slot: usize,
    since: Instant,
}

impl<M: Manager> Leased<M> {
    pub(super) fn new(
        connection: PooledConnection<'static, Bounded<M>>,
        shared: &Arc<Shared>,
        place: &'static Location<'static>,
    ) -> Self {
        let since = Instant::now();
        let slot = shared.leases.take(place, since);
        Self { connection, shared: shared.clone(), slot, since }
    }

    /// Says that what follows may be given up half-way; [`Leased::answered`] takes it back.
    pub(crate) fn doubt(&mut self) {
        self.connection.doubtful = true;
    }

    /// Says that the connection answered.
    pub(crate) fn answered(&mut self) {
        self.connection.doubtful = false;
    }
}

impl<M: Manager> Drop for Leased<M> {
    fn drop(&mut self) {
        self.shared.leases.end(self.slot);
        self.shared.counters.used(self.since.elapsed());
    }
}

impl<M: Manager> Deref for Leased<M> {
    type Target = M::Connection;

    fn deref(&self) -> &M::Connection {
        &self.connection.connection
    }
}

impl<M: Manager> DerefMut for Leased<M> {
    fn deref_mut(&mut self) -> &mut M::Connection {
        &mut self.connection.connection
    }
}

impl<M: Manager> fmt::Debug for Leased<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Leased").field("pool", &self.shared.name).field("since", &self.since).finish()
    }
}

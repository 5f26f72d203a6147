//! A bounded ring between one writer and any number of readers. Readers that fall behind lose the oldest items and are
//! told so; memory is bounded by items and by bytes, however large an item is and however slow a reader.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard},
};

use tokio::sync::Notify;

/// Items that a reader may be behind.
pub(super) const ITEMS: usize = 1024;
/// Bytes that a ring holds, at most (a single item may be larger).
const BYTES: usize = 4 * 1024 * 1024;

/// The writer's end.
pub(super) struct Ring<T> {
    shared: Arc<Shared<T>>,
}

/// A reader's end: gets what is sent after it joined.
pub(crate) struct Tap<T> {
    shared: Arc<Shared<T>>,
    /// Number of the next item to read.
    next: u64,
}

/// The reader was too slow: the ring let go of items that it had not read.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Lagged;

struct Shared<T> {
    items: Mutex<Items<T>>,
    sent: Notify,
}

struct Items<T> {
    queue: VecDeque<(T, usize)>,
    bytes: usize,
    /// Number of the item at the front of `queue`.
    first: u64,
}

impl<T: Clone> Ring<T> {
    pub(super) fn new() -> Self {
        let items = Mutex::new(Items { queue: VecDeque::new(), bytes: 0, first: 0 });
        Self { shared: Arc::new(Shared { items, sent: Notify::new() }) }
    }

    pub(super) fn tap(&self) -> Tap<T> {
        let next = self.shared.items().end();
        Tap { shared: self.shared.clone(), next }
    }

    /// Whether anyone reads.
    pub(super) fn has_taps(&self) -> bool {
        Arc::strong_count(&self.shared) > 1
    }

    /// Adds an item that takes about `bytes` of memory; the oldest leave where there is no room.
    pub(super) fn send(&self, item: T, bytes: usize) {
        let mut items = self.shared.items();
        items.queue.push_back((item, bytes));
        items.bytes += bytes;
        while items.queue.len() > ITEMS || (items.bytes > BYTES && items.queue.len() > 1) {
            let (_, freed) = items.queue.pop_front().expect("a ring over its bounds holds an item");
            items.bytes -= freed;
            items.first += 1;
        }
        drop(items);
        self.shared.sent.notify_waiters();
    }
}

impl<T: Clone> Tap<T> {
    /// The next item. May be dropped and called again without loss; never returns once the writer is gone.
    pub(crate) async fn recv(&mut self) -> Result<T, Lagged> {
        loop {
            // Before the look, so that what is sent right behind it wakes this reader.
            let sent = self.shared.sent.notified();
            {
                let items = self.shared.items();
                if self.next < items.first {
                    self.next = items.first;
                    return Err(Lagged);
                }
                if let Some((item, _)) = items.queue.get((self.next - items.first) as usize) {
                    self.next += 1;
                    return Ok(item.clone());
                }
            }
            sent.await;
        }
    }
}

impl<T> Shared<T> {
    fn items(&self) -> MutexGuard<'_, Items<T>> {
        self.items.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

impl<T> Items<T> {
    fn end(&self) -> u64 {
        self.first + self.queue.len() as u64
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    #[tokio::test]
    async fn every_tap_reads_all_that_is_sent_after_it_joined() {
        let ring = Ring::new();
        ring.send(1, 1);
        let (mut one, mut two) = (ring.tap(), ring.tap());
        ring.send(2, 1);
        ring.send(3, 1);
        assert_eq!((one.recv().await, one.recv().await, two.recv().await), (Ok(2), Ok(3), Ok(2)));
        assert_eq!(one.recv().now_or_never(), None);
    }

    #[tokio::test]
    async fn a_slow_tap_is_told_once_and_goes_on_with_the_oldest_item_left() {
        let ring = Ring::new();
        let mut slow = ring.tap();
        (0..ITEMS + 5).for_each(|item| ring.send(item, 1));
        assert_eq!(slow.recv().await, Err(Lagged));
        assert_eq!(slow.recv().await, Ok(5));
    }

    #[tokio::test]
    async fn large_items_push_out_older_ones() {
        let ring = Ring::new();
        let mut slow = ring.tap();
        (0..10).for_each(|item| ring.send(item, BYTES / 2));
        assert_eq!(slow.recv().await, Err(Lagged));
        assert_eq!((slow.recv().await, slow.recv().await), (Ok(8), Ok(9)));
        ring.send(10, 3 * BYTES);
        assert_eq!(slow.recv().await, Ok(10));
    }

    #[test]
    fn a_ring_knows_whether_anyone_reads() {
        let ring = Ring::<u8>::new();
        let tap = ring.tap();
        assert!(ring.has_taps());
        drop(tap);
        assert!(!ring.has_taps());
    }
}

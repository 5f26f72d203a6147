//! What is in hand: entries from their receipt until their finish is confirmed.

use std::{
    collections::HashSet,
    sync::{Mutex, MutexGuard, PoisonError},
};

use millstream_queue::{Lane, Position};

/// An entry, unmistakable even where a failover made another server hand out the same stream ids.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Place {
    /// Which of the servers met so far, by run id.
    pub(crate) server: u32,
    pub(crate) lane: Lane,
    pub(crate) position: Position,
}

/// The entries in hand of one consumer.
#[derive(Debug, Default)]
pub(crate) struct Hands {
    held: Mutex<HashSet<Place>>,
}

impl Hands {
    fn held(&self) -> MutexGuard<'_, HashSet<Place>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn count(&self) -> usize {
        self.held().len()
    }

    pub(super) fn take(&self, places: impl Iterator<Item = Place>) {
        self.held().extend(places);
    }

    pub(super) fn release<'a>(&self, places: impl Iterator<Item = &'a Place>) {
        let mut held = self.held();
        for place in places {
            held.remove(place);
        }
    }

    pub(super) fn snapshot(&self) -> HashSet<Place> {
        self.held().clone()
    }
}

//! What is in hand: entries from their receipt until their finish is confirmed.

use std::{
    collections::{HashMap, HashSet},
    sync::{Mutex, MutexGuard, PoisonError},
};

use millstream_queue::{Lane, Position};
use uuid::Uuid;

/// An entry, unmistakable even where a failover made another server hand out the same stream ids.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Place {
    /// Which of the servers met so far, by run id.
    pub(crate) server: u32,
    pub(crate) lane: Lane,
    pub(crate) position: Position,
}

/// The entries in hand of one consumer, each with its job.
#[derive(Debug, Default)]
pub(crate) struct Hands {
    held: Mutex<HashMap<Place, Uuid>>,
}

/// What was in hand at one moment.
#[derive(Debug)]
pub(super) struct InHand {
    jobs: HashSet<(Lane, Position, Uuid)>,
}

impl Hands {
    fn held(&self) -> MutexGuard<'_, HashMap<Place, Uuid>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn count(&self) -> usize {
        self.held().len()
    }

    pub(super) fn take(&self, jobs: impl Iterator<Item = (Place, Uuid)>) {
        self.held().extend(jobs);
    }

    pub(super) fn release<'a>(&self, places: impl Iterator<Item = &'a Place>) {
        let mut held = self.held();
        for place in places {
            held.remove(place);
        }
    }

    pub(super) fn places(&self) -> Vec<Place> {
        self.held().keys().copied().collect()
    }

    pub(super) fn snapshot(&self) -> InHand {
        let jobs = self.held().iter().map(|(place, job)| (place.lane, place.position, *job)).collect();
        InHand { jobs }
    }
}

impl InHand {
    /// Whether a job is in hand. A restart leaves it in its place under another run id; a failover may have put another
    /// job there, which is not.
    pub(super) fn contains(&self, place: Place, job: Uuid) -> bool {
        self.jobs.contains(&(place.lane, place.position, job))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_job_stays_in_hand_through_a_restart_and_a_stranger_in_its_place_is_not() {
        let before = Place { server: 0, lane: Lane::Normal, position: Position::at_ms(7) };
        let after = Place { server: 1, ..before };
        let (job, stranger) = (Uuid::from_u128(1), Uuid::from_u128(2));
        let hands = Hands::default();
        hands.take([(before, job)].into_iter());
        assert!(hands.snapshot().contains(after, job));
        assert!(!hands.snapshot().contains(after, stranger));
        hands.release([before].iter());
        assert_eq!(hands.count(), 0);
    }
}

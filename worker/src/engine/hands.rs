//! What is in hand: entries from their receipt until their finish is confirmed.

use std::{
    collections::{HashMap, HashSet},
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use millstream_queue::{Lane, Position};
use tokio_util::sync::CancellationToken;
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
    held: Mutex<HashMap<Place, Held>>,
    /// How often requests to cancel were heard of.
    cancels_heard: AtomicU64,
}

#[derive(Debug)]
struct Held {
    job: Uuid,
    cancel: CancellationToken,
}

/// What was in hand at one moment.
#[derive(Debug)]
pub(super) struct InHand {
    jobs: HashSet<(Lane, Position, Uuid)>,
}

impl Hands {
    fn held(&self) -> MutexGuard<'_, HashMap<Place, Held>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn count(&self) -> usize {
        self.held().len()
    }

    /// Takes entries in hand, each as its place, its job and the token that cancels its run. Those that are in hand already,
    /// be it from an earlier server, are left out of what was taken.
    pub(super) fn take<T>(&self, taken: &mut Vec<T>, describe: impl Fn(&T) -> (Place, Uuid, CancellationToken)) {
        let mut held = self.held();
        taken.retain(|taken| {
            let (place, job, cancel) = describe(taken);
            let is_at = |server| held.get(&Place { server, ..place }).is_some_and(|held| held.job == job);
            if (0..place.server).any(is_at) {
                return false;
            }
            let before = held.insert(place, Held { job, cancel });
            match before {
                Some(before) if before.job == job => {
                    held.insert(place, before);
                    false
                }
                _ => true,
            }
        });
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

    pub(super) fn jobs(&self) -> Vec<Uuid> {
        self.held().values().map(|held| held.job).collect()
    }

    /// Cancels the runs of these jobs.
    pub(super) fn cancel(&self, jobs: &HashSet<Uuid>) {
        self.held().values().filter(|held| jobs.contains(&held.job)).for_each(|held| held.cancel.cancel());
    }

    /// Notes that requests to cancel may have come. Before the look at what is in hand, so that whoever takes jobs in hand
    /// meanwhile knows to look himself.
    pub(super) fn hear_of_cancel(&self) {
        self.cancels_heard.fetch_add(1, Ordering::SeqCst);
    }

    pub(super) fn cancels_heard(&self) -> u64 {
        self.cancels_heard.load(Ordering::SeqCst)
    }

    pub(super) fn snapshot(&self) -> InHand {
        let jobs = self.held().iter().map(|(place, held)| (place.lane, place.position, held.job)).collect();
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
        let take = |place, job| {
            let mut taken = vec![(place, job)];
            hands.take(&mut taken, |(place, job)| (*place, *job, CancellationToken::new()));
            taken.len()
        };
        assert_eq!(take(before, job), 1);
        assert_eq!(take(before, job), 0, "it is in hand already");
        assert_eq!(take(after, job), 0, "it is in hand from the server before");
        assert_eq!(take(after, stranger), 1);
        hands.release([after].iter());
        assert!(hands.snapshot().contains(after, job));
        assert!(!hands.snapshot().contains(after, stranger));
        hands.release([before].iter());
        assert_eq!(hands.count(), 0);
    }
}

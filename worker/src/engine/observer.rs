//! Who of the other consumers stands still. Measured on the observer's own monotonic clock, so that no clock that is set,
//! and no outage of Redis, makes a living consumer look dead.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use crate::settings::Settings;

/// The counters of the others as seen over consecutive looks.
#[derive(Debug)]
pub(crate) struct Observer {
    lease: Duration,
    longest_gap: Duration,
    last_look: Option<Instant>,
    seen: HashMap<String, Seen>,
}

#[derive(Debug)]
struct Seen {
    counter: String,
    /// When the first look that showed this counter was answered.
    since: Instant,
}

impl Observer {
    pub(super) fn new(settings: Settings) -> Self {
        Self { lease: settings.lease, longest_gap: settings.longest_look_gap(), last_look: None, seen: HashMap::new() }
    }

    /// Who stood still for a whole lease, when the next look is sent at `sending`, with the counter at which it stands.
    pub(super) fn stood_still(&self, sending: Instant) -> Vec<(String, String)> {
        if self.is_gap(sending) {
            return Vec::new();
        }
        let still = self.seen.iter().filter(|(_, seen)| sending.duration_since(seen.since) >= self.lease);
        still.map(|(consumer, seen)| (consumer.clone(), seen.counter.clone())).collect()
    }

    /// Takes in a look that was sent at `sent` and answered at `answered`. After too long a gap everything starts afresh.
    pub(super) fn look(&mut self, sent: Instant, answered: Instant, counters: Vec<(String, String)>) {
        if self.is_gap(sent) || answered.duration_since(sent) > self.longest_gap {
            self.seen.clear();
        }
        self.last_look = Some(answered);
        let mut before = std::mem::take(&mut self.seen);
        for (consumer, counter) in counters {
            let seen = match before.remove(&consumer) {
                Some(seen) if seen.counter == counter => seen,
                _ => Seen { counter, since: answered },
            };
            self.seen.insert(consumer, seen);
        }
    }

    fn is_gap(&self, sent: Instant) -> bool {
        self.last_look.is_none_or(|last| sent.duration_since(last) > self.longest_gap)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    /// Looks once a second, answered at once, at a consumer that stands at 7; returns when it is declared dead.
    fn seconds_until_dead(observer: &mut Observer, mut now: Instant, skip: std::ops::Range<u32>) -> Option<u32> {
        for second in 0..60 {
            if !skip.contains(&second) {
                if !observer.stood_still(now).is_empty() {
                    return Some(second);
                }
                observer.look(now, now, vec![("other".into(), "7".into())]);
            }
            now += SECOND;
        }
        None
    }

    #[test]
    fn ten_seconds_of_standing_still_are_death() {
        let mut observer = Observer::new(Settings::default());
        assert_eq!(seconds_until_dead(&mut observer, Instant::now(), 0..0), Some(10));
    }

    #[test]
    fn an_outage_starts_the_count_afresh() {
        let mut observer = Observer::new(Settings::default());
        assert_eq!(seconds_until_dead(&mut observer, Instant::now(), 5..17), Some(27));
    }

    #[test]
    fn a_beat_starts_the_count_afresh() {
        let mut observer = Observer::new(Settings::default());
        let start = Instant::now();
        for second in 0..30 {
            let now = start + SECOND * second;
            assert!(observer.stood_still(now).is_empty());
            observer.look(now, now, vec![("other".into(), (second / 5).to_string())]);
        }
    }
}

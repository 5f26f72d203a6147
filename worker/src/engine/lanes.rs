//! In which order the lanes of a queue are read while slots are scarce.

use millstream_queue::Lane;

use crate::settings::Priorities;

/// Lanes in the order in which their jobs run; suspects are read apart, by who is alone in the process.
pub(super) const BY_PRIORITY: [Lane; 3] = [Lane::High, Lane::Normal, Lane::Low];
const FROM_THE_LOWEST: [Lane; 3] = [Lane::Low, Lane::Normal, Lane::High];

/// Strict priority begins one of so many reads with the lowest lane, so that a flood of urgent jobs starves nobody.
const FLOOR: u32 = 16;

/// The order of the next read, and the next.
#[derive(Debug)]
pub(super) struct LaneOrder {
    priorities: Priorities,
    reads: u32,
    credits: [i64; 3],
}

impl LaneOrder {
    pub(super) fn new(priorities: Priorities) -> Self {
        Self { priorities, reads: 0, credits: [0; 3] }
    }

    pub(super) fn next(&mut self) -> [Lane; 3] {
        match self.priorities {
            Priorities::Strict => {
                self.reads = self.reads.wrapping_add(1);
                if self.reads.is_multiple_of(FLOOR) { FROM_THE_LOWEST } else { BY_PRIORITY }
            }
            Priorities::Weighted { high, normal, low } => self.weighted([high, normal, low]),
        }
    }

    /// Smooth weighted round robin, as nginx balances loads: each lane earns its weight, the richest comes first and pays for
    /// the round.
    fn weighted(&mut self, weights: [u32; 3]) -> [Lane; 3] {
        let weights = weights.map(|weight| i64::from(weight.max(1)));
        for (credit, weight) in self.credits.iter_mut().zip(weights) {
            *credit += weight;
        }
        let first = (0..3).rev().max_by_key(|lane| self.credits[*lane]).unwrap_or(0);
        self.credits[first] -= weights.iter().sum::<i64>();
        let mut order = BY_PRIORITY;
        order[..=first].rotate_right(1);
        order
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn firsts(priorities: Priorities, reads: usize) -> [usize; 3] {
        let mut order = LaneOrder::new(priorities);
        let mut counts = [0; 3];
        for _ in 0..reads {
            counts[usize::from(order.next()[0].index())] += 1;
        }
        counts
    }

    #[test]
    fn strict_priority_begins_with_the_lowest_lane_once_in_sixteen_reads() {
        assert_eq!(firsts(Priorities::Strict, 160), [150, 0, 10]);
        let mut order = LaneOrder::new(Priorities::Strict);
        assert!((0..15).all(|_| order.next() == BY_PRIORITY));
        assert_eq!(order.next(), FROM_THE_LOWEST);
    }

    #[test]
    fn weights_share_the_first_place_and_none_is_left_out() {
        assert_eq!(firsts(Priorities::Weighted { high: 6, normal: 3, low: 1 }, 100), [60, 30, 10]);
        assert_eq!(firsts(Priorities::Weighted { high: 1, normal: 1, low: 1 }, 99), [33, 33, 33]);
        assert_eq!(firsts(Priorities::Weighted { high: 98, normal: 0, low: 0 }, 100), [98, 1, 1]);
    }

    #[test]
    fn the_other_lanes_follow_by_priority() {
        let mut order = LaneOrder::new(Priorities::Weighted { high: 1, normal: 1, low: 1 });
        let round: Vec<_> = (0..3).map(|_| order.next()).collect();
        assert_eq!(round[0], BY_PRIORITY);
        assert_eq!(round[1], [Lane::Normal, Lane::High, Lane::Low]);
        assert_eq!(round[2], [Lane::Low, Lane::High, Lane::Normal]);
    }
}

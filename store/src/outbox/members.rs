//! Which rows a batch has.

use serde::{Deserialize, Serialize};

/// What is written down of a target while a batch is on its way.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct OnItsWay {
    pub(super) batch: Members,
    /// Rows of the batch before, where that is on its way too.
    #[serde(skip_serializing_if = "Members::is_empty")]
    pub(super) before: Members,
    /// Rows that have arrived with earlier batches and need not be deleted yet.
    #[serde(skip_serializing_if = "Members::is_empty")]
    pub(super) arrived: Members,
}

impl OnItsWay {
    pub(super) fn to_text(&self) -> String {
        serde_json::to_string(self).expect("numbers are JSON")
    }

    /// What [`to_text`](Self::to_text) wrote, or an array of the numbers of a batch's rows. Empty where it is something else.
    pub(super) fn parse(text: &str) -> Self {
        serde_json::from_str(text).unwrap_or_else(|_| {
            let seqs: Vec<i64> = serde_json::from_str(text).unwrap_or_default();
            Self { batch: Members::new(seqs), ..Self::default() }
        })
    }
}

/// The numbers of a batch's rows, as ranges without gaps, ascending: the first and the last of each.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Members(Vec<(i64, i64)>);

impl Members {
    /// Of numbers that ascend.
    pub(super) fn new(seqs: impl IntoIterator<Item = i64>) -> Self {
        let mut ranges: Vec<(i64, i64)> = Vec::new();
        for seq in seqs {
            match ranges.last_mut() {
                Some((_, last)) if *last + 1 == seq => *last = seq,
                _ => ranges.push((seq, seq)),
            }
        }
        Self(ranges)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn count_ranges(&self) -> usize {
        self.0.len()
    }

    /// None where there are none.
    pub(super) fn last(&self) -> Option<i64> {
        self.0.last().map(|(_, last)| *last)
    }

    /// Takes others in, which are not among them.
    pub(super) fn join(&mut self, others: Members) {
        self.0.extend(others.0);
        self.0.sort_unstable();
        self.0.dedup_by(|(first, last), (_, before)| {
            let is_next = *before + 1 == *first;
            if is_next {
                *before = *last;
            }
            is_next
        });
    }

    /// Takes those out that are not above `seq` or follow it without a gap. The last of them, or `seq`.
    pub(super) fn take_behind(&mut self, seq: i64) -> i64 {
        let mut end = seq;
        self.0.retain(|(first, last)| {
            let is_behind = *first <= end + 1;
            if is_behind {
                end = end.max(*last);
            }
            !is_behind
        });
        end
    }

    /// The SQL condition that a row is among them; numbers only, so nothing has to be escaped. In this form both databases walk
    /// the index once from the first to the last and look into a list that they hash, instead of looking for each number.
    pub(super) fn condition(&self) -> String {
        let (Some((first, _)), Some((_, last))) = (self.0.first(), self.0.last()) else { return "1 = 0".to_owned() };
        let range = format!("seq BETWEEN {first} AND {last}");
        if self.0.len() == 1 {
            return range;
        }
        let seqs = self.0.iter().flat_map(|(first, last)| *first..=*last);
        let seqs: Vec<String> = seqs.map(|seq| format!("({seq})")).collect();
        format!("{range} AND (seq IN (VALUES {})) IS TRUE", seqs.join(","))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_without_gaps_are_one_range() {
        let members = Members::new([4, 5, 6, 9, 11, 12]);
        assert_eq!(members.condition(), "seq BETWEEN 4 AND 12 AND (seq IN (VALUES (4),(5),(6),(9),(11),(12))) IS TRUE");
        assert_eq!(Members::new(1..=2048).condition(), "seq BETWEEN 1 AND 2048");
        assert_eq!(Members::new([]).condition(), "1 = 0");
    }

    #[test]
    fn numbers_are_taken_up_to_the_first_gap() {
        let mut members = Members::new([7, 8, 12]);
        members.join(Members::new([4, 5, 9, 20]));
        assert_eq!(members, Members::new([4, 5, 7, 8, 9, 12, 20]));
        assert_eq!(members.take_behind(2), 2);
        assert_eq!(members.take_behind(3), 5);
        assert_eq!(members.take_behind(8), 9);
        assert_eq!((members.last(), members), (Some(20), Members::new([12, 20])));
    }

    #[test]
    fn what_is_on_its_way_is_read_back() {
        let mut on_its_way = OnItsWay { batch: Members::new([4, 5, 6, 9]), ..OnItsWay::default() };
        assert_eq!(on_its_way.to_text(), r#"{"batch":[[4,6],[9,9]]}"#);
        assert_eq!(OnItsWay::parse("[4,5,6,9]"), on_its_way);
        (on_its_way.before, on_its_way.arrived) = (Members::new([3]), Members::new([1, 2]));
        assert_eq!(OnItsWay::parse(&on_its_way.to_text()), on_its_way);
        assert_eq!(OnItsWay::parse("{"), OnItsWay::default());
    }
}

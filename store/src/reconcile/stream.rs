//! How far a queue's streams have come and what has left them, as watermarks keep it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Milliseconds and sequence number.
pub(super) type StreamId = (u64, u64);

/// What a look at a queue has seen.
#[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Seen {
    /// By what the books are known, until they are lost and begin anew; empty where the version before wrote it.
    #[serde(default)]
    pub(super) begun: String,
    /// Of `later` and `dead`: the jobs that Millstream has put there and not taken out, less those that are there. Less than
    /// nothing where others put jobs there too. Missing where not all who take jobs out count them.
    #[serde(default)]
    pub(super) missing: BTreeMap<String, i64>,
    /// The lanes and `done`.
    #[serde(flatten)]
    pub(super) streams: BTreeMap<String, Stream>,
}

impl Seen {
    pub(super) fn has_books(&self) -> bool {
        !self.begun.is_empty() && !self.missing.is_empty() && self.streams.values().all(|stream| stream.books.is_some())
    }
}

/// One of a queue's streams at one moment; one that is not there has come nowhere.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(from = "Kept", into = "Kept")]
pub(super) struct Stream {
    /// Entries ever added.
    pub(super) added: i64,
    /// The id of the last entry ever added.
    pub(super) last: StreamId,
    /// None where not all who delete entries count them, or where the version that set the watermark knew no books.
    pub(super) books: Option<Books>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Books {
    /// Entries that are there.
    pub(super) there: i64,
    /// Entries that Millstream's scripts have deleted, all in all.
    pub(super) left: i64,
}

/// In JSON.
#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum Kept {
    Balanced(i64, StreamId, i64, i64),
    Come(i64, StreamId),
}

impl From<Stream> for Kept {
    fn from(Stream { added, last, books }: Stream) -> Self {
        match books {
            Some(Books { there, left }) => Kept::Balanced(added, last, there, left),
            None => Kept::Come(added, last),
        }
    }
}

impl From<Kept> for Stream {
    fn from(kept: Kept) -> Self {
        match kept {
            Kept::Balanced(added, last, there, left) => Self { added, last, books: Some(Books { there, left }) },
            Kept::Come(added, last) => Self { added, last, books: None },
        }
    }
}

/// What became of a stream between two looks.
#[derive(Debug, PartialEq)]
pub(super) enum Change {
    Balanced,
    /// It has come less far than it had: so many entries less.
    WentBack(i64),
    /// Someone else has deleted so many of its entries.
    Taken(i64),
    /// It was deleted with at least so many entries, and filled anew.
    Remade(i64),
    /// The books themselves went back, so nothing can be told.
    BooksWentBack,
}

impl Stream {
    /// `had` is what was seen before.
    ///
    /// Whatever entered is counted by Redis, whatever Millstream deletes by the books; both are written together, so that they go
    /// back together too. What is missing beyond that, added − there − left, only grows, and by nothing but what others delete.
    pub(super) fn since(&self, had: &Stream) -> Change {
        if self.added < had.added || self.last < had.last {
            return Change::WentBack((had.added - self.added).max(1));
        }
        let (Some(now), Some(before)) = (self.books, had.books) else { return Change::Balanced };
        if now.left < before.left {
            return Change::BooksWentBack;
        }
        let missing_before = had.added - before.there - before.left;
        let missing = self.added - now.there - now.left;
        match missing - missing_before {
            0 => Change::Balanced,
            more @ 1.. => Change::Taken(more),
            // Of two streams of one name at least had.added + self.added entered, and `left` of both were taken out.
            less => Change::Remade((had.added + less).max(1)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stream(added: i64, there: i64, left: i64) -> Stream {
        Stream { added, last: (added.unsigned_abs(), 0), books: Some(Books { there, left }) }
    }

    #[test]
    fn what_comes_and_goes_by_the_books_balances() {
        assert_eq!(stream(10, 4, 6).since(&stream(7, 7, 0)), Change::Balanced);
    }

    #[test]
    fn books_that_begin_late_balance_from_their_first_look_on() {
        let begun = stream(1000, 10, 3);
        assert_eq!(stream(1010, 10, 13).since(&begun), Change::Balanced);
        assert_eq!(stream(1010, 8, 13).since(&begun), Change::Taken(2));
    }

    #[test]
    fn a_stream_made_anew_had_what_is_missing_in_it() {
        assert_eq!(stream(2000, 2000, 995).since(&stream(1000, 5, 995)), Change::Remade(5));
    }

    #[test]
    fn going_back_comes_before_the_books() {
        assert_eq!(stream(5, 5, 0).since(&stream(12, 2, 10)), Change::WentBack(7));
        assert_eq!(stream(12, 12, 0).since(&stream(12, 2, 10)), Change::BooksWentBack);
    }

    #[test]
    fn watermarks_of_a_version_without_books_are_read_and_blame_nobody() {
        let before: Stream = serde_json::from_str("[12,[5,1]]").expect("what the version before wrote");
        assert_eq!(before, Stream { added: 12, last: (5, 1), books: None });
        assert_eq!(stream(20, 0, 1).since(&before), Change::Balanced);
        assert_eq!(stream(11, 0, 1).since(&before), Change::WentBack(1));
        let seen = Seen {
            begun: "17.5".to_owned(),
            missing: BTreeMap::from([("later".to_owned(), -3)]),
            streams: BTreeMap::from([("done".to_owned(), before), ("low".to_owned(), stream(12, 2, 10))]),
        };
        let now = serde_json::to_string(&seen).expect("JSON");
        assert_eq!(now, r#"{"begun":"17.5","missing":{"later":-3},"done":[12,[5,1]],"low":[12,[12,0],2,10]}"#);
        assert_eq!(serde_json::from_str::<Seen>(&now).expect("read again"), seen);
        let old: Seen = serde_json::from_str(r#"{"done":[12,[5,1]]}"#).expect("what the version before wrote");
        assert!(!old.has_books() && old.streams["done"] == before);
    }
}

//! A follower's own way through the stream: its position, and what it remembers of the last events to tell whether the
//! stream is still the one it read. A promoted replica may give the same stream ids to other events.

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
};

use redis::{RedisError, Value};

use super::super::{Position, envelope::Kept};
use crate::{Client, Error};

/// Events per read.
const PAGE: usize = 256;
/// Events remembered: how far back a failover's cut is found exactly.
const REMEMBERED: usize = 64;

/// What is under a follower's feet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Footing {
    Firm,
    Gap { from: Position, to: Position },
}

pub(super) enum Page {
    /// The events right behind the position; with `is_last`, nothing lay behind them when they were read.
    Next { events: Vec<Arc<Kept>>, is_last: bool },
    /// Events behind the position may be gone.
    Unsure,
}

pub(super) struct CatchUp {
    client: Client,
    log: String,
    position: Position,
    /// The latest events passed, as (position, event id), newest last.
    passed: VecDeque<(Position, String)>,
    /// How many events the stream had been given up to the position, so far as is known; never too many.
    ordinal: u64,
    /// Retention had passed the position before the follower began: up to where.
    began_late: Option<Position>,
}

/// What the stream says of itself, all at one moment.
#[derive(Default)]
struct Facts {
    /// Events that it was ever given.
    added: u64,
    /// Those that it no longer holds.
    removed: u64,
    /// Where it begins.
    first: Option<Position>,
    newest: Option<Kept>,
    /// The newest position that it ever gave.
    last_given: Position,
}

impl CatchUp {
    pub(super) fn new(client: Client, log: String) -> Self {
        Self { client, log, position: Position::START, passed: VecDeque::new(), ordinal: 0, began_late: None }
    }

    pub(super) fn position(&self) -> Position {
        self.position
    }

    /// Begins behind the newest event.
    pub(super) async fn start_at_end(&mut self) -> Result<(), Error> {
        let stream = self.facts().await?;
        match stream.newest {
            Some(event) => {
                self.ordinal = stream.added - 1;
                self.passed(&event);
            }
            None => self.stand_at(stream.last_given, stream.added),
        }
        Ok(())
    }

    /// Begins behind `position`; if an event stands just there, it is remembered as passed.
    pub(super) async fn start_behind(&mut self, position: Position) -> Result<(), Error> {
        let stream = self.facts().await?;
        self.stand_at(position, stream.removed);
        let here = position.to_string();
        if let Some(event) = self.range(&here, &here, 1).await?.first() {
            self.passed(event);
        } else if position != Position::START && stream.removed > 0 {
            let first = stream.first.unwrap_or(stream.last_given);
            self.began_late = (first > position).then_some(first);
        }
        Ok(())
    }

    /// Notes that an event went to the application.
    pub(super) fn passed(&mut self, event: &Kept) {
        self.position = event.position;
        self.ordinal += 1;
        if self.passed.len() == REMEMBERED {
            self.passed.pop_front();
        }
        self.passed.push_back((event.position, event.id()));
    }

    /// Whether the last event passed is still where it was. If not, steps back to the newest one that is, or forward to
    /// what retention left.
    pub(super) async fn verify(&mut self) -> Result<Footing, Error> {
        if let Some(first) = self.began_late.take() {
            return Ok(Footing::Gap { from: self.position, to: first });
        }
        let Some(&(last, _)) = self.passed.back() else { return self.verify_by_count().await };
        let still_there = self.still_there().await?;
        if still_there.contains(&last) {
            return Ok(Footing::Firm);
        }
        if let Some(certain) = still_there.iter().max().copied() {
            self.ordinal -= self.passed.iter().filter(|(passed, _)| *passed > certain).count() as u64;
            self.passed.retain(|(passed, _)| *passed <= certain);
            self.position = certain;
            return Ok(Footing::Gap { from: certain, to: last });
        }
        let stream = self.facts().await?;
        let next = stream.first.unwrap_or(stream.last_given);
        if next < last || stream.first == Some(last) {
            // Another stream, or none: all that comes is new.
            self.stand_at(Position::START, stream.removed);
            return Ok(Footing::Gap { from: Position::START, to: last });
        }
        // Retention took the last event passed. Did it take more?
        let nothing_more = stream.removed == self.ordinal;
        self.stand_at(last, stream.removed);
        Ok(if nothing_more { Footing::Firm } else { Footing::Gap { from: last, to: next } })
    }

    /// The same without an event to recognise: has the stream lost events that lay behind the position?
    async fn verify_by_count(&mut self) -> Result<Footing, Error> {
        let stream = self.facts().await?;
        let lost_some = stream.removed > self.ordinal;
        self.ordinal = stream.removed;
        let first = stream.first.unwrap_or(stream.last_given);
        if lost_some && first > self.position {
            return Ok(Footing::Gap { from: self.position, to: first });
        }
        Ok(Footing::Firm)
    }

    /// The next events behind the position, read together with the last one passed: while that stands where it stood,
    /// nothing behind it is gone.
    pub(super) async fn page(&self) -> Result<Page, Error> {
        let events = match self.passed.back() {
            Some((last, id)) => {
                let mut events = self.range(&last.to_string(), "+", PAGE + 1).await?;
                if events.first().is_none_or(|event| event.position != *last || event.id() != *id) {
                    return Ok(Page::Unsure);
                }
                events.remove(0);
                events
            }
            None => self.range(&format!("({}", self.position), "+", PAGE).await?,
        };
        if self.passed.is_empty() && !events.is_empty() && self.facts().await?.removed > self.ordinal {
            return Ok(Page::Unsure);
        }
        let is_last = events.len() < PAGE;
        Ok(Page::Next { events: events.into_iter().map(Arc::new).collect(), is_last })
    }

    /// Stands at a position without an event there.
    fn stand_at(&mut self, position: Position, ordinal: u64) {
        self.passed.clear();
        self.position = position;
        self.ordinal = ordinal;
    }

    /// Which remembered events are still in their places.
    async fn still_there(&self) -> Result<Vec<Position>, Error> {
        let mut pipeline = redis::pipe();
        for (position, _) in &self.passed {
            pipeline.cmd("XRANGE").arg(&self.log).arg(position.to_string()).arg(position.to_string());
        }
        let replies: Vec<Value> = pipeline.query_async(&mut self.client.connection().await?).await?;
        let found = replies.into_iter().map(Kept::list).zip(&self.passed);
        let same = found.filter(|(events, (_, id))| events.first().is_some_and(|event| event.id() == *id));
        Ok(same.map(|(_, (position, _))| *position).collect())
    }

    /// Nothing and zero where there is no stream.
    async fn facts(&self) -> Result<Facts, Error> {
        let mut conn = self.client.connection().await?;
        let asked = redis::cmd("XINFO").arg("STREAM").arg(&self.log).query_async(&mut conn).await;
        let mut info: HashMap<String, Value> = match asked {
            Err(error) if is_no_such_key(&error) => return Ok(Facts::default()),
            asked => asked?,
        };
        let number = |field| match info.get(field) {
            Some(Value::Int(number)) => u64::try_from(*number).unwrap_or(0),
            _ => 0,
        };
        let (length, added) = (number("length"), number("entries-added"));
        let last_given = match info.get("last-generated-id") {
            Some(Value::BulkString(id)) => std::str::from_utf8(id).ok().and_then(|id| id.parse().ok()),
            _ => None,
        };
        Ok(Facts {
            // A stream that an older server began may have been counted from its middle.
            added: added.max(length),
            removed: added.saturating_sub(length),
            first: info.remove("first-entry").and_then(Kept::from_value).map(|event| event.position),
            newest: info.remove("last-entry").and_then(Kept::from_value),
            last_given: last_given.unwrap_or_default(),
        })
    }

    async fn range(&self, from: &str, to: &str, count: usize) -> Result<Vec<Kept>, Error> {
        let mut conn = self.client.connection().await?;
        let mut range = redis::cmd("XRANGE");
        let reply = range.arg(&self.log).arg(from).arg(to).arg("COUNT").arg(count).query_async(&mut conn).await?;
        Ok(Kept::list(reply))
    }
}

fn is_no_such_key(error: &RedisError) -> bool {
    error.detail().is_some_and(|detail| detail.contains("no such key"))
}

//! A follower's own way through the stream: its position, and what it remembers of the last events to tell whether the
//! stream is still the one it read. A promoted replica may give the same stream ids to other events.

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
};

use redis::Value;

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
    /// While there is no event passed to recognise the stream by: how many events it had lost when that was last known
    /// to be none of this follower's.
    removed: u64,
    /// Retention had passed the position before the follower began: up to where.
    began_late: Option<Position>,
}

/// What the stream says of its past.
#[derive(Default)]
struct Past {
    /// Events that it once held and no longer does.
    removed: u64,
    /// The newest position that it ever gave.
    last: Position,
}

impl CatchUp {
    pub(super) fn new(client: Client, log: String) -> Self {
        Self { client, log, position: Position::START, passed: VecDeque::new(), removed: 0, began_late: None }
    }

    pub(super) fn position(&self) -> Position {
        self.position
    }

    /// Begins behind the newest event.
    pub(super) async fn start_at_end(&mut self) -> Result<(), Error> {
        let past = self.past().await?;
        match self.range("XREVRANGE", "+", "-", 1).await?.first() {
            Some(event) => self.passed(event),
            None => self.stand_at(past.last, past.removed),
        }
        Ok(())
    }

    /// Begins behind `position`; if an event stands just there, it is remembered as passed.
    pub(super) async fn start_behind(&mut self, position: Position) -> Result<(), Error> {
        let past = self.past().await?;
        self.stand_at(position, past.removed);
        let here = position.to_string();
        if let Some(event) = self.range("XRANGE", &here, &here, 1).await?.first() {
            self.passed(event);
        } else if position != Position::START && past.removed > 0 {
            let first = self.first().await?.unwrap_or(past.last);
            self.began_late = (first > position).then_some(first);
        }
        Ok(())
    }

    /// Notes that an event went to the application.
    pub(super) fn passed(&mut self, event: &Kept) {
        self.position = event.position;
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
        // The past is asked for first: what is removed after it is noticed with the next page.
        let past = self.past().await?;
        let Some(&(last, _)) = self.passed.back() else { return self.verify_by(&past).await };
        let (still_there, first) = self.look().await?;
        if still_there.contains(&last) {
            return Ok(Footing::Firm);
        }
        if let Some(certain) = still_there.iter().max().copied() {
            self.passed.retain(|(passed, _)| *passed <= certain);
            self.position = certain;
            return Ok(Footing::Gap { from: certain, to: last });
        }
        match first {
            // Retention passed the follower. The next event is the first one left.
            Some(first) if first > last => {
                self.stand_at(last, past.removed);
                Ok(Footing::Gap { from: last, to: first })
            }
            // Retention took everything.
            None if past.last >= last => {
                self.stand_at(past.last, past.removed);
                Ok(if past.last == last { Footing::Firm } else { Footing::Gap { from: last, to: past.last } })
            }
            // Another stream, or none: all that comes is new.
            _ => {
                self.stand_at(Position::START, past.removed);
                Ok(Footing::Gap { from: Position::START, to: last })
            }
        }
    }

    /// The same without an event to recognise: has the stream lost events that lay behind the position?
    async fn verify_by(&mut self, past: &Past) -> Result<Footing, Error> {
        let lost_some = past.removed > self.removed;
        self.removed = past.removed;
        let first = self.first().await?.unwrap_or(past.last);
        if lost_some && first > self.position {
            return Ok(Footing::Gap { from: self.position, to: first });
        }
        Ok(Footing::Firm)
    }

    /// The next events behind the position, read together with the last one passed: while that stands where it stood,
    /// nothing behind it is gone.
    pub(super) async fn page(&self) -> Result<Page, Error> {
        let mut events = match self.passed.back() {
            Some((last, id)) => {
                let mut events = self.range("XRANGE", &last.to_string(), "+", PAGE + 1).await?;
                if events.first().is_none_or(|event| event.position != *last || event.id() != *id) {
                    return Ok(Page::Unsure);
                }
                events.remove(0);
                events
            }
            None => self.range("XRANGE", &format!("({}", self.position), "+", PAGE).await?,
        };
        if self.passed.is_empty() && !events.is_empty() && self.past().await?.removed > self.removed {
            return Ok(Page::Unsure);
        }
        let is_last = events.len() < PAGE;
        Ok(Page::Next { events: events.drain(..).map(Arc::new).collect(), is_last })
    }

    /// Stands at a position without an event there.
    fn stand_at(&mut self, position: Position, removed: u64) {
        self.passed.clear();
        self.position = position;
        self.removed = removed;
    }

    /// Which remembered events are still in their places, and the first event of the stream.
    async fn look(&self) -> Result<(Vec<Position>, Option<Position>), Error> {
        let mut pipeline = redis::pipe();
        for (position, _) in &self.passed {
            pipeline.cmd("XRANGE").arg(&self.log).arg(position.to_string()).arg(position.to_string());
        }
        pipeline.cmd("XRANGE").arg(&self.log).arg("-").arg("+").arg("COUNT").arg(1);
        let mut replies: Vec<Value> = pipeline.query_async(&mut self.client.connection().await?).await?;
        let first = replies.pop().map(Kept::list).and_then(|events| Some(events.first()?.position));
        let found = replies.into_iter().map(Kept::list).zip(&self.passed);
        let same = found.filter(|(events, (_, id))| events.first().is_some_and(|event| event.id() == *id));
        Ok((same.map(|(_, (position, _))| *position).collect(), first))
    }

    async fn first(&self) -> Result<Option<Position>, Error> {
        Ok(self.range("XRANGE", "-", "+", 1).await?.first().map(|event| event.position))
    }

    /// Nothing where there is no stream.
    async fn past(&self) -> Result<Past, Error> {
        let mut conn = self.client.connection().await?;
        let asked = redis::cmd("XINFO").arg("STREAM").arg(&self.log).query_async(&mut conn).await;
        let info: HashMap<String, Value> = match asked {
            Err(error) if error.detail().is_some_and(|detail| detail.contains("no such key")) => {
                return Ok(Past::default());
            }
            asked => asked?,
        };
        let number = |field| match info.get(field) {
            Some(Value::Int(number)) => u64::try_from(*number).unwrap_or(0),
            _ => 0,
        };
        let last = match info.get("last-generated-id") {
            Some(Value::BulkString(id)) => std::str::from_utf8(id).ok().and_then(|id| id.parse().ok()),
            _ => None,
        };
        let removed = number("entries-added").saturating_sub(number("length"));
        Ok(Past { removed, last: last.unwrap_or_default() })
    }

    async fn range(&self, command: &str, from: &str, to: &str, count: usize) -> Result<Vec<Kept>, Error> {
        let mut conn = self.client.connection().await?;
        let mut range = redis::cmd(command);
        let reply = range.arg(&self.log).arg(from).arg(to).arg("COUNT").arg(count).query_async(&mut conn).await?;
        Ok(Kept::list(reply))
    }
}

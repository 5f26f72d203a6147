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

pub(super) struct Page {
    pub(super) events: Vec<Arc<Kept>>,
    /// Nothing lay behind it when it was read.
    pub(super) is_last: bool,
}

pub(super) struct CatchUp {
    client: Client,
    log: String,
    position: Position,
    /// The latest events passed, as (position, event id), newest last.
    passed: VecDeque<(Position, String)>,
    /// Retention had passed the position before the follower began: the first event that was left.
    began_late: Option<Position>,
}

impl CatchUp {
    pub(super) fn new(client: Client, log: String) -> Self {
        Self { client, log, position: Position::START, passed: VecDeque::new(), began_late: None }
    }

    pub(super) fn position(&self) -> Position {
        self.position
    }

    /// Begins behind the newest event.
    pub(super) async fn start_at_end(&mut self) -> Result<(), Error> {
        let newest = self.range("XREVRANGE", "+", "-", 1).await?;
        if let Some(event) = newest.first() {
            self.passed(event);
        }
        Ok(())
    }

    /// Begins behind `position`; if an event stands just there, it is remembered as passed.
    pub(super) async fn start_behind(&mut self, position: Position) -> Result<(), Error> {
        self.position = position;
        let here = position.to_string();
        if let Some(event) = self.range("XRANGE", &here, &here, 1).await?.first() {
            self.passed(event);
        } else if position != Position::START {
            let first = self.range("XRANGE", "-", "+", 1).await?.first().map(|event| event.position);
            self.began_late = match first {
                Some(first) if first > position && self.has_removed_events().await? => Some(first),
                _ => None,
            };
        }
        Ok(())
    }

    /// Whether the stream once held more than it does.
    async fn has_removed_events(&self) -> Result<bool, Error> {
        let mut conn = self.client.connection().await?;
        let info: HashMap<String, Value> =
            redis::cmd("XINFO").arg("STREAM").arg(&self.log).query_async(&mut conn).await?;
        Ok(info.get("entries-added") != info.get("length"))
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
        let Some(&(last, _)) = self.passed.back() else { return Ok(Footing::Firm) };
        let (still_there, first) = self.look().await?;
        if still_there.contains(&last) {
            return Ok(Footing::Firm);
        }
        if let Some(certain) = still_there.iter().max().copied() {
            self.step_back_to(certain);
            return Ok(Footing::Gap { from: certain, to: last });
        }
        match first {
            // Retention passed the follower. The next event is the first one left.
            Some(first) if first > last => {
                self.passed.clear();
                self.position = last;
                Ok(Footing::Gap { from: last, to: first })
            }
            // Another stream, or none: all that comes is new.
            _ => {
                self.step_back_to(Position::START);
                Ok(Footing::Gap { from: Position::START, to: last })
            }
        }
    }

    /// The next events behind the position.
    pub(super) async fn page(&self) -> Result<Page, Error> {
        let behind = format!("({}", self.position);
        let events = self.range("XRANGE", &behind, "+", PAGE).await?;
        Ok(Page { is_last: events.len() < PAGE, events: events.into_iter().map(Arc::new).collect() })
    }

    fn step_back_to(&mut self, position: Position) {
        self.position = position;
        self.passed.retain(|(passed, _)| *passed <= position);
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

    async fn range(&self, command: &str, from: &str, to: &str, count: usize) -> Result<Vec<Kept>, Error> {
        let mut conn = self.client.connection().await?;
        let mut range = redis::cmd(command);
        let reply = range.arg(&self.log).arg(from).arg(to).arg("COUNT").arg(count).query_async(&mut conn).await?;
        Ok(Kept::list(reply))
    }
}

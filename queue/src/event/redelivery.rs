//! Events that were delivered but never acknowledged: kept by those who work on them, delivered again once nobody does,
//! and moved to the dead-letter topic after too many deliveries.

use std::time::{Duration, Instant};

use redis::{Value, aio::MultiplexedConnection};

use super::{Position, consume::Member, envelope::Kept};
use crate::Error;

/// Deliveries of one event before it goes to the dead-letter topic.
const DELIVERIES: u64 = 5;

pub(super) struct Redelivery<'a> {
    member: &'a Member,
    interval: Duration,
    last: Option<Instant>,
}

/// A line of `XPENDING`: entry, owner, idle milliseconds, deliveries.
type Pending = (String, String, u64, u64);

impl<'a> Redelivery<'a> {
    pub(super) fn new(member: &'a Member) -> Self {
        Self { member, interval: member.redeliver_after / 3, last: None }
    }

    /// How often to look.
    pub(super) fn interval(&self) -> Duration {
        self.interval
    }

    /// Three times per redelivery time: renews what this member holds, then takes over what nobody does.
    /// `room` is how many events can be handed over at once; the result, those that are delivered again.
    pub(super) async fn due(&mut self, conn: &mut MultiplexedConnection, room: usize) -> Result<Vec<Kept>, Error> {
        if self.last.is_some_and(|last| last.elapsed() < self.interval) {
            return Ok(Vec::new());
        }
        self.last = Some(Instant::now());
        self.renew(conn).await?;
        if room == 0 { Ok(Vec::new()) } else { self.take_over(conn, room).await }
    }

    async fn renew(&self, conn: &mut MultiplexedConnection) -> Result<(), Error> {
        let held: Vec<String> = self.member.held().iter().map(Position::to_string).collect();
        if held.is_empty() {
            return Ok(());
        }
        let mut claim = self.claim(Duration::ZERO);
        claim.arg(held).arg("JUSTID").exec_async(conn).await?;
        Ok(())
    }

    async fn take_over(&self, conn: &mut MultiplexedConnection, room: usize) -> Result<Vec<Kept>, Error> {
        let member = self.member;
        let idle = member.redeliver_after.as_millis() as u64;
        let mut look = redis::cmd("XPENDING");
        look.arg(&member.group.log).arg(&member.group.name).arg("IDLE").arg(idle).arg("-").arg("+").arg(room);
        let abandoned: Vec<Pending> = look.query_async(conn).await?;
        let mut taken = Vec::new();
        for (entry, _, _, deliveries) in abandoned {
            // Only one member wins the claim: for the others the entry is no longer idle.
            let reply: Value = self.claim(member.redeliver_after).arg(&entry).query_async(conn).await?;
            let Some(event) = Kept::list(reply).pop() else { continue };
            if deliveries < DELIVERIES {
                taken.push(event);
            } else {
                self.bury(conn, &event, deliveries).await?;
            }
        }
        Ok(taken)
    }

    fn claim(&self, idle: Duration) -> redis::Cmd {
        let member = self.member;
        let mut claim = redis::cmd("XCLAIM");
        claim.arg(&member.group.log).arg(&member.group.name).arg(&member.name).arg(idle.as_millis() as u64);
        claim
    }

    /// Moves an event to the dead-letter topic, with the group that gave up on it and its number of deliveries. Copied
    /// first and acknowledged then: better twice than never.
    async fn bury(&self, conn: &mut MultiplexedConnection, event: &Kept, deliveries: u64) -> Result<(), Error> {
        let mut copy = redis::cmd("XADD");
        copy.arg(&self.member.dead_log).arg("*");
        for (name, value) in &event.fields {
            copy.arg(name).arg(value);
        }
        copy.arg("deadgroup").arg(&self.member.group.name).arg("deaddeliveries").arg(deliveries);
        copy.exec_async(conn).await?;
        self.member.acknowledge(event.position).exec_async(conn).await?;
        tracing::warn!(
            topic_log = %self.member.group.log, group = %self.member.group.name, event = %event.id(), deliveries,
            "an event was delivered too often without an acknowledgement and is now in the dead-letter topic"
        );
        Ok(())
    }
}

//! Consuming a topic as a durable group: at least once, acknowledged one by one.

use std::{
    collections::HashSet,
    future::IntoFuture,
    marker::PhantomData,
    pin::pin,
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use redis::{Value, aio::MultiplexedConnection};
use tokio::sync::mpsc;
use uuid::Uuid;

use super::{Envelope, Event, Position, envelope::Kept, group::Group, redelivery::Redelivery};
use crate::{Client, Error, client::BoxFuture, keys, names, retry::Retry};

/// Longest blocking read.
const BLOCK: Duration = Duration::from_secs(2);
/// Events read ahead of the application.
const AHEAD: usize = 32;

impl Client {
    /// Reads a topic as the durable group `group`: every member of the group gets some of the events, the group gets all
    /// of them at least once, across restarts.
    ///
    /// # Errors
    /// [`Error::Name`], [`Error::Unreachable`], [`Error::Redis`] at the start; later troubles are waited out.
    pub fn consume<E: Event>(&self, group: impl Into<String>) -> Consume<'_, E> {
        Consume {
            client: self,
            group: group.into(),
            from: Position::START,
            redeliver_after: Duration::from_secs(30),
            event: PhantomData,
        }
    }
}

/// A consumer on its way; `.await` makes the group where it is new and joins it.
#[must_use = "nothing is consumed until awaited"]
pub struct Consume<'a, E> {
    client: &'a Client,
    group: String,
    from: Position,
    redeliver_after: Duration,
    event: PhantomData<fn() -> E>,
}

impl<E: Event> Consume<'_, E> {
    /// Where a new group begins. Default: with the first event that is kept. An existing group goes on where it was.
    pub fn from(mut self, position: Position) -> Self {
        self.from = position;
        self
    }

    /// After how long an event that nobody acknowledged is delivered again. Default: 30 seconds. A consumer that holds an
    /// event keeps it; the time runs when its process died or the [`Delivery`] was dropped. The fifth failed delivery
    /// moves an event to the topic `<name>.dead`.
    pub fn redeliver_after(mut self, idle: Duration) -> Self {
        self.redeliver_after = idle.max(Duration::from_millis(10));
        self
    }

    async fn consume(self) -> Result<Consumer<E>, Error> {
        names::check("topic", E::NAME)?;
        names::check("group", &self.group)?;
        let group = Group {
            client: self.client.clone(),
            log: keys::event_log(self.client.namespace(), E::NAME),
            name: self.group,
        };
        group.create(self.from).await?;
        group.sweep(self.redeliver_after).await?;
        let member = Arc::new(Member {
            group,
            dead_log: keys::event_log(self.client.namespace(), &format!("{}.dead", E::NAME)),
            name: Uuid::new_v4().simple().to_string(),
            redeliver_after: self.redeliver_after,
            held: Mutex::default(),
        });
        let (events, incoming) = mpsc::channel(AHEAD);
        tokio::spawn(member.run(events));
        Ok(Consumer { incoming, event: PhantomData })
    }
}

impl<'a, E: Event> IntoFuture for Consume<'a, E> {
    type Output = Result<Consumer<E>, Error>;
    type IntoFuture = BoxFuture<'a, Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.consume())
    }
}

/// A member of a durable group. Dropping it leaves the group: what it handed out stays with it until acknowledged or
/// dropped, what it had only read ahead goes to the other members.
pub struct Consumer<E> {
    incoming: mpsc::Receiver<(Kept, Hold)>,
    event: PhantomData<fn() -> E>,
}

impl<E: Event> Consumer<E> {
    /// The next event. May be dropped and called again without loss; waits as long as Redis is away.
    ///
    /// # Errors
    /// [`Error::Decode`] for an event that can't be read as its type: it is delivered again like one that was not
    /// acknowledged, and ends in the dead-letter topic; the next call goes on behind it.
    pub async fn next(&mut self) -> Result<Delivery<E>, Error> {
        let Some((event, hold)) = self.incoming.recv().await else {
            unreachable!("the member's task holds the sender for as long as there is a receiver")
        };
        let envelope = event.decode()?;
        Ok(Delivery { envelope, hold })
    }
}

/// An event that waits for its acknowledgement. Dropped without one, it is delivered again later.
pub struct Delivery<E> {
    /// The event with its attributes.
    pub envelope: Envelope<E>,
    hold: Hold,
}

impl<E> Delivery<E> {
    /// Tells that the event is dealt with: it won't be delivered to this group again.
    ///
    /// # Errors
    /// [`Error::Unreachable`], [`Error::Redis`]: it may be delivered again.
    pub async fn ack(self) -> Result<(), Error> {
        let mut conn = self.hold.member.group.client.connection().await?;
        self.hold.member.acknowledge(self.hold.position).exec_async(&mut conn).await?;
        Ok(())
    }
}

/// While it lives, the event stays with this member.
struct Hold {
    member: Arc<Member>,
    position: Position,
}

impl Drop for Hold {
    fn drop(&mut self) {
        self.member.held().remove(&self.position);
    }
}

/// One consumer of the group, under a fresh name.
pub(super) struct Member {
    pub(super) group: Group,
    pub(super) dead_log: String,
    pub(super) name: String,
    pub(super) redeliver_after: Duration,
    held: Mutex<HashSet<Position>>,
}

impl Member {
    pub(super) fn held(&self) -> MutexGuard<'_, HashSet<Position>> {
        self.held.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// Takes an event off the group's list of pending ones.
    pub(super) fn acknowledge(&self, position: Position) -> redis::Cmd {
        let mut ack = redis::cmd("XACK");
        ack.arg(&self.group.log).arg(&self.group.name).arg(position.to_string());
        ack
    }

    /// Reads for as long as the consumer is there, and keeps what it handed out for as long as someone works on it. A
    /// read is never dropped half-way: it ends by itself, and what it brought for a consumer that left is delivered to
    /// another after a while.
    async fn run(self: Arc<Self>, events: mpsc::Sender<(Kept, Hold)>) {
        let mut retry = Retry::new("consume");
        while !(events.is_closed() && self.held().is_empty()) {
            match self.read_on(&events, &mut retry).await {
                Ok(()) => break,
                Err(Error::Redis(error)) if matches!(error.code(), Some("NOGROUP" | "UNBLOCKED")) => {
                    // The stream was deleted: the group begins anew with whatever comes.
                    let recreated = self.group.create(Position::START).await;
                    retry.failed(&recreated.err().unwrap_or(Error::Redis(error))).await;
                }
                Err(error) => retry.failed(&error).await,
            }
        }
        if let Err(error) = self.group.leave(&self.name, self.redeliver_after).await {
            tracing::debug!(%error, "a member could not leave its group; another one's start will remove it");
        }
    }

    async fn read_on(self: &Arc<Self>, events: &mpsc::Sender<(Kept, Hold)>, retry: &mut Retry) -> Result<(), Error> {
        let mut dedicated = self.group.client.dedicated(BLOCK).await?;
        let mut redelivery = Redelivery::new(self);
        loop {
            let room = if events.is_closed() { 0 } else { events.capacity() };
            for again in redelivery.due(&mut dedicated.conn, room).await? {
                self.hand_over(events, again).await;
            }
            match tokio::time::timeout(redelivery.interval(), events.reserve()).await {
                Ok(Ok(_room)) => {}
                Err(_) => continue, // the consumer is busy: what it holds must be renewed
                Ok(Err(_)) if self.held().is_empty() => return Ok(()), // it left
                Ok(Err(_)) => {
                    tokio::time::sleep(redelivery.interval()).await; // it left, its last deliveries are still worked on
                    continue;
                }
            }
            let block = redelivery.interval().min(BLOCK);
            let mut reading = pin!(self.read(&mut dedicated.conn, events.capacity(), block));
            let read = tokio::select! {
                read = &mut reading => read,
                // The consumer left. The read ends without taking events from the others; it is not dropped half-way.
                () = events.closed() => {
                    self.group.client.unblock(dedicated.client_id).await?;
                    reading.await
                }
            };
            for event in read? {
                self.hand_over(events, event).await;
            }
            retry.worked();
        }
    }

    async fn read(&self, conn: &mut MultiplexedConnection, count: usize, block: Duration) -> Result<Vec<Kept>, Error> {
        let mut read = redis::cmd("XREADGROUP");
        read.arg("GROUP").arg(&self.group.name).arg(&self.name).arg("COUNT").arg(count);
        // At least 1: to Redis, 0 means for ever.
        read.arg("BLOCK").arg(block.as_millis().max(1) as u64).arg("STREAMS").arg(&self.group.log).arg(">");
        let reply: Value = read.query_async(conn).await?;
        let Value::Array(mut streams) = reply else { return Ok(Vec::new()) };
        match streams.pop() {
            Some(Value::Array(mut pair)) => Ok(pair.pop().map(Kept::list).unwrap_or_default()),
            _ => Ok(Vec::new()),
        }
    }

    async fn hand_over(self: &Arc<Self>, events: &mpsc::Sender<(Kept, Hold)>, event: Kept) {
        self.held().insert(event.position);
        let hold = Hold { member: self.clone(), position: event.position };
        // A closed channel means that the consumer left: the events come to another member.
        let _ = events.send((event, hold)).await;
    }
}

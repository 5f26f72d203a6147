//! Who is connected to this process, in which rooms, with which subscriptions. Nothing here waits: the lock is held
//! for look-ups and for putting messages into outboxes.

use std::collections::{HashMap, HashSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use axum::extract::ws::Utf8Bytes;
use uuid::Uuid;

use crate::outbox::{Farewell, Outbox};
use crate::protocol::{Name, Reply, Topic};

/// One socket of this process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct ClientId(u64);

/// A client's stay in a room.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Member {
    pub(crate) room: Name,
    pub(crate) peer: Name,
    pub(crate) session: Uuid,
}

#[derive(Debug, Default)]
pub(crate) struct Hub {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    last: u64,
    clients: HashMap<ClientId, Client>,
    /// Rooms in which this process has a client.
    rooms: HashMap<String, Room>,
    subscribers: HashMap<(Topic, Option<String>), HashSet<ClientId>>,
}

#[derive(Debug)]
struct Client {
    outbox: Outbox,
    member: Option<Member>,
    /// Whether the stay's own [`Join`](crate::RoomSignal::Join) has come back: its place in the room's order.
    settled: bool,
    /// Broadcasts that overtook that join.
    early: Vec<Utf8Bytes>,
    subscriptions: HashSet<(Topic, Option<String>)>,
}

#[derive(Debug, Default)]
struct Room {
    clients: HashSet<ClientId>,
    /// The latest stay of each peer, as far as this process has seen.
    sessions: HashMap<Name, Uuid>,
}

/// Topics that a client may follow at a time.
const SUBSCRIPTIONS: usize = 64;
/// Broadcasts that may wait for a join: they may be lost in any case.
const EARLY: usize = 64;

impl Hub {
    pub(crate) fn connect(&self, outbox: Outbox) -> ClientId {
        let mut state = self.lock();
        state.last += 1;
        let id = ClientId(state.last);
        let client = Client { outbox, member: None, settled: false, early: Vec::new(), subscriptions: HashSet::new() };
        state.clients.insert(id, client);
        id
    }

    /// Forgets a client, and returns the stay that its room must be told of.
    pub(crate) fn disconnect(&self, id: ClientId) -> Option<Member> {
        let mut state = self.lock();
        let member = state.leave(id);
        if let Some(client) = state.clients.remove(&id) {
            for key in client.subscriptions {
                if let Some(ids) = state.subscribers.get_mut(&key) {
                    ids.remove(&id);
                    if ids.is_empty() {
                        state.subscribers.remove(&key);
                    }
                }
            }
        }
        member
    }

    /// Takes a seat. It counts from when its [`Join`](crate::RoomSignal::Join) comes back: what comes before that in the
    /// room's order isn't heard, what comes behind it is.
    pub(crate) fn join(&self, id: ClientId, room: Name, peer: Name) -> Result<Member, String> {
        let mut state = self.lock();
        let Some(client) = state.clients.get_mut(&id) else { return Err("the connection is closing".to_owned()) };
        if let Some(member) = &client.member {
            return Err(format!("already in room {:?}; leave it first", member.room.as_str()));
        }
        let member = Member { room, peer, session: Uuid::new_v4() };
        client.member = Some(member.clone());
        (client.settled, client.early) = (false, Vec::new());
        state.rooms.entry(member.room.to_string()).or_default().clients.insert(id);
        Ok(member)
    }

    pub(crate) fn leave(&self, id: ClientId) -> Option<Member> {
        self.lock().leave(id)
    }

    pub(crate) fn member(&self, id: ClientId) -> Option<Member> {
        self.lock().clients.get(&id)?.member.clone()
    }

    /// A peer came into a room, here or elsewhere. Returns who of this process was there before.
    pub(crate) fn joined(&self, room: &str, peer: &Name, session: Uuid) -> Vec<Name> {
        let mut state = self.lock();
        let Some(known) = state.rooms.get_mut(room) else { return Vec::new() };
        known.sessions.insert(peer.clone(), session);
        let ids: Vec<ClientId> = known.clients.iter().copied().collect();
        let mut before = Vec::new();
        let mut newcomer = None;
        for id in ids {
            let Some(client) = state.clients.get_mut(&id) else { continue };
            let Some(member) = client.member.clone() else { continue };
            if member.session == session {
                client.settled = true;
                newcomer = Some(id);
            } else if client.settled && member.peer == *peer {
                // The later stay counts. An unsettled one isn't in the order yet, so it is later still.
                let reason = format!("replaced: {peer} joined room {room} again");
                client.outbox.close(Farewell::new(Farewell::POLICY, short(&reason)));
                state.leave(id);
            } else if client.settled {
                before.push(member.peer);
            }
        }
        state.to_room(room, None, &Reply::Joined { room, peer });
        if let Some(client) = newcomer.and_then(|id| state.clients.get_mut(&id)) {
            client.early.drain(..).for_each(|message| client.outbox.send(message));
        }
        before
    }

    /// A peer's stay ended, here or elsewhere.
    pub(crate) fn left(&self, room: &str, peer: &Name, session: Uuid) {
        let mut state = self.lock();
        let Some(known) = state.rooms.get_mut(room) else { return };
        // The end of a stay that was replaced meanwhile is no news.
        if known.sessions.get(peer).is_some_and(|&latest| latest != session) {
            return;
        }
        known.sessions.remove(peer);
        state.to_room(room, None, &Reply::Left { room, peer });
    }

    /// Tells the clients of a room, or one of them, of something published.
    pub(crate) fn to_room(&self, room: &str, to: Option<&Name>, reply: &Reply<'_>) {
        self.lock().to_room(room, to, reply);
    }

    /// The same for something broadcast. It may have overtaken a join, and waits for it then: the first that a client
    /// hears of a room is that it joined.
    pub(crate) fn broadcast(&self, room: &str, to: Option<&Name>, reply: &Reply<'_>) {
        let mut state = self.lock();
        state.to_room(room, to, reply);
        let State { rooms, clients, .. } = &mut *state;
        for id in rooms.get(room).into_iter().flat_map(|room| &room.clients) {
            if let Some(client) = clients.get_mut(id)
                && !client.settled
                && client.early.len() < EARLY
                && client.is_meant(to)
            {
                client.early.push(reply.to_json().into());
            }
        }
    }

    /// Tells every client that is in a room.
    pub(crate) fn to_all_rooms(&self, reply: &Reply<'_>) {
        let state = self.lock();
        let members = state.clients.values().filter(|client| client.member.is_some());
        send(members, reply);
    }

    /// Confirms and subscribes in one step, so that the confirmation comes before the first event.
    pub(crate) fn subscribe(&self, id: ClientId, topic: Topic, subject: Option<String>) -> Result<(), String> {
        let mut state = self.lock();
        let Some(client) = state.clients.get_mut(&id) else { return Ok(()) };
        let key = (topic, subject);
        if client.subscriptions.len() == SUBSCRIPTIONS && !client.subscriptions.contains(&key) {
            return Err(format!("more than {SUBSCRIPTIONS} subscriptions on one connection"));
        }
        client.outbox.send(Reply::Subscribed { topic, subject: key.1.as_deref() }.to_json().into());
        client.subscriptions.insert(key.clone());
        state.subscribers.entry(key).or_default().insert(id);
        Ok(())
    }

    /// Tells whoever subscribed to the topic, or to this subject of it, once.
    pub(crate) fn to_subscribers(&self, topic: Topic, subject: Option<&str>, reply: &Reply<'_>) {
        let state = self.lock();
        let mut ids: HashSet<ClientId> = HashSet::new();
        ids.extend(state.subscribers.get(&(topic, None)).into_iter().flatten());
        if let Some(subject) = subject {
            ids.extend(state.subscribers.get(&(topic, Some(subject.to_owned()))).into_iter().flatten());
        }
        send(ids.iter().filter_map(|id| state.clients.get(id)), reply);
    }

    /// Tells whoever subscribed to anything of the topic.
    pub(crate) fn to_all_subscribers(&self, topic: Topic, reply: &Reply<'_>) {
        let state = self.lock();
        let concerned = |client: &&Client| client.subscriptions.iter().any(|(subscribed, _)| *subscribed == topic);
        send(state.clients.values().filter(concerned), reply);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing panics half-way through a change.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn leave(&mut self, id: ClientId) -> Option<Member> {
        let member = self.clients.get_mut(&id)?.member.take()?;
        if let Some(room) = self.rooms.get_mut(member.room.as_str()) {
            room.clients.remove(&id);
            if room.clients.is_empty() {
                self.rooms.remove(member.room.as_str());
            }
        }
        Some(member)
    }

    fn to_room(&self, room: &str, to: Option<&Name>, reply: &Reply<'_>) {
        let Some(room) = self.rooms.get(room) else { return };
        let there = room.clients.iter().filter_map(|id| self.clients.get(id));
        send(there.filter(|client| client.settled && client.is_meant(to)), reply);
    }
}

impl Client {
    fn is_meant(&self, to: Option<&Name>) -> bool {
        to.is_none_or(|to| self.member.as_ref().is_some_and(|member| member.peer == *to))
    }
}

/// Writes the JSON once, however many clients get it, and not at all for none.
fn send<'a>(clients: impl Iterator<Item = &'a Client>, reply: &Reply<'_>) {
    let mut json: Option<Utf8Bytes> = None;
    for client in clients {
        client.outbox.send(json.get_or_insert_with(|| reply.to_json().into()).clone());
    }
}

/// A close frame has room for 123 bytes (RFC 6455, 5.5).
fn short(reason: &str) -> String {
    reason.char_indices().take_while(|(at, c)| at + c.len_utf8() <= 123).map(|(_, c)| c).collect()
}

#[cfg(test)]
mod tests;

//! From Redis to the sockets of this process: one task per topic.

use std::sync::Arc;

use gallery::{JobProgress, PhotoReady};
use millstream_queue::{Client, Error, Event, Follower, Heard, Listener, Live};
use serde_json::Value;
use tokio::task::JoinSet;

use crate::events::{IceCandidate, Presence, RoomSignal};
use crate::hub::Hub;
use crate::protocol::{Name, Reply, Topic};

/// Starts relaying. When this returns, whatever is published from then on reaches the hub, so that a client which
/// registers there may be told at once that nothing will be missed.
pub(crate) async fn start(client: &Client, hub: &Arc<Hub>, tasks: &mut JoinSet<()>) -> Result<(), Error> {
    tasks.spawn(topic(client.follow::<PhotoReady>().await?, Topic::PhotoReady, Arc::clone(hub)));
    tasks.spawn(topic(client.follow::<JobProgress>().await?, Topic::JobProgress, Arc::clone(hub)));
    tasks.spawn(rooms(client.follow::<RoomSignal>().await?, client.clone(), Arc::clone(hub)));
    tasks.spawn(candidates(client.listen::<IceCandidate>().await?, Arc::clone(hub)));
    tasks.spawn(presence(client.listen::<Presence>().await?, Arc::clone(hub)));
    Ok(())
}

async fn topic<E: Event>(mut follower: Follower<E>, topic: Topic, hub: Arc<Hub>) {
    loop {
        match follower.next().await {
            Ok(Live::Event(event)) => {
                let data = serde_json::to_value(&event.data).unwrap_or(Value::Null);
                let subject = event.subject.as_deref();
                hub.to_subscribers(topic, subject, &Reply::Event { topic, id: &event.id, subject, data: &data });
            }
            Ok(Live::Gap { .. }) => hub.to_all_subscribers(topic, &Reply::Gap { topic: topic.as_str() }),
            Err(error) => skipped(E::NAME, &error),
        }
    }
}

async fn rooms(mut follower: Follower<RoomSignal>, client: Client, hub: Arc<Hub>) {
    loop {
        match follower.next().await {
            Ok(Live::Event(event)) => {
                let Some(room) = event.subject.as_deref() else { continue };
                match event.data {
                    RoomSignal::Join { peer, session } => {
                        let before = hub.joined(room, &peer, session);
                        welcome(&client, room, peer, before).await;
                    }
                    RoomSignal::Leave { peer, session } => hub.left(room, &peer, session),
                    RoomSignal::Offer { from, to, sdp } => {
                        hub.to_room(room, Some(&to), &Reply::Offer { from: &from, sdp: &sdp });
                    }
                    RoomSignal::Answer { from, to, sdp } => {
                        hub.to_room(room, Some(&to), &Reply::Answer { from: &from, sdp: &sdp });
                    }
                }
            }
            Ok(Live::Gap { .. }) => hub.to_all_rooms(&Reply::Gap { topic: RoomSignal::NAME }),
            Err(error) => skipped(RoomSignal::NAME, &error),
        }
    }
}

/// Each process shows a newcomer the peers that it has in the room; nobody keeps a list of all.
async fn welcome(client: &Client, room: &str, newcomer: Name, before: Vec<Name>) {
    for peer in before {
        let presence = Presence { peer, to: Some(newcomer.clone()) };
        if let Err(error) = client.broadcast(presence).subject(room).await {
            // Their next pings will show them.
            tracing::warn!(%error, room, "a newcomer was not shown who is there");
            return;
        }
    }
}

async fn candidates(mut listener: Listener<IceCandidate>, hub: Arc<Hub>) {
    loop {
        match listener.next().await {
            Ok(Heard::Event(event)) => {
                let IceCandidate { from, to, candidate } = &event.data;
                let room = event.subject.as_deref().unwrap_or_default();
                hub.broadcast(room, Some(to), &Reply::Ice { from, candidate });
            }
            Ok(Heard::Missed) => hub.to_all_rooms(&Reply::Missed { topic: IceCandidate::NAME }),
            Err(error) => skipped(IceCandidate::NAME, &error),
        }
    }
}

async fn presence(mut listener: Listener<Presence>, hub: Arc<Hub>) {
    loop {
        match listener.next().await {
            Ok(Heard::Event(event)) => {
                let Presence { peer, to } = &event.data;
                let room = event.subject.as_deref().unwrap_or_default();
                hub.broadcast(room, to.as_ref(), &Reply::Presence { peer });
            }
            Ok(Heard::Missed) => hub.to_all_rooms(&Reply::Missed { topic: Presence::NAME }),
            Err(error) => skipped(Presence::NAME, &error),
        }
    }
}

/// An event that can't be read was written by something else; the next one is read all the same.
fn skipped(topic: &str, error: &Error) {
    tracing::warn!(topic, %error, "skipped an event");
}

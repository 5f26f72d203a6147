//! What each message of a client does.

use millstream_queue::{Client, Error};

use crate::events::{IceCandidate, Presence, RoomSignal};
use crate::hub::{ClientId, Hub, Member};
use crate::outbox::Outbox;
use crate::protocol::{Reply, Request};

/// The largest message that is accepted, in bytes; session descriptions have a tenth of it.
pub(crate) const MAX_MESSAGE: usize = 64 * 1024;

/// One client, as its requests see it.
pub(crate) struct Desk<'a> {
    pub(crate) id: ClientId,
    pub(crate) hub: &'a Hub,
    pub(crate) client: &'a Client,
    pub(crate) outbox: &'a Outbox,
}

impl Desk<'_> {
    /// Does what the message asks for, or tells the client why not.
    pub(crate) async fn receive(&self, text: &str) {
        let done = match parse(text) {
            Ok(request) => self.serve(request).await,
            Err(wrong) => Err(wrong),
        };
        if let Err(message) = done {
            self.reply(&Reply::Error { message: &message });
        }
    }

    pub(crate) fn reply(&self, reply: &Reply<'_>) {
        self.outbox.send(reply.to_json().into());
    }

    async fn serve(&self, request: Request) -> Result<(), String> {
        match request {
            Request::Join { room, peer } => {
                let Member { room, peer, session } = self.hub.join(self.id, room, peer)?;
                // The room, and the client itself, hear of it when it comes back: one order for all.
                let published = self.client.publish(RoomSignal::Join { peer, session }).subject(&room).await;
                published.map(drop).map_err(|error| {
                    self.hub.leave(self.id);
                    unreachable(&error)
                })
            }
            Request::Leave => {
                let Member { room, peer, session } = self.hub.leave(self.id).ok_or(NOT_IN_A_ROOM)?;
                self.reply(&Reply::Left { room: room.as_str(), peer: &peer });
                let published = self.client.publish(RoomSignal::Leave { peer, session }).subject(&room).await;
                published.map(drop).map_err(|error| unreachable(&error))
            }
            Request::Offer { to, sdp } => {
                let Member { room, peer: from, .. } = self.member()?;
                let published = self.client.publish(RoomSignal::Offer { from, to, sdp }).subject(&room).await;
                published.map(drop).map_err(|error| unreachable(&error))
            }
            Request::Answer { to, sdp } => {
                let Member { room, peer: from, .. } = self.member()?;
                let published = self.client.publish(RoomSignal::Answer { from, to, sdp }).subject(&room).await;
                published.map(drop).map_err(|error| unreachable(&error))
            }
            Request::Ice { to, candidate } => {
                let Member { room, peer: from, .. } = self.member()?;
                let told = self.client.broadcast(IceCandidate { from, to, candidate }).subject(&room).await;
                told.map_err(|error| unreachable(&error))
            }
            Request::Ping => {
                self.reply(&Reply::Pong);
                let Some(Member { room, peer, .. }) = self.hub.member(self.id) else { return Ok(()) };
                let told = self.client.broadcast(Presence { peer, to: None }).subject(&room).await;
                told.map_err(|error| unreachable(&error))
            }
            Request::Subscribe { topic, subject } => self.hub.subscribe(self.id, topic, subject),
        }
    }

    fn member(&self) -> Result<Member, String> {
        self.hub.member(self.id).ok_or_else(|| NOT_IN_A_ROOM.to_owned())
    }
}

const NOT_IN_A_ROOM: &str = "not in a room; send {\"type\":\"join\",\"room\":…,\"peer\":…} first";

fn parse(text: &str) -> Result<Request, String> {
    if text.len() > MAX_MESSAGE {
        return Err(format!("the message has {} bytes; at most {MAX_MESSAGE} are accepted", text.len()));
    }
    serde_json::from_str(text).map_err(|error| format!("the message can't be understood: {error}"))
}

/// Says so, since the client can only try again, and tells the log why.
fn unreachable(error: &Error) -> String {
    tracing::warn!(%error, "a client's message didn't reach the other processes");
    "the server can't reach the others just now; try again".to_owned()
}

use millstream_queue::Event;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use uuid::Uuid;

use crate::Name;

/// What happens in a room and must arrive, in order. Published; its subject is the room.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "signal", rename_all = "snake_case")]
pub enum RoomSignal {
    /// A peer came in. One that was in already is replaced: the later session counts.
    Join {
        /// Who.
        peer: Name,
        /// This stay of the peer, so that the end of an earlier one can be told from it.
        session: Uuid,
    },
    /// A peer's stay ended.
    Leave {
        /// Who.
        peer: Name,
        /// Which stay.
        session: Uuid,
    },
    /// A WebRTC offer.
    Offer {
        /// Who sends it.
        from: Name,
        /// Whom it is for.
        to: Name,
        /// The session description.
        sdp: String,
    },
    /// The answer to an offer.
    Answer {
        /// Who sends it.
        from: Name,
        /// Whom it is for.
        to: Name,
        /// The session description.
        sdp: String,
    },
}

impl Event for RoomSignal {
    const NAME: &'static str = "room_signal";
}

/// A way to reach a peer. Broadcast, since a newer one makes it worthless; its subject is the room.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct IceCandidate {
    /// Who can be reached that way.
    pub from: Name,
    /// Whom it is for.
    pub to: Name,
    /// The candidate, as the browser made it.
    pub candidate: Value,
}

impl Event for IceCandidate {
    const NAME: &'static str = "ice_candidate";
}

/// "I am here." Broadcast at each ping, and to a peer that just came in; its subject is the room.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Presence {
    /// Who is here.
    pub peer: Name,
    /// Whom to tell; everybody in the room if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<Name>,
}

impl Event for Presence {
    const NAME: &'static str = "room_presence";
}

//! What goes over the socket: one JSON object per text message.

use std::fmt;

use gallery::{JobProgress, PhotoReady};
use millstream_queue::Event;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// What a client says.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
pub enum Request {
    /// Come into a room.
    Join {
        /// Which room.
        room: Name,
        /// Under which name.
        peer: Name,
    },
    /// Leave the room.
    Leave,
    /// Send a peer a WebRTC offer.
    Offer {
        /// Which peer.
        to: Name,
        /// The session description.
        sdp: String,
    },
    /// Send a peer the answer to its offer.
    Answer {
        /// Which peer.
        to: Name,
        /// The session description.
        sdp: String,
    },
    /// Send a peer an ICE candidate.
    Ice {
        /// Which peer.
        to: Name,
        /// The candidate, of any shape.
        candidate: Value,
    },
    /// Show the room that one is still there; answered by `pong` in any case.
    Ping,
    /// Hear of a topic's events from now on.
    Subscribe {
        /// Which topic.
        topic: Topic,
        /// Only events about this.
        #[serde(default)]
        subject: Option<String>,
    },
}

/// What the server says.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
#[allow(missing_docs)] // the names are the protocol's, and README.md explains them
pub enum Reply<'a> {
    Joined { room: &'a str, peer: &'a Name },
    Left { room: &'a str, peer: &'a Name },
    Offer { from: &'a Name, sdp: &'a str },
    Answer { from: &'a Name, sdp: &'a str },
    Ice { from: &'a Name, candidate: &'a Value },
    Presence { peer: &'a Name },
    Pong,
    Subscribed { topic: Topic, subject: Option<&'a str> },
    Event { topic: Topic, id: &'a str, subject: Option<&'a str>, data: &'a Value },
    Gap { topic: &'a str },
    Missed { topic: &'a str },
    Error { message: &'a str },
}

impl Reply<'_> {
    /// The message on the wire.
    pub fn to_json(&self) -> String {
        // Only maps with keys that aren't strings fail, and there are none.
        serde_json::to_string(self).expect("replies are plain JSON")
    }
}

/// The topics of other applications that clients may subscribe to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Topic {
    /// The gallery's [`PhotoReady`].
    PhotoReady,
    /// The gallery's [`JobProgress`].
    JobProgress,
}

impl Topic {
    /// The topic's name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::PhotoReady => PhotoReady::NAME,
            Self::JobProgress => JobProgress::NAME,
        }
    }
}

/// Name of a room or a peer: 1 to 64 characters, none of them a control character.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Name(String);

impl Name {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for Name {
    type Error = String;

    fn try_from(name: String) -> Result<Self, String> {
        let length = name.chars().count();
        if !(1..=64).contains(&length) {
            return Err(format!("a name has 1 to 64 characters, this one has {length}"));
        }
        if name.chars().any(char::is_control) {
            return Err(format!("the name {name:?} has control characters"));
        }
        Ok(Self(name))
    }
}

impl From<Name> for String {
    fn from(name: Name) -> Self {
        name.0
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(json: &str) -> String {
        serde_json::from_str::<Request>(json).expect_err(json).to_string()
    }

    #[test]
    fn topics_are_called_like_their_events() {
        for topic in [Topic::PhotoReady, Topic::JobProgress] {
            assert_eq!(serde_json::to_value(topic).unwrap(), topic.as_str());
        }
    }

    #[test]
    fn what_is_wrong_in_a_message_is_named() {
        assert!(refused(r#"{"type":"offer","to":"bob"}"#).contains("missing field `sdp`"));
        assert!(refused(r#"{"type":"offre"}"#).contains("unknown variant `offre`"));
        assert!(refused(r#"{"room":"r"}"#).contains("missing field `type`"));
        assert!(refused(r#"{"type":"subscribe","topic":"mail"}"#).contains("expected `photo_ready` or `job_progress`"));
        assert!(refused(r#"{"type":"join","room":"","peer":"bob"}"#).contains("1 to 64 characters, this one has 0"));
        assert!(refused(r#"{"type":"join","room":"r","peer":"b\u0007b"}"#).contains("control characters"));
        assert!(refused(r#"{"type":"join","room":"r","peer":"bob","rome":1}"#).contains("unknown field `rome`"));
    }
}

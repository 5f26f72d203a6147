//! Events: published ones are kept in their topic's stream, broadcast ones only reach who listens now.

mod broadcast;
mod consume;
pub(crate) mod envelope;
mod follow;
mod group;
mod hub;
mod listen;
mod position;
mod publish;
mod redelivery;

use serde::{Serialize, de::DeserializeOwned};

pub use broadcast::Broadcast;
pub use consume::{Consume, Consumer, Delivery};
pub use envelope::Envelope;
pub use follow::{Follow, Follower, Live};
pub(crate) use hub::{Hub, Lagged, Sound, Tap};
pub use listen::{Heard, Listen, Listener};
pub use position::Position;
pub use publish::{Publish, Published};

/// Something that happened: plain data with a stable name, which is its topic.
pub trait Event: Serialize + DeserializeOwned + Send + Sync + 'static {
    /// Stable name of the topic, stored with each event (the CloudEvents `type`).
    const NAME: &'static str;
    /// Version of the payload's shape. Default: 1.
    const VERSION: u32 = 1;
}

//! What one process shares between all its followers and listeners: one blocking reader for topics, one subscription.

mod ears;
mod ring;
mod tail;

pub(crate) use ears::{Ears, Sound};
pub(crate) use ring::{Lagged, Tap};
pub(super) use tail::{Tail, TailItem};

use crate::connection::Connections;

/// The process's readers; each starts with its first use and ends when nobody is left.
pub(crate) struct Hub {
    pub(super) tail: Tail,
    pub(crate) ears: Ears,
}

impl Hub {
    pub(crate) fn new(connections: Connections) -> Self {
        Self { tail: Tail::new(connections.clone()), ears: Ears::new(connections) }
    }
}

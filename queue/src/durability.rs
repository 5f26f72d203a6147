//! How durable a job must be before its push returns.

use std::time::Duration;

/// How durable a job must be before its push returns.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Durability {
    /// In the primary's memory, and in its append-only file as its `appendfsync` has it.
    #[default]
    Primary,
    /// On replicas too: a failover to one of them loses nothing of it. The push takes a connection of its own for the
    /// time, since Redis answers nothing else on it meanwhile; 16 wait at once, further ones stand in line.
    WaitReplicas {
        /// How many replicas must confirm it. Zero is the same as [`Durability::Primary`].
        replicas: u32,
        /// How long to wait for them, at least a millisecond.
        timeout: Duration,
    },
}

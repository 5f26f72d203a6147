//! A WebSocket signalling server over Millstream's events, in as many processes as you like.
//!
//! Peers of one room may be connected to different processes: what must arrive and stay in order (join, leave, offer,
//! answer) is published and followed by every process, what is worthless a second later (ICE candidates, presence) is
//! broadcast. The processes know of each other through nothing else. The protocol is in `README.md`.

mod events;
mod hub;
mod outbox;
mod protocol;
mod relay;
mod requests;
mod server;
mod session;

pub use events::{IceCandidate, Presence, RoomSignal};
pub use protocol::{Name, Reply, Request, Topic};
pub use server::Server;

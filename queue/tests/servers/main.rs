//! The client against real servers.

mod connection;
mod consume;
mod dead;
mod durability;
mod follow;
mod listen;
mod names;
mod push;
mod push_all;
mod result;
mod stage;
mod unique;
mod wire;

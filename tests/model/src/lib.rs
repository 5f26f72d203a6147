//! A model.
pub mod done;
mod few;
mod fingerprint;
pub mod lease;
pub mod protocol;
pub mod rate;
pub mod search;
pub mod seen;
pub mod token;

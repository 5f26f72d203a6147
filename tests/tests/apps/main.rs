//! The example programs as a user starts them: real processes, real servers, real sockets, a real browser.

mod browser;
mod catalog;
mod gallery;
mod http;
mod odd_files;
mod page;
mod programs;
mod signaling;
mod socket;
mod upright;

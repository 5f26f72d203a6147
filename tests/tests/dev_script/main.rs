//! The script `dev` on machines that this one is not: programs on `PATH` are replaced by stubs that write down how they
//! were called, so that what would be installed on Debian, Fedora and macOS is seen without installing anything.

mod commands;
mod installing;
mod machine;
mod systems;
mod text;

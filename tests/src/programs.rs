//! Where programs are found.

use std::env;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

/// A program of this workspace, which cargo put beside the running one.
///
/// # Errors
/// When it has not been built; the message says how to.
pub fn built(name: &str) -> Result<PathBuf> {
    let running = env::current_exe().context("cannot tell where this program is")?;
    let mut folder = running.parent().context("this program is in no folder")?;
    if folder.file_name() == Some(OsStr::new("deps")) {
        folder = folder.parent().unwrap_or(folder); // a test
    }
    let path = folder.join(name);
    if !path.is_file() {
        bail!(
            "{} is missing: build it with `cargo build --workspace --bins`, or run `./dev test`, which does",
            path.display()
        );
    }
    Ok(path)
}

/// The first of `names` on `PATH`.
pub(crate) fn on_path(names: &[&str]) -> Option<PathBuf> {
    let path = env::var_os("PATH")?;
    names
        .iter()
        .flat_map(|name| env::split_paths(&path).map(move |folder| folder.join(name)))
        .find(|program| program.is_file())
}

/// The folders `parent/*` that `fits` accepts, by name, last first: of two versions the newer.
pub(crate) fn folders(parent: &str, fits: impl Fn(&str) -> bool) -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> = Path::new(parent)
        .read_dir()
        .into_iter()
        .flatten()
        .flatten()
        .filter(|entry| entry.file_name().to_str().is_some_and(&fits))
        .map(|entry| entry.path())
        .collect();
    found.sort();
    found.reverse();
    found
}

//! A wall clock of a server's own, which a test sets.

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::process::ProcessBuilder;

/// The library that shifts what a process is told of the time.
const SOURCE: &str = include_str!("clock_offset.c");
/// Names of the files in the server's folder.
const LIBRARY: &str = "clock_offset.so";
const OFFSET: &str = "clock_offset";

/// Puts a clock into `dir`, at first the machine's.
pub(crate) fn install(dir: &Path) -> Result<()> {
    if cfg!(not(target_os = "linux")) {
        bail!("the clock of a server can be set on Linux only: its library replaces functions of the C library there");
    }
    fs::write(dir.join(OFFSET), 0_i64.to_ne_bytes())?;
    let source = dir.join("clock_offset.c");
    fs::write(&source, SOURCE)?;
    let mut compile = Command::new("cc");
    compile.args(["-shared", "-fPIC", "-O1", "-Wall", "-Werror", "-o"]).arg(dir.join(LIBRARY)).arg(&source);
    let compiled = compile.output().context("cannot start cc: install a C compiler, such as gcc with libc6-dev")?;
    if !compiled.status.success() {
        bail!("cc refuses clock_offset.c:\n{}", String::from_utf8_lossy(&compiled.stderr));
    }
    Ok(())
}

/// A process that goes by the clock in `dir`.
pub(crate) fn wear(process: ProcessBuilder, dir: &Path) -> ProcessBuilder {
    process.env("LD_PRELOAD", dir.join(LIBRARY)).env("MILLSTREAM_CLOCK_OFFSET", dir.join(OFFSET))
}

/// Sets the clock in `dir` so many seconds ahead of the machine's; below 0, behind. Who wears it sees this at once.
pub(crate) fn set(dir: &Path, seconds_ahead: i64) -> Result<()> {
    let file = File::options().write(true).open(dir.join(OFFSET)).context("the server has no clock of its own")?;
    file.write_all_at(&(seconds_ahead * 1_000_000).to_ne_bytes(), 0)?;
    Ok(())
}

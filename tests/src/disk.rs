//! A disk that can be filled and freed while a server uses it.

use std::fs::{self, File};
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use anyhow::{Context, Result};

use crate::process::{Process, ProcessBuilder};

/// What fills the tmpfs.
const FILLER: &str = "filler";

/// How a server's disk is kept small; see [`RedisBuilder::disk`](crate::RedisBuilder::disk).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SmallDisk {
    /// A tmpfs of this many bytes in a mount namespace of the server's own: nobody else sees it, and it ends with the
    /// server, a restart included.
    Tmpfs(u64),
    /// A limit on the size of the server's files, set once the disk is "full": the same short and failed writes, for
    /// machines where nobody may mount.
    FileLimit,
}

impl SmallDisk {
    /// A tmpfs of `bytes` where this machine lets one be mounted, by root or in a user namespace; else the limit.
    #[must_use]
    pub fn of(bytes: u64) -> Self {
        if namespace().is_some() { SmallDisk::Tmpfs(bytes) } else { SmallDisk::FileLimit }
    }

    /// The command that runs `program` with `dir` on this disk; its arguments follow.
    pub(crate) fn command(self, program: &Path, dir: &Path) -> Result<ProcessBuilder> {
        match self {
            SmallDisk::Tmpfs(bytes) => {
                let flags = namespace().context(
                    "no tmpfs can be mounted: neither as root nor in a user namespace (`unshare --user --mount`)",
                )?;
                // Each command becomes the next one, so that the server keeps the number of the process.
                let script = r#"mount -t tmpfs -o "size=$1" tmpfs "$2" && shift 2 && exec "$@""#;
                let shell = Process::builder("unshare").args(flags).args(["sh", "-c", script, "small-disk"]);
                Ok(shell.arg(bytes.to_string()).arg(dir).arg(program))
            }
            // Else the kernel would end the server at the limit instead of refusing its write.
            SmallDisk::FileLimit => {
                Ok(Process::builder("sh").args(["-c", r#"trap '' XFSZ; exec "$@""#, "small-disk"]).arg(program))
            }
        }
    }

    /// Leaves no byte for the process `pid` that uses the disk as `dir`.
    pub(crate) fn fill(self, pid: u32, dir: &Path) -> Result<()> {
        match self {
            SmallDisk::Tmpfs(_) => {
                let mut filler = File::options().create(true).append(true).open(inside(pid, dir).join(FILLER))?;
                for size in [4096, 1] {
                    loop {
                        match filler.write(&vec![0; size]) {
                            Ok(0) => break,
                            Ok(_) => {}
                            Err(error) if error.kind() == ErrorKind::StorageFull => break,
                            Err(error) => return Err(error.into()),
                        }
                    }
                }
                Ok(())
            }
            SmallDisk::FileLimit => limit_files(pid, Some(largest_file(dir)?)),
        }
    }

    /// Gives the space back.
    pub(crate) fn free(self, pid: u32, dir: &Path) -> Result<()> {
        match self {
            SmallDisk::Tmpfs(_) => Ok(fs::remove_file(inside(pid, dir).join(FILLER))?),
            SmallDisk::FileLimit => limit_files(pid, None),
        }
    }
}

/// `dir` as the process sees it.
fn inside(pid: u32, dir: &Path) -> PathBuf {
    let mut path = PathBuf::from(format!("/proc/{pid}/root"));
    path.extend(dir.components().skip(1)); // without the leading slash, which would start afresh
    path
}

/// The flags for a mount namespace that this process may make; none where it may not.
fn namespace() -> Option<&'static [&'static str]> {
    static FOUND: OnceLock<Option<&'static [&'static str]>> = OnceLock::new();
    *FOUND.get_or_init(|| {
        let all: [&[&str]; 2] = [&["--mount"], &["--user", "--map-root-user", "--mount"]];
        all.into_iter().find(|flags| {
            let mut try_it = Command::new("unshare");
            try_it.args(*flags).args(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", "/mnt"]);
            let quietly = try_it.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
            quietly.status().is_ok_and(|status| status.success())
        })
    })
}

fn largest_file(dir: &Path) -> Result<u64> {
    let mut largest = 0;
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        let size = if entry.file_type()?.is_dir() { largest_file(&entry.path())? } else { entry.metadata()?.len() };
        largest = largest.max(size);
    }
    Ok(largest)
}

#[cfg(target_os = "linux")]
fn limit_files(pid: u32, bytes: Option<u64>) -> Result<()> {
    use rustix::process::{Pid, Resource, Rlimit, getrlimit, prlimit};
    let pid = i32::try_from(pid).ok().and_then(Pid::from_raw).context("a process has a number above 0")?;
    let maximum = getrlimit(Resource::Fsize).maximum; // inherited, and left as it is: only root could raise it again
    let limit = Rlimit { current: bytes.or(maximum), maximum };
    prlimit(Some(pid), Resource::Fsize, limit).context("the size of the server's files can't be limited")?;
    Ok(())
}

#[cfg(not(target_os = "linux"))]
fn limit_files(_: u32, _: Option<u64>) -> Result<()> {
    anyhow::bail!("a full disk can be had on Linux only: there is no way here to limit the files of a running process")
}

//! `.dev/demo-<process>/`: all that one run keeps on disk, and how a run that was killed is told from one that lives.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::process;

use anyhow::{Context, Result};

use crate::orphans;

/// The file whose lock a living run holds. The kernel frees it with the process, however that ends.
const LOCK: &str = "lock";
/// Which processes the run started: a line each, the number, a tab, and a text of its command line.
const PROCESSES: &str = "processes";

/// The folder of one run; removed at its end.
pub(crate) struct RunFolder {
    path: PathBuf,
    processes: File,
    _lock: File,
}

impl RunFolder {
    /// Clears away what killed runs left under `root`/.dev, then makes and locks a folder for this one.
    pub(crate) fn create(root: &Path) -> Result<Self> {
        let all = root.join(".dev");
        fs::create_dir_all(&all).with_context(|| format!("cannot create {}", all.display()))?;
        // One run at a time looks around or moves in: a folder that is made but not yet locked would look abandoned.
        let turn = open(&all.join(LOCK))?;
        turn.lock().context("cannot lock .dev: is it on a file system without locks?")?;
        clear_abandoned(&all)?;

        let path = new_folder(&all)?;
        let lock = open(&path.join(LOCK))?;
        lock.lock()?;
        let processes = open(&path.join(PROCESSES))?;
        Ok(Self { path, processes, _lock: lock })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// A folder inside this one.
    pub(crate) fn subfolder(&self, name: &str) -> Result<PathBuf> {
        let path = self.path.join(name);
        fs::create_dir(&path).with_context(|| format!("cannot create {}", path.display()))?;
        Ok(path)
    }

    /// Notes a process that the run started. `sign` is a text of its command line that no other process has, so that
    /// the number alone, which may be in use anew, convicts nobody.
    pub(crate) fn record(&self, pid: u32, sign: &str) -> Result<()> {
        (&self.processes).write_all(format!("{pid}\t{sign}\n").as_bytes()).context("cannot note a process")
    }
}

impl Drop for RunFolder {
    fn drop(&mut self) {
        // A picture that was being painted at a Ctrl-C may turn up in a folder that was just emptied.
        let removed = fs::remove_dir_all(&self.path).or_else(|_| fs::remove_dir_all(&self.path));
        if let Err(error) = removed {
            eprintln!("dev: cannot remove {}: {error}", self.path.display());
        }
    }
}

/// Ends the processes and removes the folders of runs that no longer hold their lock.
fn clear_abandoned(all: &Path) -> Result<()> {
    for entry in fs::read_dir(all)? {
        let folder = entry?.path();
        if !folder.is_dir() {
            continue;
        }
        match open(&folder.join(LOCK))?.try_lock() {
            Ok(()) => {
                let recorded = fs::read_to_string(folder.join(PROCESSES)).unwrap_or_default();
                let ended = orphans::end(&recorded);
                fs::remove_dir_all(&folder).with_context(|| format!("cannot remove {}", folder.display()))?;
                eprintln!(
                    "dev: removed {}, which a killed run left behind, and ended {ended} of its processes",
                    folder.display()
                );
            }
            Err(TryLockError::WouldBlock) => {} // that run lives
            Err(TryLockError::Error(error)) => return Err(error).context("cannot try a lock in .dev"),
        }
    }
    Ok(())
}

/// The number of a process is not enough where runs in two containers share the folder.
fn new_folder(all: &Path) -> Result<PathBuf> {
    let pid = process::id();
    let names = std::iter::once(format!("demo-{pid}")).chain((2..).map(|n| format!("demo-{pid}-{n}")));
    for path in names.map(|name| all.join(name)) {
        match fs::create_dir(&path) {
            Ok(()) => return Ok(path),
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error).with_context(|| format!("cannot create {}", path.display())),
        }
    }
    unreachable!("there is always a next name")
}

fn open(path: &Path) -> Result<File> {
    OpenOptions::new().create(true).append(true).open(path).with_context(|| format!("cannot open {}", path.display()))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::time::Duration;

    use millstream_tests::Process;

    use super::RunFolder;

    #[test]
    fn two_runs_have_folders_of_their_own_and_remove_only_those() {
        let root = tempfile::tempdir().unwrap();
        let one = RunFolder::create(root.path()).unwrap();
        let two = RunFolder::create(root.path()).unwrap();
        assert_ne!(one.path(), two.path());
        let gone = one.path().to_owned();
        drop(one);
        assert!(!gone.exists());
        assert!(two.path().exists());
    }

    #[tokio::test]
    async fn a_killed_run_is_cleared_away_with_its_processes_but_not_with_others() {
        let root = tempfile::tempdir().unwrap();
        let left = root.path().join(".dev/demo-1");
        fs::create_dir_all(&left).unwrap();
        let sleep =
            |seconds| Process::builder("sh").args(["-c", &format!("echo up; sleep {seconds}")]).spawn().unwrap();
        let (own, foreign) = (sleep("61.25"), sleep("62.5"));
        for process in [&own, &foreign] {
            // A process has its command line only a moment after its start.
            process.wait_for_line(Duration::from_secs(10), |line| line == "up").await.unwrap();
        }
        let recorded = format!("{}\t61.25\n{}\t61.25\nnot a line\n", own.pid(), foreign.pid());
        fs::write(left.join("processes"), recorded).unwrap();

        let _folder = RunFolder::create(root.path()).unwrap();

        assert!(!left.exists());
        tokio::time::timeout(Duration::from_secs(10), own.exited()).await.unwrap();
        assert_eq!(foreign.try_exited(), None, "its number was reused: it is not the run's");
    }
}

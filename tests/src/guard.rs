//! A process must not outlive the one that started it, however that one ended.

use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result};

use crate::process::Signal;

/// Waits for its standard input to close, which the kernel sees to even when the parent was killed with `SIGKILL` or a
/// test runner ended it; then ends the process group `$2` with the signal `$1`, and removes the folder `$3`, if given,
/// once its leader is gone.
const SCRIPT: &str = r#"
read -r _
kill -s "$1" -- "-$2" 2>/dev/null || exit 0
[ -n "$3" ] || exit 0
for _ in 1 2 3 4 5 6 7 8 9 10; do
    kill -0 "$2" 2>/dev/null || break
    sleep 0.2
done
rm -rf -- "$3"
"#;

/// A small shell that watches over one process group on behalf of this process.
#[derive(Debug)]
pub(crate) struct Guard(Child);

impl Guard {
    /// Watches over `group`, to be ended with `signal` if this process dies; `folder` is removed afterwards.
    pub(crate) fn over(group: u32, signal: Signal, folder: Option<&Path>) -> Result<Self> {
        let signal = match signal {
            Signal::QUIT => "QUIT",
            _ => "KILL",
        };
        Command::new("sh")
            .args(["-c", SCRIPT, "millstream-guard", signal])
            .arg(group.to_string())
            .arg(folder.unwrap_or(Path::new("")))
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0) // a Ctrl-C at the terminal is for the parent, which then stops things in order
            .spawn()
            .map(Self)
            .context("cannot start sh")
    }
}

impl Drop for Guard {
    /// Called when the group has been ended in the orderly way: the guard must not fire at a number used anew.
    fn drop(&mut self) {
        // Both fail only for a guard that has ended already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::Guard;
    use crate::process::{Process, Signal};

    #[tokio::test]
    async fn a_guard_ends_the_group_and_removes_its_folder_when_its_parent_is_gone() {
        let folder = tempfile::tempdir().unwrap().keep();
        fs::write(folder.join("data"), "kept until the process is gone").unwrap();
        let process = Process::builder("sleep").arg("60").spawn().unwrap();
        let mut guard = Guard::over(process.pid(), Signal::KILL, Some(&folder)).unwrap();

        drop(guard.0.stdin.take()); // what the kernel does when this process dies

        process.exited().await;
        guard.0.wait().unwrap();
        assert!(!folder.exists());
    }
}

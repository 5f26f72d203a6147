//! Processes of a run that was killed before it could end them.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::thread::sleep;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};

/// Ends the recorded processes that still are what was recorded, with their groups; returns how many there were.
pub(crate) fn end(recorded: &str) -> usize {
    recorded.lines().filter_map(parse).filter(|(pid, sign)| end_one(*pid, sign)).count()
}

/// A number and a text of the command line; lines that a crash cut short are none.
fn parse(line: &str) -> Option<(Pid, &str)> {
    let (pid, sign) = line.split_once('\t')?;
    let pid = pid.parse().ok().and_then(Pid::from_raw)?;
    (!sign.is_empty()).then_some((pid, sign))
}

fn end_one(pid: Pid, sign: &str) -> bool {
    if !is(pid, sign) || kill_process_group(pid, Signal::KILL).is_err() {
        return false;
    }
    // It is not a child of this process, so its end is no event here: a killed process is gone within milliseconds.
    for _ in 0..200 {
        if !is(pid, sign) {
            break;
        }
        sleep(Duration::from_millis(10));
    }
    true
}

/// Whether a process of this number lives and has `sign` in its command line.
fn is(pid: Pid, sign: &str) -> bool {
    command_line(pid).is_some_and(|line| line.contains(sign))
}

/// From Linux' /proc, which a bare machine has where it lacks `ps`; from `ps` elsewhere.
fn command_line(pid: Pid) -> Option<String> {
    let pid = pid.as_raw_nonzero();
    if Path::new("/proc/self/cmdline").exists() {
        let bytes = fs::read(format!("/proc/{pid}/cmdline")).ok()?;
        return Some(String::from_utf8_lossy(&bytes).replace('\0', " "));
    }
    let ps = Command::new("ps").args(["-p", &pid.to_string(), "-o", "command="]).output().ok()?;
    Some(String::from_utf8_lossy(&ps.stdout).into_owned())
}

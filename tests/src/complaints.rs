//! What a process complains of in its log.

use std::collections::HashMap;

use crate::output::Lines;
use crate::process::Process;

/// A warning or an error in a log.
#[derive(Clone, Debug, PartialEq)]
pub struct Complaint {
    /// Seconds since the process began to log.
    pub at: f64,
    /// Everything behind the level: target, message, fields.
    pub text: String,
}

/// The warnings and errors of a process that logs with `tracing_subscriber::fmt` and its timer `uptime()`, without colours:
/// `<seconds>s <LEVEL> <target>: <message> <fields>`. Other lines are passed over.
#[derive(Debug)]
pub struct Complaints {
    lines: Lines,
    heard: Vec<Complaint>,
}

impl Complaints {
    /// Of this process from its start; of a talkative one, from the oldest line kept.
    #[must_use]
    pub fn of(process: &Process) -> Self {
        Self { lines: process.lines(), heard: Vec::new() }
    }

    /// All so far, in their order.
    pub fn so_far(&mut self) -> &[Complaint] {
        while let Some(line) = self.lines.try_next() {
            self.heard.extend(parse(&line.text));
        }
        &self.heard
    }
}

/// The most complaints within any one second.
#[must_use]
pub fn most_in_a_second(complaints: &[Complaint]) -> usize {
    let from =
        |index: usize| complaints[index..].iter().take_while(|later| later.at < complaints[index].at + 1.0).count();
    (0..complaints.len()).map(from).max().unwrap_or(0)
}

/// The complaint that was made most often in the same words, and how often.
#[must_use]
pub fn most_repeated(complaints: &[Complaint]) -> Option<(&str, usize)> {
    let mut counts = HashMap::new();
    for complaint in complaints {
        *counts.entry(complaint.text.as_str()).or_insert(0) += 1;
    }
    counts.into_iter().max_by_key(|(_, count)| *count)
}

fn parse(line: &str) -> Option<Complaint> {
    let (time, rest) = line.trim_start().split_once("s ")?;
    let at = time.parse().ok()?;
    let (level, text) = rest.trim_start().split_once(' ')?;
    matches!(level, "WARN" | "ERROR").then(|| Complaint { at, text: text.to_owned() })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Complaint, Complaints, most_in_a_second, most_repeated};
    use crate::process::Process;

    #[tokio::test]
    async fn warnings_and_errors_are_heard_and_counted() {
        let log = "\
   0.100000000s  INFO queue: works\n\
   0.200000000s  WARN queue::retry: failed error=no s WARN here\n\
   1.100000000s ERROR queue: broken\n\
  12.000000000s  WARN queue::retry: failed error=no s WARN here\n\
ready";
        let process = Process::builder("printf").arg("%s").arg(log).spawn().unwrap();
        process.wait_for_line(Duration::from_secs(10), |line| line == "ready").await.unwrap();
        let mut complaints = Complaints::of(&process);
        let heard = complaints.so_far();
        assert_eq!(heard.len(), 3);
        assert_eq!(heard[1], Complaint { at: 1.1, text: "queue: broken".to_owned() });
        assert_eq!(most_in_a_second(heard), 2);
        assert_eq!(most_repeated(heard), Some(("queue::retry: failed error=no s WARN here", 2)));
        assert_eq!((most_in_a_second(&[]), most_repeated(&[])), (0, None));
    }
}

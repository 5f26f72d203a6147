//! The lines a process prints, kept within bounds and readable by several at once.

use std::collections::VecDeque;
use std::io::{BufRead, BufReader, Read};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;

use tokio::sync::watch;

/// Older lines are forgotten: enough to explain any failure, and a server may print for hours.
const KEPT: usize = 2_000;

/// Which stream a line came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

/// One line, without its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// The stream it was printed to.
    pub source: Source,
    /// Its text; bytes that are not UTF-8 are replaced.
    pub text: String,
}

/// Reads the lines of a process in order, from the oldest kept.
#[derive(Debug)]
pub struct Lines {
    output: Output,
    next: usize,
    changes: watch::Receiver<()>,
}

impl Lines {
    /// The next line; `None` once both streams are at their end.
    ///
    /// Cancel-safe: a line is taken only when it is returned.
    pub async fn next(&mut self) -> Option<Line> {
        loop {
            self.changes.mark_unchanged();
            if let Some(line) = self.try_next() {
                return Some(line);
            }
            if self.output.is_at_end(self.next) {
                return None;
            }
            self.changes.changed().await.ok()?;
        }
    }

    /// The next line that was printed already.
    pub fn try_next(&mut self) -> Option<Line> {
        let kept = self.output.lock();
        self.next = self.next.max(kept.first); // a reader that fell behind goes on with the oldest kept
        let line = kept.lines.get(self.next - kept.first)?.clone();
        self.next += 1;
        Some(line)
    }
}

/// What was printed so far, shared between the threads that read the pipes and everybody who looks.
#[derive(Clone, Debug)]
pub(crate) struct Output {
    kept: Arc<Mutex<Kept>>,
    changes: Arc<watch::Sender<()>>,
}

#[derive(Debug, Default)]
struct Kept {
    lines: VecDeque<Line>,
    /// How many lines were forgotten: the number of `lines[0]`.
    first: usize,
    /// Streams that are not at their end.
    open: usize,
}

impl Output {
    pub(crate) fn new() -> Self {
        Self { kept: Arc::default(), changes: Arc::new(watch::Sender::new(())) }
    }

    /// Reads `pipe` to its end in a thread, not in a task: a server shared by tests outlives the runtime of the first.
    pub(crate) fn read(&self, source: Source, pipe: impl Read + Send + 'static) {
        self.lock().open += 1;
        let output = self.clone();
        thread::spawn(move || {
            let mut pipe = BufReader::new(pipe);
            let mut bytes = Vec::new();
            while matches!(pipe.read_until(b'\n', &mut bytes), Ok(1..)) {
                let text = String::from_utf8_lossy(&bytes);
                let text = text.trim_end_matches(['\r', '\n']).to_owned();
                output.push(Line { source, text });
                bytes.clear();
            }
            output.lock().open -= 1;
            output.changes.send_replace(());
        });
    }

    pub(crate) fn lines(&self) -> Lines {
        Lines { output: self.clone(), next: 0, changes: self.changes.subscribe() }
    }

    /// The last `count` lines, one below the other.
    pub(crate) fn tail(&self, count: usize) -> String {
        let kept = self.lock();
        let skipped = kept.lines.len().saturating_sub(count);
        let texts: Vec<&str> = kept.lines.iter().skip(skipped).map(|l| l.text.as_str()).collect();
        texts.join("\n")
    }

    /// Whether both streams ended and the lines before the number `next` are all there were.
    fn is_at_end(&self, next: usize) -> bool {
        let kept = self.lock();
        kept.open == 0 && next >= kept.first + kept.lines.len()
    }

    fn push(&self, line: Line) {
        let mut kept = self.lock();
        if kept.lines.len() == KEPT {
            kept.lines.pop_front();
            kept.first += 1;
        }
        kept.lines.push_back(line);
        drop(kept);
        self.changes.send_replace(());
    }

    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::{KEPT, Output, Source};

    #[tokio::test]
    async fn lines_arrive_in_order_and_end_with_the_stream() {
        let output = Output::new();
        let mut lines = output.lines();
        output.read(Source::Stdout, Cursor::new("one\r\ntwo\nthree"));
        let mut texts = Vec::new();
        while let Some(line) = lines.next().await {
            texts.push(line.text);
        }
        assert_eq!(texts, ["one", "two", "three"]);
        assert_eq!(output.tail(2), "two\nthree");
    }

    #[tokio::test]
    async fn only_the_newest_lines_are_kept() {
        let output = Output::new();
        let text: String = (0..KEPT + 10).map(|n| format!("{n}\n")).collect();
        output.read(Source::Stderr, Cursor::new(text));
        let mut follower = output.lines();
        while follower.next().await.is_some() {}
        let oldest = output.lines().next().await.map(|line| line.text);
        assert_eq!(oldest.as_deref(), Some("10"));
    }
}

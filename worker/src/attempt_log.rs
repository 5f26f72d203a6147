//! The lines that a handler writes for its attempt's page in the history: bounded, the oldest leave first.

use std::collections::VecDeque;

/// Most lines of an attempt.
const LINES: usize = 100;
/// Most bytes of an attempt's lines, their ends included.
const BYTES: usize = 8 * 1024;

#[derive(Debug, Default)]
pub(crate) struct AttemptLog {
    lines: VecDeque<String>,
    bytes: usize,
    dropped: u64,
}

impl AttemptLog {
    /// Adds the lines of a text. One that is too long by itself is cut.
    pub(crate) fn add(&mut self, text: &str) {
        for line in text.lines() {
            let line = &line[..line.floor_char_boundary(BYTES - 1)];
            self.bytes += line.len() + 1;
            self.lines.push_back(line.to_owned());
            while self.lines.len() > LINES || self.bytes > BYTES {
                let oldest = self.lines.pop_front().expect("a log over its bounds has a line");
                self.bytes -= oldest.len() + 1;
                self.dropped += 1;
            }
        }
    }

    /// The lines, below how many earlier ones were dropped; none where nothing was written.
    pub(crate) fn into_text(self) -> Option<String> {
        if self.lines.is_empty() {
            return None;
        }
        let mut text = String::with_capacity(self.bytes + 64);
        if self.dropped > 0 {
            text = format!("({} earlier lines were dropped)\n", self.dropped);
        }
        for line in self.lines {
            text.push_str(&line);
            text.push('\n');
        }
        text.pop();
        Some(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn log(texts: impl IntoIterator<Item = impl AsRef<str>>) -> Option<String> {
        let mut log = AttemptLog::default();
        texts.into_iter().for_each(|text| log.add(text.as_ref()));
        log.into_text()
    }

    #[test]
    fn lines_stand_in_their_order() {
        assert_eq!(log(["one", "two\nthree", ""]).as_deref(), Some("one\ntwo\nthree"));
        assert_eq!(log([""; 0]), None);
    }

    #[test]
    fn the_oldest_of_too_many_lines_are_dropped_and_counted() {
        let text = log((0..1000).map(|number| format!("line {number}"))).expect("lines");
        assert_eq!(text.lines().count(), 101);
        assert!(text.starts_with("(900 earlier lines were dropped)\nline 900\n") && text.ends_with("line 999"));
    }

    #[test]
    fn the_oldest_of_too_long_lines_are_dropped_and_a_huge_one_is_cut_between_letters() {
        let text = log(["a".repeat(5000), "b".repeat(5000)]).expect("lines");
        assert_eq!(text, format!("(1 earlier lines were dropped)\n{}", "b".repeat(5000)));
        assert_eq!(log(["é".repeat(10_000)]).expect("a line").len(), 8190);
    }
}

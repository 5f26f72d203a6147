//! The pause between failed tries of a loop that must go on: no hot loop, each trouble logged once.

use std::{
    fmt::Display,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use tracing::{Level, event};

const FIRST: Duration = Duration::from_millis(50);
const LONGEST: Duration = Duration::from_secs(1);
/// A trouble is over when nothing failed for this long; until then it comes and goes.
const CALM: Duration = Duration::from_secs(10);
/// Errors remembered, at most.
const REMEMBERED: usize = 32;

/// The causes that some loop of this process logged lately: a server that goes away fails all of them, and is worth one
/// line.
static LATELY: Mutex<Vec<(String, Instant)>> = Mutex::new(Vec::new());

/// Paces a loop through a trouble, such as a server that is away.
#[derive(Debug)]
pub struct Retry {
    what: &'static str,
    pause: Duration,
    last_failure: Option<Instant>,
    /// The causes that were logged in the present trouble.
    told: Vec<String>,
    /// Something was logged since it last worked.
    owes_relief: bool,
}

impl Retry {
    /// `what` names the loop in the log.
    pub fn new(what: &'static str) -> Self {
        Self { what, pause: FIRST, last_failure: None, told: Vec::new(), owes_relief: false }
    }

    /// Logs the error, and waits: 50 ms at first, then twice as long each time, up to one second.
    pub async fn failed(&mut self, error: &impl Display) {
        self.report(error);
        tokio::time::sleep(self.pause).await;
        self.pause = (self.pause * 2).min(LONGEST);
    }

    /// Logs the error, once in a trouble however often it comes and goes, and not where another loop of the process logged
    /// the same within the last ten seconds.
    pub fn report(&mut self, error: &impl Display) {
        self.report_at(error.to_string(), Instant::now());
    }

    fn report_at(&mut self, error: String, now: Instant) -> bool {
        let cause = cause(&error);
        if self.last_failure.is_none_or(|last| now.duration_since(last) > CALM) {
            self.told.clear();
        }
        self.last_failure = Some(now);
        let is_news =
            self.told.len() < REMEMBERED && !self.told.iter().any(|told| told == cause) && is_news(cause, now);
        let loop_name = self.what;
        if is_news {
            event!(name: "retry.failed", target: "millstream::retry", Level::WARN, loop_name, error, "failed, trying again");
            self.told.push(cause.to_owned());
            self.owes_relief = true;
        } else {
            event!(name: "retry.failed_again", target: "millstream::retry", Level::DEBUG, loop_name, error, "failed again");
        }
        is_news
    }

    /// Notes that it works; says so if it was said that it didn't.
    pub fn worked(&mut self) {
        self.pause = FIRST;
        if std::mem::take(&mut self.owes_relief) {
            let loop_name = self.what;
            event!(name: "retry.worked", target: "millstream::retry", Level::INFO, loop_name, "works again");
        }
    }
}

/// How a connection that is gone shows, now to the loop that used it, then to those that want another.
const GONE: [&str; 4] = ["broken pipe", "Connection refused", "Connection reset", "subscription ended"];

/// What makes two errors the same trouble: that the connection is gone, in whatever words; the code word of a server's answer,
/// such as `MISCONF`, for it words the refusal of each command differently; else the whole text.
fn cause(error: &str) -> &str {
    if GONE.iter().any(|words| error.contains(words)) {
        return GONE[0];
    }
    let quoted = error.split('"').skip(1).step_by(2);
    let is_code = |word: &&str| word.len() > 2 && *word != "ERR" && word.bytes().all(|byte| byte.is_ascii_uppercase());
    quoted.into_iter().find(is_code).unwrap_or(error)
}

/// Whether no loop logged the cause lately; notes it, if so.
fn is_news(cause: &str, now: Instant) -> bool {
    let mut lately = LATELY.lock().unwrap_or_else(PoisonError::into_inner);
    lately.retain(|(_, logged)| now.duration_since(*logged) < CALM);
    if lately.len() >= REMEMBERED || lately.iter().any(|(known, _)| known == cause) {
        return false;
    }
    lately.push((cause.to_owned(), now));
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn a_trouble_that_comes_and_goes_is_logged_once_and_anew_after_a_calm() {
        let mut retry = Retry::new("test");
        let start = Instant::now();
        let error = || "it comes and goes".to_owned();
        assert!(retry.report_at(error(), start));
        for second in 1..60 {
            retry.worked();
            assert!(!retry.report_at(error(), start + second * SECOND));
        }
        assert!(retry.report_at("another".to_owned(), start + 60 * SECOND));
        assert!(!retry.report_at(error(), start + 61 * SECOND));
        assert!(retry.report_at(error(), start + 75 * SECOND));
    }

    #[test]
    fn a_server_that_goes_away_is_one_trouble() {
        let gone = ["Redis: broken pipe", "no connection to Redis at x: Connection refused (os error 111)"];
        assert_eq!(cause(gone[0]), cause(gone[1]));
        assert_ne!(cause(gone[1]), cause("no connection to Redis at x: invalid password"));
    }

    #[test]
    fn what_hits_several_loops_at_once_is_logged_by_the_first_and_later_by_those_it_still_hits() {
        let (mut one, mut two) = (Retry::new("one"), Retry::new("two"));
        let start = Instant::now();
        let error = || "it hits both".to_owned();
        assert!(one.report_at(error(), start));
        assert!(!two.report_at(error(), start + SECOND));
        assert!(!two.report_at(error(), start + 9 * SECOND));
        assert!(two.report_at(error(), start + 11 * SECOND));
        assert!(!one.report_at(error(), start + 12 * SECOND));
        assert!(!two.report_at(error(), start + 15 * SECOND));
    }

    #[test]
    fn refusals_of_different_commands_have_one_cause() {
        let refusals = [
            r#"Redis: "MISCONF": Errors writing to the AOF file: No space left on device"#,
            r#"no connection to Redis at h:1: Pipeline failures: [(Index 0, error: "MISCONF": x), (Index 1, error: "MISCONF": y)]"#,
        ];
        assert!(refusals.iter().all(|refusal| cause(refusal) == "MISCONF"));
        for other in ["no such host", r#""ERR": no such key"#, r#"the "KIND of" it"#, ""] {
            assert_eq!(cause(other), other);
        }
    }

    #[tokio::test]
    async fn pauses_double_and_begin_anew_once_it_worked() {
        let mut retry = Retry::new("test");
        let start = Instant::now();
        retry.failed(&"pauses").await;
        retry.failed(&"pauses").await;
        assert!(start.elapsed() >= Duration::from_millis(50 + 100));
        assert_eq!(retry.pause, 4 * FIRST);
        retry.worked();
        assert_eq!(retry.pause, FIRST);
    }
}

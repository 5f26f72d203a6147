//! The pause between failed tries of a loop that must go on: no hot loop, each trouble logged once.

use std::{
    fmt::Display,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use redis::RedisError;
use tracing::{Level, event};

use crate::Error;

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
    pub async fn failed(&mut self, error: &impl Trouble) {
        self.report(error);
        tokio::time::sleep(self.pause).await;
        self.pause = (self.pause * 2).min(LONGEST);
    }

    /// Logs the error, once in a trouble however often it comes and goes, and not where another loop of the process logged
    /// the same within the last ten seconds.
    pub fn report(&mut self, error: &impl Trouble) {
        self.report_at(&error.cause(), error, Instant::now());
    }

    fn report_at(&mut self, cause: &str, error: &impl Display, now: Instant) -> bool {
        if self.last_failure.is_none_or(|last| now.duration_since(last) > CALM) {
            self.told.clear();
        }
        self.last_failure = Some(now);
        let is_news =
            self.told.len() < REMEMBERED && !self.told.iter().any(|told| told == cause) && is_news(cause, now);
        let (loop_name, error) = (self.what, error.to_string());
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

/// An error that several loops may meet at once, each in words of its own.
pub trait Trouble: Display {
    /// What the others meet too: the code word of a server's answer, such as `MISCONF`, for it words the refusal of each
    /// command differently; one phrase for all ways in which a server that went away shows, now to the loop that used the connection,
    /// then to those that want another; else the error itself.
    fn cause(&self) -> String;
}

impl Trouble for Error {
    fn cause(&self) -> String {
        match self {
            Error::Redis(source) | Error::Unreachable { source, .. } => source.cause(),
            other => other.to_string(),
        }
    }
}

impl Trouble for RedisError {
    fn cause(&self) -> String {
        let answers = self.clone().into_server_errors();
        if let Some((_, answer)) = answers.as_ref().and_then(|answers| answers.first())
            && answer.code() != "ERR"
        {
            return answer.code().to_owned();
        }
        if self.is_connection_dropped() { "the server went away".to_owned() } else { self.to_string() }
    }
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
        let mut report = |cause: &str, seconds: u32| {
            retry.worked();
            retry.report_at(cause, &"an error", start + seconds * SECOND)
        };
        assert!(report("it comes and goes", 0));
        for seconds in 1..60 {
            assert!(!report("it comes and goes", seconds));
        }
        assert!(report("another", 60));
        assert!(!report("it comes and goes", 61));
        assert!(report("it comes and goes", 75));
    }

    #[test]
    fn what_hits_several_loops_at_once_is_logged_by_the_first_and_later_by_those_it_still_hits() {
        let (mut one, mut two) = (Retry::new("one"), Retry::new("two"));
        let start = Instant::now();
        let report = |retry: &mut Retry, seconds: u32| retry.report_at("it hits both", &"x", start + seconds * SECOND);
        assert!(report(&mut one, 0));
        assert!(!report(&mut two, 1));
        assert!(!report(&mut two, 9));
        assert!(report(&mut two, 11));
        assert!(!report(&mut one, 12));
        assert!(!report(&mut two, 15));
    }

    fn answered(reply: &str) -> RedisError {
        let value = redis::parse_redis_value(reply.as_bytes()).expect("a reply");
        value.extract_error().expect_err("a refusal")
    }

    #[test]
    fn refusals_of_different_commands_have_one_cause_and_so_have_the_signs_of_a_server_that_went_away() {
        use std::io::ErrorKind;
        let refusal = answered("-MISCONF Errors writing to the AOF file: No space left on device\r\n");
        assert_eq!(refusal.cause(), "MISCONF");
        assert_eq!(Error::Unreachable { server: "h:1".to_owned(), source: refusal }.cause(), "MISCONF");
        use ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionRefused, ConnectionReset, UnexpectedEof};
        for kind in [BrokenPipe, ConnectionAborted, ConnectionRefused, ConnectionReset, UnexpectedEof] {
            assert_eq!(RedisError::from(std::io::Error::from(kind)).cause(), "the server went away", "{kind}");
        }
        for error in [std::io::Error::from(ErrorKind::TimedOut).into(), answered("-ERR no such key\r\n")] {
            assert_eq!(error.cause(), error.to_string());
        }
    }

    #[tokio::test]
    async fn pauses_double_and_begin_anew_once_it_worked() {
        let mut retry = Retry::new("test");
        let start = Instant::now();
        retry.failed(&Error::Time { time: "pauses".to_owned() }).await;
        retry.failed(&Error::Time { time: "pauses".to_owned() }).await;
        assert!(start.elapsed() >= Duration::from_millis(50 + 100));
        assert_eq!(retry.pause, 4 * FIRST);
        retry.worked();
        assert_eq!(retry.pause, FIRST);
    }
}

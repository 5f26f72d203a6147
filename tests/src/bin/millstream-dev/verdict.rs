//! Whether anything is missing, and the figures of a run.

use std::collections::HashSet;
use std::fmt;

use chrono::TimeDelta;

use crate::album::Photo;
use crate::events::Heard;
use crate::history::Row;

/// What SQL and the WebSocket know of an album's photos.
#[derive(Debug)]
pub(crate) struct Verdict {
    photos: usize,
    rows: usize,
    events: usize,
    /// From the first enqueue to the last finish.
    duration: TimeDelta,
    /// From enqueue to finish, ascending.
    latencies: Vec<TimeDelta>,
    missing: Vec<String>,
}

impl Verdict {
    /// Compares what should be there (a job for each photo and `contact_sheet`, an event for each photo) with what is.
    pub(crate) fn new(album: &str, photos: &[Photo], contact_sheet: bool, rows: &[Row], heard: &Heard) -> Self {
        let recorded: HashSet<&str> = rows.iter().filter_map(|row| row.photo.as_deref()).collect();
        let has_event = |photo: &Photo| heard.photos.contains(&(album.to_owned(), photo.id.clone()));
        let mut missing = Vec::new();
        for photo in photos {
            if !recorded.contains(photo.id.as_str()) {
                missing.push(format!("the job of {} is not in the history", photo.name));
            }
            if !has_event(photo) {
                missing.push(format!("the event of {} did not arrive", photo.name));
            }
        }
        if contact_sheet && rows.iter().all(|row| row.photo.is_some()) {
            missing.push("the job of the contact sheet is not in the history".to_owned());
        }

        let first = rows.iter().map(|row| row.enqueued_at).min().unwrap_or_default();
        let last = rows.iter().map(|row| row.finished_at).max().unwrap_or_default();
        let mut latencies: Vec<TimeDelta> = rows.iter().map(|row| row.finished_at - row.enqueued_at).collect();
        latencies.sort();
        let events = photos.iter().filter(|photo| has_event(photo)).count();
        Self { photos: photos.len(), rows: rows.len(), events, duration: last - first, latencies, missing }
    }

    /// What should be there and is not, a sentence each.
    pub(crate) fn missing(&self) -> &[String] {
        &self.missing
    }

    /// The least time that `percent` of the jobs did not exceed (nearest rank), in seconds.
    fn percentile(&self, percent: usize) -> f64 {
        let rank = (self.latencies.len() * percent).div_ceil(100).max(1);
        self.latencies.get(rank - 1).map_or(0.0, |latency| latency.as_seconds_f64())
    }
}

/// The one line of figures.
impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.duration.as_seconds_f64().max(0.001);
        write!(
            f,
            "{} photos, {} jobs, {:.1} jobs/s, p50 {:.3} s, p99 {:.3} s, {} history rows, {} events seen",
            self.photos,
            self.latencies.len(),
            self.latencies.len() as f64 / seconds,
            self.percentile(50),
            self.percentile(99),
            self.rows,
            self.events,
        )
    }
}

#[cfg(test)]
mod tests {
    use chrono::{DateTime, TimeDelta, Utc};

    use super::Verdict;
    use crate::album::Photo;
    use crate::events::Heard;
    use crate::history::Row;

    fn photos(count: usize) -> Vec<Photo> {
        (0..count).map(|n| Photo { id: n.to_string(), name: format!("{n}.jpg") }).collect()
    }

    fn row(photo: Option<usize>, seconds: i64) -> Row {
        let enqueued_at = DateTime::<Utc>::UNIX_EPOCH;
        Row { photo: photo.map(|n| n.to_string()), enqueued_at, finished_at: enqueued_at + TimeDelta::seconds(seconds) }
    }

    fn heard(photos: usize) -> Heard {
        let photos = (0..photos).map(|n| ("album".to_owned(), n.to_string())).collect();
        Heard { photos }
    }

    #[test]
    fn a_complete_run_is_one_line_of_figures() {
        let mut rows: Vec<Row> = (0..99).map(|n| row(Some(n), n as i64 + 1)).collect();
        rows.push(row(None, 100));
        let verdict = Verdict::new("album", &photos(99), true, &rows, &heard(99));
        assert_eq!(verdict.missing(), &[] as &[String]);
        assert_eq!(
            verdict.to_string(),
            "99 photos, 100 jobs, 1.0 jobs/s, p50 50.000 s, p99 99.000 s, 100 history rows, 99 events seen"
        );
    }

    #[test]
    fn each_thing_that_is_missing_is_named() {
        let rows = [row(Some(0), 1)];
        let verdict = Verdict::new("album", &photos(2), true, &rows, &heard(1));
        assert_eq!(
            verdict.missing(),
            [
                "the job of 1.jpg is not in the history",
                "the event of 1.jpg did not arrive",
                "the job of the contact sheet is not in the history"
            ]
        );
    }

    #[test]
    fn a_run_in_which_nothing_happened_has_figures_too() {
        let verdict = Verdict::new("album", &[], false, &[], &Heard::default());
        assert!(verdict.to_string().starts_with("0 photos, 0 jobs, 0.0 jobs/s, p50 0.000 s"));
    }
}

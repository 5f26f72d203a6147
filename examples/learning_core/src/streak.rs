//! Days in a row, counted in the learner's own calendar. Nothing here reads a clock.
//!
//! A day is a date of the learner's time zone. It has 23 or 25 hours where clocks change, may begin at 01:00, and where a
//! country changed sides of the date line it may not exist at all.

use chrono::{DateTime, Days, NaiveDate, NaiveTime, TimeDelta, Utc};
use chrono_tz::Tz;

#[cfg(test)]
mod tests;

/// A learner's streak as it stood on their last active day.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Streak {
    /// Active days in a row.
    pub days: i64,
    /// The last of them; none before the first activity.
    pub last: Option<NaiveDate>,
}

/// What to do about a streak that is to be reminded of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reminder {
    /// Remind now: it breaks soon.
    Now,
    /// Remind then, unless there is an activity before.
    At(DateTime<Utc>),
    /// There is none, or it broke.
    Never,
}

impl Streak {
    /// The streak after an activity at `now`. One on a day that counts already changes nothing, nor does a clock that goes
    /// back.
    #[must_use]
    pub fn after_activity(self, zone: Tz, now: DateTime<Utc>) -> Self {
        let today = day_of(now, zone);
        match self.last {
            Some(last) if today <= last => self,
            Some(last) if today == day_after(last, zone) => Self { days: self.days + 1, last: Some(today) },
            _ => Self { days: 1, last: Some(today) },
        }
    }

    /// When it breaks unless there is an activity before: when the day after the last active one is over.
    pub fn breaks_at(self, zone: Tz) -> Option<DateTime<Utc>> {
        let chance = day_after(self.last?, zone);
        Some(start_of(chance + Days::new(1), zone))
    }

    /// Its days at `now`: none once it broke.
    pub fn at(self, zone: Tz, now: DateTime<Utc>) -> i64 {
        if self.breaks_at(zone).is_some_and(|breaks| now < breaks) { self.days } else { 0 }
    }

    /// Whether at `now` a reminder is due that comes `before` the streak breaks.
    pub fn reminder(self, zone: Tz, before: TimeDelta, now: DateTime<Utc>) -> Reminder {
        match self.breaks_at(zone) {
            Some(breaks) if now < breaks - before => Reminder::At(breaks - before),
            Some(breaks) if now < breaks => Reminder::Now,
            _ => Reminder::Never,
        }
    }
}

fn day_of(time: DateTime<Utc>, zone: Tz) -> NaiveDate {
    time.with_timezone(&zone).date_naive()
}

/// The next day that the zone's calendar has.
fn day_after(day: NaiveDate, zone: Tz) -> NaiveDate {
    day_of(start_of(day + Days::new(1), zone), zone)
}

/// The first second of a day; of one that doesn't exist, that of the day that comes instead. It is searched for, because
/// midnight may be skipped, or be there twice.
fn start_of(day: NaiveDate, zone: Tz) -> DateTime<Utc> {
    let midnight = day.and_time(NaiveTime::MIN).and_utc();
    // No zone is further from UTC than this.
    let (mut before, mut begun) = (-36 * 3600, 36 * 3600);
    while begun - before > 1 {
        let middle = (before + begun) / 2;
        if day_of(midnight + TimeDelta::seconds(middle), zone) < day { before = middle } else { begun = middle }
    }
    midnight + TimeDelta::seconds(begun)
}

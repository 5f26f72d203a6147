use proptest::{prelude::*, sample::select};

use super::*;

/// Zones with something odd about them: midnights that are skipped or come twice, half hours, far sides of the date line,
/// a day that never was, clocks that changed a minute after midnight.
const ZONES: [Tz; 12] = [
    Tz::UTC,
    Tz::Europe__Berlin,
    Tz::America__New_York,
    Tz::America__Havana,
    Tz::America__Sao_Paulo,
    Tz::America__St_Johns,
    Tz::Africa__Cairo,
    Tz::Asia__Kathmandu,
    Tz::Australia__Lord_Howe,
    Tz::Antarctica__Troll,
    Tz::Pacific__Apia,
    Tz::Pacific__Kiritimati,
];

fn utc(text: &str) -> DateTime<Utc> {
    text.parse().expect("a time")
}

fn date(text: &str) -> NaiveDate {
    text.parse().expect("a date")
}

fn since(days: i64, last: &str) -> Streak {
    Streak { days, last: Some(date(last)) }
}

#[test]
fn a_day_is_the_learners_own() {
    // One moment, three days.
    let now = utc("2026-01-01T10:30:00Z");
    for (zone, day) in [
        (Tz::Pacific__Pago_Pago, "2025-12-31"),
        (Tz::Europe__Berlin, "2026-01-01"),
        (Tz::Pacific__Kiritimati, "2026-01-02"),
    ] {
        assert_eq!(Streak::default().after_activity(zone, now), since(1, day), "{zone}");
    }
}

#[test]
fn a_streak_breaks_when_the_next_day_is_over_however_long_that_was() {
    for (zone, last, breaks) in [
        (Tz::UTC, "2026-02-27", "2026-03-01T00:00:00Z"),
        // The day after has 23 hours, 25 hours.
        (Tz::Europe__Berlin, "2026-03-28", "2026-03-29T22:00:00Z"),
        (Tz::Europe__Berlin, "2026-10-24", "2026-10-25T23:00:00Z"),
        // The day behind it begins at 01:00: clocks skip midnight.
        (Tz::Africa__Cairo, "2023-04-26", "2023-04-27T22:00:00Z"),
        // Midnight comes twice, and the first one counts.
        (Tz::America__Havana, "2026-10-30", "2026-11-01T04:00:00Z"),
        // There was no 30 December 2011: the day after the 29th was the 31st.
        (Tz::Pacific__Apia, "2011-12-29", "2011-12-31T10:00:00Z"),
    ] {
        assert_eq!(since(3, last).breaks_at(zone), Some(utc(breaks)), "{zone} {last}");
    }
    let samoan = since(3, "2011-12-29").after_activity(Tz::Pacific__Apia, utc("2011-12-30T12:00:00Z"));
    assert_eq!(samoan, since(4, "2011-12-31"));
}

#[test]
fn a_reminder_comes_before_the_break_and_never_after_it() {
    let (zone, before, streak) = (Tz::Europe__Berlin, TimeDelta::hours(4), since(9, "2026-03-28"));
    let due = utc("2026-03-29T18:00:00Z");
    for (now, reminder) in [
        ("2026-03-28T12:00:00Z", Reminder::At(due)),
        ("2026-03-29T17:59:59Z", Reminder::At(due)),
        ("2026-03-29T18:00:00Z", Reminder::Now),
        ("2026-03-29T21:59:59Z", Reminder::Now),
        ("2026-03-29T22:00:00Z", Reminder::Never),
    ] {
        assert_eq!(streak.reminder(zone, before, utc(now)), reminder, "{now}");
    }
    assert_eq!(Streak::default().reminder(zone, before, due), Reminder::Never);
}

fn any_zone() -> impl Strategy<Value = Tz> {
    select(&ZONES[..])
}

/// 1990 to 2037.
fn any_time() -> impl Strategy<Value = DateTime<Utc>> {
    (631_152_000i64..2_145_916_800).prop_map(|unix| DateTime::from_timestamp(unix, 0).expect("in range"))
}

proptest! {
    #[test]
    fn days_follow_each_other_without_a_hole(zone in any_zone(), time in any_time()) {
        let day = day_of(time, zone);
        let (start, next) = (start_of(day, zone), day_after(day, zone));
        prop_assert!(start <= time, "{start}");
        prop_assert_eq!(day_of(start, zone), day);
        prop_assert!(day_of(start - TimeDelta::seconds(1), zone) < day);
        prop_assert!(next > day);
        prop_assert_eq!(start_of(day + Days::new(1), zone), start_of(next, zone));
        let length = start_of(next, zone) - start;
        prop_assert!((22..=26).contains(&length.num_hours()), "{length}");
    }

    /// However the clocks change, an activity at any moment of every day keeps the streak, and a day without one ends it.
    #[test]
    fn every_day_counts_once(zone in any_zone(), time in any_time(), moments in prop::collection::vec((0.0..1.0f64, 1..4usize), 1..40)) {
        let (mut streak, mut day) = (Streak::default(), day_of(time, zone));
        let mut last_activity = time;
        for &(moment, times) in &moments {
            let next = day_after(day, zone);
            let (start, end) = (start_of(day, zone), start_of(next, zone));
            let activity = start + TimeDelta::seconds(((end - start).num_seconds() as f64 * moment) as i64);
            for _ in 0..times {
                streak = streak.after_activity(zone, activity);
            }
            // A clock that changes a minute after midnight shows the day before once more.
            prop_assume!(day_of(activity, zone) == day);
            (day, last_activity) = (next, activity);
        }
        prop_assert_eq!(streak.days, moments.len() as i64);
        let breaks = streak.breaks_at(zone).expect("there is a streak");
        prop_assert_eq!(streak.at(zone, last_activity), streak.days);
        prop_assert_eq!(streak.at(zone, breaks - TimeDelta::seconds(1)), streak.days);
        prop_assert_eq!(streak.at(zone, breaks), 0);
        prop_assert!((22..=52).contains(&(breaks - last_activity).num_hours()));
        prop_assert_eq!(streak.after_activity(zone, breaks).days, 1);
    }

    #[test]
    fn a_reminder_is_due_when_it_said(zone in any_zone(), time in any_time(), minutes in 10i64..=20 * 60) {
        let (before, streak) = (TimeDelta::minutes(minutes), Streak::default().after_activity(zone, time));
        if let Reminder::At(due) = streak.reminder(zone, before, time) {
            prop_assert!(due > time);
            prop_assert_eq!(streak.reminder(zone, before, due), Reminder::Now);
            // An activity in between moves it on.
            let moved = streak.after_activity(zone, due).reminder(zone, before, due);
            prop_assert!(matches!(moved, Reminder::At(later) if later > due), "{moved:?}");
        } else {
            prop_assert!(false, "a day is longer than that");
        }
    }
}

use std::time::Duration;

use chrono::{DateTime, Days, TimeDelta, Timelike, Utc};
use chrono_tz::Tz;
use learning_core::{LearnerChange, Learning, MailTable, RemindStreak, Reminded, Report, worker};
use millstream_queue::{Job, Unique};
use millstream_store::{Id, Time};
use tokio::{sync::oneshot, task::JoinHandle};

use crate::site::{SOON, Site, enrolled, mails, on_both, relay, until, utc};

/// The reminders that wait once all are relayed, and when they are due in Unix milliseconds.
async fn waiting(learning: &Learning) -> Vec<(String, i64)> {
    relay(learning).await;
    let mut conn = learning.client.connection().await.unwrap();
    let later = learning.client.keys(RemindStreak::QUEUE).later();
    let due: Vec<(String, f64)> =
        redis::cmd("ZRANGE").arg(later).arg(0).arg(-1).arg("WITHSCORES").query_async(&mut conn).await.unwrap();
    due.into_iter().map(|(id, due)| (id, due as i64)).collect()
}

struct Working {
    stop: oneshot::Sender<()>,
    ended: JoinHandle<Result<(), millstream_worker::Error>>,
}

impl Working {
    fn start(learning: &Learning) -> Self {
        let (stop, stopped) = oneshot::channel();
        let mailer = MailTable(learning.store.clone());
        Self { stop, ended: tokio::spawn(worker(learning.clone(), mailer).run_until(stopped)) }
    }

    async fn stop(self) {
        self.stop.send(()).unwrap();
        self.ended.await.unwrap().unwrap();
    }
}

/// A learner who was active yesterday and hasn't been today, whose reminder is due in a moment. It is noon where they are, so
/// that no test runs over a midnight.
async fn at_risk(site: &Site) -> (Learning, Id, Id) {
    let (learning, now) = (site.learning().await, Utc::now());
    let east = 12 - i64::from(now.hour());
    let zone: Tz = format!("Etc/GMT{}{}", if east < 0 { '+' } else { '-' }, east.abs()).parse().unwrap();
    let midnight = (now.with_timezone(&zone).date_naive() + Days::new(1)).and_hms_opt(0, 0, 0).unwrap();
    let breaks = midnight.and_local_timezone(zone).unwrap().to_utc();
    let learning = Learning { remind_before: breaks - now - TimeDelta::milliseconds(200), ..learning };
    let (_, enrolment) = enrolled(&learning, 1, zone.name()).await;
    learning.report(enrolment.id, Report::default(), now - TimeDelta::days(1)).await.unwrap();
    assert_eq!(waiting(&learning).await.len(), 1);
    (learning, enrolment.id, enrolment.learner_id)
}

async fn active(learning: &Learning, enrolment: Id, now: DateTime<Utc>) {
    learning.report(enrolment, Report::default(), now).await.unwrap();
}

on_both! {
    async fn many_activities_leave_exactly_one_reminder_for_the_last(site: Site) {
        let learning = site.learning().await;
        let (_, enrolment) = enrolled(&learning, 1, "Europe/Berlin").await;
        // Three days around a change of the clocks, far ahead of now: every hour an activity, then many at once.
        let start = utc("2036-03-28T12:00:00Z");
        let mut ids = std::collections::BTreeSet::new();
        for hour in 0..48 {
            active(&learning, enrolment.id, start + TimeDelta::hours(hour)).await;
            let [(id, _)] = &waiting(&learning).await[..] else { panic!("one reminder") };
            ids.insert(id.clone());
        }
        let last = start + TimeDelta::hours(48);
        futures::future::join_all((0..20).map(|_| active(&learning, enrolment.id, last))).await;
        // Active on the 30th: the streak breaks when the 31st is over, at 22:00 UTC in summer.
        let due = utc("2036-03-31T18:00:00Z");
        let [(id, at)] = &waiting(&learning).await[..] else { panic!("one reminder") };
        assert_eq!(*at, due.timestamp_millis());
        assert!(ids.contains(id) && ids.len() == 1, "it is one job that was moved");
        let view = learning.learner(enrolment.learner_id, last).await.unwrap();
        assert_eq!((view.learner.streak, view.reminder_at), (3, Some(Time(due))));
        // Each learner has their own.
        let (_, other) = enrolled(&learning, 1, "Asia/Kathmandu").await;
        active(&learning, other.id, last).await;
        assert_eq!(waiting(&learning).await.len(), 2);
    }

    async fn a_reminder_is_sent_once(site: Site) {
        let (learning, _, learner) = at_risk(&site).await;
        let working = Working::start(&learning);
        until(async || !mails(&learning).await.is_empty()).await;
        // A job that runs again, as after a crash, and one by hand.
        let again = learning.client.push(RemindStreak { learner }).keep_result(SOON).await.unwrap();
        learning.client.result::<()>(RemindStreak::QUEUE, again).within(SOON).await.unwrap();
        let mailer = MailTable(learning.store.clone());
        assert_eq!(learning.remind(learner, &mailer, Utc::now()).await.unwrap(), Reminded::Sent);
        working.stop().await;
        let [mail] = &mails(&learning).await[..] else { panic!("one mail") };
        assert_eq!(mail.learner_id, learner);
        assert!(mail.subject.contains("1 day") && mail.body.contains("Ann"), "{mail:?}");
        assert_eq!(waiting(&learning).await, []);
    }

    async fn an_activity_on_the_day_suppresses_the_reminder(site: Site) {
        let (learning, enrolment, learner) = at_risk(&site).await;
        active(&learning, enrolment, Utc::now()).await;
        let moved = waiting(&learning).await;
        let [(_, due)] = &moved[..] else { panic!("one reminder") };
        assert!(*due > (Utc::now() + TimeDelta::hours(20)).timestamp_millis(), "it is tomorrow's");

        // A reminder that was on its way already looks again, sends nothing, and leaves the one that is due tomorrow.
        let stale = learning.client.push(RemindStreak { learner }).unique(Unique::until_started()).keep_result(SOON);
        let stale = stale.await.unwrap();
        let working = Working::start(&learning);
        let dropped = learning.client.result::<()>(RemindStreak::QUEUE, stale).within(SOON).await.unwrap_err();
        assert!(dropped.to_string().contains("there was an activity since"), "{dropped}");
        working.stop().await;
        assert_eq!(mails(&learning).await, []);
        assert_eq!(waiting(&learning).await, moved);
    }

    async fn what_comes_after_the_break_is_not_sent(site: Site) {
        let (learning, enrolment, learner) = at_risk(&site).await;
        let mailer = MailTable(learning.store.clone());
        let late = Utc::now() + TimeDelta::days(1);
        assert_eq!(learning.remind(learner, &mailer, late).await.unwrap(), Reminded::Dropped);
        assert_eq!(learning.remind(Id::new(), &mailer, late).await.unwrap(), Reminded::Dropped);
        assert_eq!(learning.learner(learner, late).await.unwrap().learner.streak, 0);
        active(&learning, enrolment, late).await;
        assert_eq!(learning.learner(learner, late).await.unwrap().learner.streak, 1, "a new one begins");
        assert_eq!(mails(&learning).await, []);
    }

    async fn a_learner_who_moves_is_reminded_by_their_new_clock(site: Site) {
        let learning = site.learning().await;
        let (_, enrolment) = enrolled(&learning, 1, "Europe/Berlin").await;
        let now = utc("2036-07-01T12:00:00Z");
        active(&learning, enrolment.id, now).await;
        let version = learning.learner(enrolment.learner_id, now).await.unwrap().learner.version;
        let change = LearnerChange { version, name: None, time_zone: Some("America/New_York".into()) };
        let view = learning.change_learner(enrolment.learner_id, change, now).await.unwrap();
        let due = utc("2036-07-03T00:00:00Z");
        assert_eq!(view.reminder_at, Some(Time(due)));
        let [(_, at)] = waiting(&learning).await[..] else { panic!("one reminder") };
        assert_eq!(at, due.timestamp_millis());
        // Their day goes on: in Berlin it would be the next one.
        active(&learning, enrolment.id, utc("2036-07-02T02:00:00Z")).await;
        assert_eq!(learning.learner(enrolment.learner_id, now).await.unwrap().learner.streak, 1);
    }

    async fn a_mail_that_can_not_be_sent_is_tried_again(site: Site) {
        let (learning, _, learner) = at_risk(&site).await;
        let (stop, stopped) = oneshot::channel::<()>();
        let mailer = Flaky { table: MailTable(learning.store.clone()), failures: 1.into() };
        let working = tokio::spawn(worker(learning.clone(), mailer).run_until(stopped));
        let short = millstream_queue::Backoff::Constant(Duration::from_millis(50));
        learning.client.push(RemindStreak { learner }).backoff(short).await.unwrap();
        until(async || mails(&learning).await.len() == 1).await;
        stop.send(()).unwrap();
        working.await.unwrap().unwrap();
    }
}

/// A mailer that fails so often first.
struct Flaky {
    table: MailTable,
    failures: std::sync::atomic::AtomicI64,
}

impl learning_core::Mailer for Flaky {
    type Error = Box<dyn std::error::Error + Send + Sync>;

    async fn send(&self, mail: learning_core::Mail) -> Result<(), Self::Error> {
        if self.failures.fetch_sub(1, std::sync::atomic::Ordering::Relaxed) > 0 {
            return Err("the mail server is away".into());
        }
        Ok(self.table.send(mail).await?)
    }
}

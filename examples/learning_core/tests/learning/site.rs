//! A platform of its own for each test.

use std::{collections::BTreeSet, time::Duration};

use chrono::{DateTime, TimeDelta, Utc};
use learning_core::{
    CourseView, Enrolment, Learner, Learning, LessonSet, MIGRATIONS, NewCourse, NewLearner, NewLesson, Report, SentMail,
};
use millstream_queue::Client;
use millstream_store::{Data, Id, List, Relay, Store};
use millstream_tests::{Database, namespace, shared_redis};

/// For what takes milliseconds on a quiet machine.
pub(crate) const SOON: Duration = Duration::from_secs(60);

/// A database, and a namespace on the Redis that tests share.
pub(crate) struct Site {
    pub(crate) redis: String,
    pub(crate) namespace: String,
    pub(crate) database: String,
    _kept: Database,
}

impl Site {
    pub(crate) async fn on(kept: Database) -> Self {
        let redis = shared_redis().await.unwrap();
        Self { redis, namespace: namespace(), database: kept.url.clone(), _kept: kept }
    }

    /// The operations on migrated tables.
    pub(crate) async fn learning(&self) -> Learning {
        let store = Store::connect(&self.database).await.unwrap();
        store.migrator().with(MIGRATIONS).up().await.unwrap();
        let client = Client::builder(&self.redis).namespace(&self.namespace).await.unwrap();
        Learning { store, client, remind_before: TimeDelta::hours(4) }
    }
}

pub(crate) fn utc(text: &str) -> DateTime<Utc> {
    text.parse().unwrap()
}

/// A course with so many lessons of a minute each.
pub(crate) async fn course(learning: &Learning, lessons: usize) -> CourseView {
    let lessons = (1..=lessons).map(|number| NewLesson { title: format!("Lesson {number}"), seconds: 60 }).collect();
    learning.create_course(NewCourse { title: "Sailing".into(), lessons }).await.unwrap()
}

pub(crate) async fn learner(learning: &Learning, time_zone: &str) -> Learner {
    let email = format!("{}@example.org", Id::new());
    learning.create_learner(NewLearner { name: "Ann".into(), email, time_zone: time_zone.into() }).await.unwrap()
}

/// A new learner in a new course.
pub(crate) async fn enrolled(learning: &Learning, lessons: usize, time_zone: &str) -> (CourseView, Enrolment) {
    let (course, learner) = (course(learning, lessons).await, learner(learning, time_zone).await);
    let enrolment = learning.enrol(learner.id, course.course.id).await.unwrap();
    (course, enrolment)
}

pub(crate) fn completing(lessons: impl IntoIterator<Item = Id>) -> Report {
    Report { completed: LessonSet(lessons.into_iter().collect::<BTreeSet<_>>()), ..Report::default() }
}

pub(crate) async fn mails(learning: &Learning) -> Vec<SentMail> {
    learning.store.list(List::new()).await.unwrap().rows
}

/// Takes everything that was committed to Redis.
pub(crate) async fn relay(learning: &Learning) {
    let relay = Relay::new(learning.client.clone(), learning.store.clone());
    let all = until(async || learning.store.outbox().await.unwrap().waiting == 0);
    relay.run_until(all).await.unwrap();
}

/// Asks until it is so: a database tells nobody of its changes.
pub(crate) async fn until(mut is_so: impl AsyncFnMut() -> bool) {
    let asking = async {
        while !is_so().await {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(SOON, asking).await.expect("in time");
}

/// [`millstream_tests::on_both`] with a site on each database.
macro_rules! on_both {
    ($(async fn $name:ident($site:ident: Site) $body:block)+) => {
        millstream_tests::on_both! {$(
            async fn $name(database: millstream_tests::Database) {
                let $site = crate::site::Site::on(database).await;
                $body
            }
        )+}
    };
}
pub(crate) use on_both;

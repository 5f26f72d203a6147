use chrono::Utc;
use futures::future::join_all;
use learning_core::{CourseChange, CourseCompleted, Error, Learning, NewLesson, Report};
use millstream_queue::{Event, Live, Position, keys};
use millstream_store::Id;

use crate::site::{completing, course, enrolled, on_both, relay, utc};

/// How many completions were published.
async fn published(learning: &Learning) -> u64 {
    let log = keys::event_log(learning.client.namespace(), CourseCompleted::NAME);
    let mut conn = learning.client.connection().await.unwrap();
    redis::cmd("XLEN").arg(log).query_async(&mut conn).await.unwrap()
}

/// Relays, and returns the next completion that is published.
async fn next_completion(learning: &Learning, since: Position) -> (CourseCompleted, Position) {
    relay(learning).await;
    let mut completions = learning.client.follow::<CourseCompleted>().since(since).await.unwrap();
    let Live::Event(event) = completions.next().await.unwrap() else { panic!("nothing was trimmed") };
    (event.data, event.position.unwrap())
}

on_both! {
    async fn twenty_devices_that_report_at_once_lose_nothing(site: Site) {
        let learning = site.learning().await;
        let (course, enrolment) = enrolled(&learning, 20, "UTC").await;
        let reports = course.lessons.iter().zip(1..).map(|(lesson, number)| {
            let (learning, now) = (learning.clone(), utc("2026-03-01T12:00:00Z"));
            // All of them have seen the same version.
            let report =
                Report { version: Some(enrolment.version), position: Some(number * 60), ..completing([lesson.id]) };
            tokio::spawn(async move { learning.report(enrolment.id, report, now).await })
        });
        let reported: Vec<_> = join_all(reports).await.into_iter().map(|done| done.unwrap().unwrap()).collect();

        let kept = learning.enrolment(enrolment.id).await.unwrap();
        assert_eq!(kept.completed.0, course.lessons.iter().map(|lesson| lesson.id).collect());
        assert_eq!((kept.position, kept.version), (1200, 21), "each was kept as a version of its own");
        assert_eq!(kept.completed_at.unwrap().0, utc("2026-03-01T12:00:00Z"));
        assert_eq!(reported.iter().filter(|reported| !reported.merged).count(), 1, "one was first");
        let versions: std::collections::BTreeSet<i64> = reported.iter().map(|reported| reported.enrolment.version).collect();
        assert_eq!(versions, (2..=21).collect());
        let learner = learning.learner(enrolment.learner_id, utc("2026-03-01T13:00:00Z")).await.unwrap().learner;
        assert_eq!((learner.streak, learner.version), (1, 2), "the day counts once");

        let (event, _) = next_completion(&learning, Position::START).await;
        assert_eq!((event.enrolment, event.learner), (enrolment.id, enrolment.learner_id));
        assert_eq!(published(&learning).await, 1);
    }

    async fn only_a_device_that_knows_the_present_version_goes_back(site: Site) {
        let learning = site.learning().await;
        let (_, enrolment) = enrolled(&learning, 3, "UTC").await;
        let at = |version, position| Report { version, position: Some(position), ..Report::default() };
        for (report, position, merged) in [
            (at(Some(1), 150), 150, false),
            (at(Some(2), 30), 30, false),
            (at(Some(2), 20), 30, true),
            (at(None, 10), 30, false),
            (at(Some(1), 90), 90, true),
        ] {
            let reported = learning.report(enrolment.id, report.clone(), Utc::now()).await.unwrap();
            assert_eq!((reported.enrolment.position, reported.merged), (position, merged), "{report:?}");
        }
    }

    async fn a_report_that_is_sent_twice_changes_nothing(site: Site) {
        let learning = site.learning().await;
        let (course, enrolment) = enrolled(&learning, 2, "UTC").await;
        let report = Report { position: Some(60), ..completing([course.lessons[0].id]) };
        let first = learning.report(enrolment.id, report.clone(), Utc::now()).await.unwrap();
        let second = learning.report(enrolment.id, report, Utc::now()).await.unwrap();
        assert_eq!(first.enrolment.version, 2);
        assert_eq!(first, second);
    }

    async fn a_completion_is_published_once_however_often_it_is_reported(site: Site) {
        let learning = site.learning().await;
        let (course, enrolment) = enrolled(&learning, 2, "UTC").await;
        let all = completing(course.lessons.iter().map(|lesson| lesson.id));
        learning.report(enrolment.id, completing([course.lessons[1].id]), Utc::now()).await.unwrap();
        relay(&learning).await;
        assert_eq!(published(&learning).await, 0, "one lesson is missing");
        let reports = (0..10).map(|_| {
            let (learning, all) = (learning.clone(), all.clone());
            tokio::spawn(async move { learning.report(enrolment.id, all, Utc::now()).await })
        });
        for reported in join_all(reports).await {
            assert!(reported.unwrap().unwrap().enrolment.completed_at.is_some());
        }
        let (event, position) = next_completion(&learning, Position::START).await;
        assert_eq!((event.enrolment, event.course), (enrolment.id, course.course.id));

        // Another report doesn't publish it once more: the next event is another learner's.
        learning.report(enrolment.id, all.clone(), Utc::now()).await.unwrap();
        let other = crate::site::learner(&learning, "UTC").await;
        let other = learning.enrol(other.id, course.course.id).await.unwrap();
        learning.report(other.id, all, Utc::now()).await.unwrap();
        assert_eq!(next_completion(&learning, position).await.0.enrolment, other.id);
        assert_eq!(published(&learning).await, 2);
    }

    async fn a_lesson_that_is_added_later_takes_no_completion_away(site: Site) {
        let learning = site.learning().await;
        let (course, enrolment) = enrolled(&learning, 1, "UTC").await;
        let first = completing([course.lessons[0].id]);
        let completed_at = learning.report(enrolment.id, first, Utc::now()).await.unwrap().enrolment.completed_at;
        let added = join_all((0..5).map(|_| {
            let new = NewLesson { title: "One more".into(), seconds: 30 };
            learning.add_lesson(course.course.id, new)
        }));
        let mut places: Vec<i64> = added.await.into_iter().map(|lesson| lesson.unwrap().place).collect();
        places.sort_unstable();
        assert_eq!(places, [1, 2, 3, 4, 5], "those that come at once get places of their own");
        let lessons = learning.course(course.course.id).await.unwrap().lessons;
        let next = learning.report(enrolment.id, completing([lessons[5].id]), Utc::now()).await.unwrap().enrolment;
        assert!(completed_at.is_some() && next.completed_at == completed_at);
        assert_eq!(next.completed.0.len(), 2);
    }

    async fn a_change_of_a_version_that_is_gone_is_refused(site: Site) {
        let learning = site.learning().await;
        let course = course(&learning, 0).await.course;
        let change = |title: &str| CourseChange { version: 1, title: title.into() };
        assert_eq!(learning.change_course(course.id, change("Knots")).await.unwrap().version, 2);
        let error = learning.change_course(course.id, change("Ropes")).await.unwrap_err();
        assert!(matches!(error, Error::Store(millstream_store::Error::Conflict { .. })), "{error}");
        assert_eq!(learning.course(course.id).await.unwrap().course.title, "Knots");
    }

    async fn a_report_that_is_out_of_bounds_keeps_nothing(site: Site) {
        let learning = site.learning().await;
        let (course, enrolment) = enrolled(&learning, 1, "UTC").await;
        let stranger = crate::site::course(&learning, 1).await.lessons[0].id;
        for report in [
            completing([course.lessons[0].id, stranger]),
            Report { position: Some(61), ..completing([course.lessons[0].id]) },
            Report { position: Some(-1), ..Report::default() },
            Report { position: Some(i64::MAX), ..Report::default() },
        ] {
            let error = learning.report(enrolment.id, report, Utc::now()).await.unwrap_err();
            assert!(matches!(error, Error::Invalid { .. }), "{error}");
        }
        let error = learning.report(Id::new(), Report::default(), Utc::now()).await.unwrap_err();
        assert!(matches!(error, Error::NoSuch { what: "enrolment", .. }), "{error}");
        assert_eq!(learning.enrolment(enrolment.id).await.unwrap(), enrolment);
        assert_eq!(learning.learner(enrolment.learner_id, Utc::now()).await.unwrap().learner.streak, 0);
        assert_eq!(learning.store.outbox().await.unwrap().waiting, 0, "no reminder, no event");
    }
}

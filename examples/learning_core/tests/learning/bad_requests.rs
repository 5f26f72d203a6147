use axum::{
    body::Body,
    http::{Request, StatusCode, header},
};
use learning_core::{Course, Enrolment, Learner, web::router};
use millstream_store::{Data, Id, List};
use serde_json::{Value, json};

use crate::{
    site::{enrolled, on_both},
    web::{ask, get, send},
};

const JSON: &str = "application/json";

on_both! {
    async fn what_can_not_be_a_list_is_refused(site: Site) {
        let learning = site.learning().await;
        let router = router(learning);
        for (path, words) in [
            ("/api/courses?page=-1", "page"),
            ("/api/courses?page=0", "page"),
            ("/api/courses?page=1000000000", "1,000,000 rows"),
            ("/api/courses?limit=0", "1 to 1000"),
            ("/api/courses?limit=-5", "1 to 1000"),
            ("/api/courses?limit=1e9", "1 to 1000"),
            ("/api/courses?sort=version", "title, created_at"),
            ("/api/courses?sort=title;DROP%20TABLE%20courses", "no such column"),
            ("/api/courses?version=1", "no such column"),
            ("/api/courses?title%27%3B%20DROP%20TABLE%20courses%3B--=x", "no such column"),
            ("/api/courses?title.like=x", "one of eq"),
            ("/api/courses?title=a%00b", "without NUL"),
            ("/api/courses?q=a%00b", "without NUL"),
            ("/api/courses?after=zz", "no cursor"),
            ("/api/learners?streak=%27%20OR%201=1--", "whole number"),
            ("/api/learners?active_on=2026-01-01", "no such column"),
            ("/api/enrolments?learner_id=7", "UUID"),
            ("/api/enrolments?completed_at.lt=yesterday", "a time"),
            ("/api/mails?q=x", "nothing is searchable"),
        ] {
            let (status, body) = get(&router, path).await;
            let error = body["error"].as_str().unwrap();
            assert!(status == StatusCode::BAD_REQUEST && error.contains(words), "{path}: {status} {error}");
        }
    }

    async fn what_is_wrong_with_a_request_is_said_in_json_and_nothing_is_kept(site: Site) {
        let learning = site.learning().await;
        let (course, enrolment) = enrolled(&learning, 1, "UTC").await;
        let router = router(learning.clone());
        let nobody = Id::new();
        let course_path = format!("/api/courses/{}", course.course.id);
        let progress = format!("/api/enrolments/{}/progress", enrolment.id);
        let learner = |name: &str, email: &str, zone: &str| json!({"name": name, "email": email, "time_zone": zone});
        let long = "x".repeat(201);
        let cases: Vec<(&str, String, Value, u16, &str)> = vec![
            ("GET", "/api/courses/7".into(), json!(null), 400, "ids are UUIDs"),
            ("GET", "/api/courses/%00".into(), json!(null), 400, "ids are UUIDs"),
            ("GET", "/api/courses/%ff".into(), json!(null), 400, "UTF-8"),
            ("GET", format!("/api/courses/{nobody}"), json!(null), 404, "no course"),
            ("GET", format!("/api/learners/{nobody}"), json!(null), 404, "no learner"),
            ("GET", format!("/api/enrolments/{nobody}"), json!(null), 404, "no enrolment"),
            ("GET", "/nowhere".into(), json!(null), 404, "nothing at /nowhere"),
            ("DELETE", course_path.clone(), json!(null), 405, "that way"),
            ("POST", "/api/courses".into(), json!({}), 422, "title"),
            ("POST", "/api/courses".into(), json!({"title": " "}), 422, "1 to 200 characters"),
            ("POST", "/api/courses".into(), json!({"title": "a\u{0}b"}), 422, "control characters"),
            ("POST", "/api/courses".into(), json!({"title": long}), 422, "1 to 200 characters"),
            ("POST", "/api/courses".into(), json!({"title": "x", "price": 7}), 422, "price"),
            ("POST", "/api/courses".into(), json!({"title": "x", "lessons": [{"title": "y", "seconds": 0}]}), 422, "86400"),
            ("POST", "/api/courses".into(), json!({"title": "x", "lessons": [{"title": "y", "seconds": 1e30}]}), 422, "i64"),
            ("POST", format!("/api/courses/{nobody}/lessons"), json!({"title": "x", "seconds": 1}), 404, "no course"),
            ("PATCH", course_path.clone(), json!({"version": 0, "title": "x"}), 409, "no longer version 0"),
            ("PATCH", format!("/api/courses/{nobody}"), json!({"version": 1, "title": "x"}), 404, "no course"),
            ("POST", "/api/learners".into(), learner("a\u{0}", "a@b", "UTC"), 422, "name"),
            ("POST", "/api/learners".into(), learner("Ann", "ann", "UTC"), 422, "ann@example.org"),
            ("POST", "/api/learners".into(), learner("Ann", "ann@b\u{0}", "UTC"), 422, "email"),
            ("POST", "/api/learners".into(), learner("Ann", "ann@b", "Europe/Atlantis"), 422, "IANA"),
            ("POST", "/api/learners".into(), learner("Ann", "ann@b", "UTC\u{0}"), 422, "IANA"),
            ("POST", "/api/enrolments".into(), json!({"learner_id": "7", "course_id": nobody}), 422, "learner_id"),
            ("POST", "/api/enrolments".into(), json!({"learner_id": nobody, "course_id": course.course.id}), 404, "no learner"),
            ("POST", "/api/enrolments".into(), json!({"learner_id": enrolment.learner_id, "course_id": nobody}), 404, "no course"),
            ("POST", progress.clone(), json!({"completed": [nobody]}), 422, "lessons of the course"),
            ("POST", progress.clone(), json!({"completed": ["7"]}), 422, "completed"),
            ("POST", progress.clone(), json!({"position": 61}), 422, "0 to 60"),
            ("POST", progress.clone(), json!({"position": "far"}), 422, "position"),
            ("POST", format!("/api/enrolments/{nobody}/progress"), json!({}), 404, "no enrolment"),
        ];
        for (method, path, body, status, words) in cases {
            let (answered, said) = ask(&router, method, &path, body.clone()).await;
            let error = said["error"].as_str().unwrap();
            assert!(answered.as_u16() == status && error.contains(words), "{method} {path} {body}: {answered} {error}");
        }

        let raw = |body: &'static [u8], kind: Option<&str>| {
            let request = Request::post("/api/courses");
            let request = kind.into_iter().fold(request, |request, kind| request.header(header::CONTENT_TYPE, kind));
            send(&router, request.body(Body::from(body)).unwrap())
        };
        for (body, kind, status) in [
            (&b""[..], Some(JSON), StatusCode::BAD_REQUEST),
            (b"{\"title\":", Some(JSON), StatusCode::BAD_REQUEST),
            (b"\xff\xfe", Some(JSON), StatusCode::BAD_REQUEST),
            (b"[]", Some(JSON), StatusCode::UNPROCESSABLE_ENTITY),
            (b"{\"title\":\"x\"}", None, StatusCode::UNSUPPORTED_MEDIA_TYPE),
            (b"title=x", Some("application/x-www-form-urlencoded"), StatusCode::UNSUPPORTED_MEDIA_TYPE),
            (&[b' '; 3_000_000], Some(JSON), StatusCode::PAYLOAD_TOO_LARGE),
        ] {
            let (answered, said) = raw(body, kind).await;
            assert_eq!(answered, status, "{said}");
            assert!(said["error"].is_string());
        }

        assert_eq!(learning.store.count::<Course>(List::new()).await.unwrap(), 1);
        assert_eq!(learning.store.count::<Learner>(List::new()).await.unwrap(), 1);
        assert_eq!(learning.store.list::<Enrolment>(List::new()).await.unwrap().rows, [enrolment]);
    }
}

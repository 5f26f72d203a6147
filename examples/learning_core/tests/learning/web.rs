use axum::{
    Router,
    body::{Body, to_bytes},
    http::{Request, StatusCode, header},
};
use learning_core::{NewCourse, web::router};
use serde_json::{Value, json};
use tower::ServiceExt;

use crate::site::{course, on_both};

/// Status and JSON of the answer to a request.
pub(crate) async fn send(router: &Router, request: Request<Body>) -> (StatusCode, Value) {
    let response = router.clone().oneshot(request).await.unwrap();
    let status = response.status();
    let body = to_bytes(response.into_body(), usize::MAX).await.unwrap();
    let text = String::from_utf8_lossy(&body).into_owned();
    (status, serde_json::from_slice(&body).unwrap_or_else(|_| panic!("{status} without JSON: {text}")))
}

pub(crate) async fn ask(router: &Router, method: &str, path: &str, body: Value) -> (StatusCode, Value) {
    let request = Request::builder().method(method).uri(path).header(header::CONTENT_TYPE, "application/json");
    send(router, request.body(body.to_string().into()).unwrap()).await
}

pub(crate) async fn get(router: &Router, path: &str) -> (StatusCode, Value) {
    send(router, Request::get(path).body(Body::empty()).unwrap()).await
}

fn text(value: &Value) -> String {
    value.as_str().unwrap().to_owned()
}

on_both! {
    async fn a_learner_takes_a_course_over_http(site: Site) {
        let router = router(site.learning().await);
        let lessons = json!([{"title": "Knots", "seconds": 300}, {"title": "Tacking", "seconds": 600}]);
        let (status, course) = ask(&router, "POST", "/api/courses", json!({"title": " Sailing ", "lessons": lessons})).await;
        assert_eq!((status, &course["title"], &course["version"]), (StatusCode::CREATED, &json!("Sailing"), &json!(1)));
        let course_path = format!("/api/courses/{}", text(&course["id"]));
        let (status, added) = ask(&router, "POST", &format!("{course_path}/lessons"), json!({"title": "Races", "seconds": 60})).await;
        assert_eq!((status, &added["place"]), (StatusCode::CREATED, &json!(2)));
        let (_, changed) = ask(&router, "PATCH", &course_path, json!({"version": 2, "title": "Sailing I"})).await;
        assert_eq!((&changed["title"], &changed["version"]), (&json!("Sailing I"), &json!(3)));
        let (status, shown) = get(&router, &course_path).await;
        assert_eq!((status, shown["lessons"].as_array().unwrap().len()), (StatusCode::OK, 3));

        let ann = json!({"name": "Ann", "email": "ann@example.org", "time_zone": "Europe/Berlin"});
        let (status, learner) = ask(&router, "POST", "/api/learners", ann.clone()).await;
        assert_eq!((status, &learner["streak"]), (StatusCode::CREATED, &json!(0)));
        assert_eq!(ask(&router, "POST", "/api/learners", ann).await.0, StatusCode::CONFLICT);
        let ids = json!({"learner_id": learner["id"], "course_id": course["id"]});
        let (status, enrolment) = ask(&router, "POST", "/api/enrolments", ids.clone()).await;
        assert_eq!(status, StatusCode::CREATED);
        assert_eq!(ask(&router, "POST", "/api/enrolments", ids).await.0, StatusCode::CONFLICT);

        let path = format!("/api/enrolments/{}", text(&enrolment["id"]));
        let lesson = |number: usize| shown["lessons"][number]["id"].clone();
        let first = json!({"version": 1, "completed": [lesson(0), lesson(0)], "position": 300});
        let (status, one) = ask(&router, "POST", &format!("{path}/progress"), first).await;
        assert_eq!((status, &one["version"], &one["merged"]), (StatusCode::OK, &json!(2), &json!(false)));
        assert_eq!((&one["completed"], &one["completed_at"]), (&json!([lesson(0)]), &Value::Null));
        // Another device, which hasn't seen the first one's progress.
        let rest = json!({"version": 1, "completed": [lesson(1), lesson(2)], "position": 200});
        let (_, all) = ask(&router, "POST", &format!("{path}/progress"), rest).await;
        assert_eq!((&all["merged"], &all["position"]), (&json!(true), &json!(300)));
        assert_eq!(all["completed"].as_array().unwrap().len(), 3);
        assert!(all["completed_at"].is_string());
        let (_, shown) = get(&router, &path).await;
        assert_eq!((&shown["version"], &shown["completed"]), (&all["version"], &all["completed"]));

        let path = format!("/api/learners/{}", text(&learner["id"]));
        let (_, ann) = get(&router, &path).await;
        assert_eq!((&ann["streak"], ann["reminder_at"].is_string()), (&json!(1), true));
        let moved = json!({"version": ann["version"], "time_zone": "America/New_York"});
        assert_eq!(ask(&router, "PATCH", &path, moved.clone()).await.1["time_zone"], "America/New_York");
        let (status, refused) = ask(&router, "PATCH", &path, moved).await;
        assert_eq!(status, StatusCode::CONFLICT, "{refused}");
        let (_, list) = get(&router, &format!("/api/enrolments?learner_id={}&completed_at.null=false", text(&learner["id"]))).await;
        assert_eq!(list["rows"].as_array().unwrap().len(), 1);
        assert_eq!(get(&router, "/api/mails").await, (StatusCode::OK, json!({"rows": [], "next": null})));
    }

    async fn lists_take_filters_orders_and_cursors(site: Site) {
        let learning = site.learning().await;
        for number in 0..205 {
            let title = format!("Course {number:03}");
            learning.create_course(NewCourse { title, lessons: Vec::new() }).await.unwrap();
        }
        course(&learning, 1).await;
        let router = router(learning);
        let titles = |page: &Value| -> Vec<String> {
            page["rows"].as_array().unwrap().iter().map(|course| text(&course["title"])).collect()
        };
        let (status, page) = get(&router, "/api/courses?title.contains=course&sort=-title&limit=150").await;
        assert_eq!((status, titles(&page).len()), (StatusCode::OK, 150));
        assert_eq!(titles(&page)[0], "Course 204");
        let next = text(&page["next"]);
        let (_, rest) = get(&router, &format!("/api/courses?title.contains=course&sort=-title&limit=150&after={next}")).await;
        assert_eq!((titles(&rest).len(), &rest["next"]), (55, &Value::Null));
        assert_eq!(titles(&rest)[54], "Course 000");
        assert_eq!(titles(&get(&router, "/api/courses?q=sail").await.1), ["Sailing"]);
        assert_eq!(titles(&get(&router, "/api/courses?sort=title&limit=2&page=2").await.1), ["Course 002", "Course 003"]);
        for limit in ["1000000000", "18446744073709551615"] {
            let (_, page) = get(&router, &format!("/api/courses?limit={limit}")).await;
            assert_eq!(titles(&page).len(), 200, "no page is larger");
        }
        assert_eq!(titles(&get(&router, "/api/courses?title=%27%20OR%201=1%20--").await.1), Vec::<String>::new());
    }
}

//! What must be refused, with the right status and a reason, and without a trace.

use consent_manager::{Record, Text, Verdict};
use millstream_store::{Data, List};
use serde_json::{Value, json};

use crate::stage::{Stage, on_both, yes};

async fn refused(stage: &Stage, method: &str, path: &str, body: Option<Value>) -> (u16, String) {
    let (status, answer) = stage.ask(method, path, body).await;
    (
        status.as_u16(),
        answer["error"].as_str().unwrap_or_else(|| panic!("{method} {path}: {status} {answer}")).to_owned(),
    )
}

fn grant() -> Value {
    json!({ "subject": "ann", "purpose": "news", "version": 1, "method": "phone", "actor": "clerk", "source": "call 7" })
}

fn with(field: &str, value: impl Into<Value>) -> Value {
    let mut body = grant();
    body[field] = value.into();
    body
}

on_both! {
    async fn statements_that_can_not_be_accepted(stage: Stage) {
        for (body, status, word) in [
            (with("subject", ""), 422, "subject"),
            (with("subject", "  "), 422, "subject"),
            (with("subject", "ann\0"), 422, "subject"),
            (with("subject", "ann\u{1b}[2J"), 422, "subject"),
            (with("subject", "x".repeat(201)), 422, "subject"),
            (with("source", "\0"), 422, "source"),
            (with("actor", ""), 422, "actor"),
            (with("method", "a\nb"), 422, "method"),
            (with("purpose", "News"), 422, "purpose"),
            (with("purpose", "news'; DROP TABLE records; --"), 422, "purpose"),
            (with("purpose", "unheard-of"), 422, "no text 1"),
            (with("version", 2), 422, "no text 2"),
            (with("version", -1), 422, "no text -1"),
            (with("version", 1.5), 422, "version"),
            (with("version", Value::Null), 422, "version"),
            (with("version", u64::MAX), 422, "version"),
            (with("id", "7"), 422, "id"),
            (with("subject", 7), 422, "subject"),
            (with("amount", -1), 422, "amount"),
            (json!({}), 422, "subject"),
            (json!([]), 422, "invalid length"),
        ] {
            let (is, reason) = refused(&stage, "POST", "/grants", Some(body.clone())).await;
            assert!(is == status && reason.contains(word), "{body}: {is} {reason}");
        }
        let (status, reason) = refused(&stage, "POST", "/withdrawals", Some(grant())).await;
        assert!(status == 422 && reason.contains("version"), "{reason}");
        let withdrawal = json!({ "subject": "ann", "purpose": "news", "method": "phone", "actor": "c", "source": "s" });
        assert_eq!(refused(&stage, "POST", "/withdrawals", Some(withdrawal)).await.0, 409);

        for (body, word) in [
            (json!({ "title": "", "body": "words" }), "title"),
            (json!({ "title": "t", "body": "\0" }), "body"),
            (json!({ "title": "t", "body": "x".repeat(20_001) }), "body"),
            (json!({ "title": "t" }), "body"),
        ] {
            let (status, reason) = refused(&stage, "PUT", "/texts/news/2", Some(body)).await;
            assert!(status == 422 && reason.contains(word), "{reason}");
        }
        let text = json!({ "title": "t", "body": "words" });
        assert_eq!(refused(&stage, "PUT", "/texts/news/7", Some(text.clone())).await.0, 409);
        assert_eq!(refused(&stage, "PUT", "/texts/news/one", Some(text.clone())).await.0, 400);
        assert_eq!(refused(&stage, "PUT", "/texts/N%00/1", Some(text)).await.0, 422);

        let store = stage.ledger.store();
        assert_eq!(store.count::<Record>(List::new()).await.unwrap(), 0);
        assert_eq!(store.count::<Text>(List::new()).await.unwrap(), 1);
    }

    async fn bodies_that_are_no_json(stage: Stage) {
        let mut withdrawal = grant();
        withdrawal.as_object_mut().unwrap().remove("version");
        for (path, body) in
            [("/grants", grant()), ("/withdrawals", withdrawal), ("/exports", json!({ "subject": "ann" }))]
        {
            let body = body.to_string();
            for (kind, body, status) in [
                (Some("application/json"), String::new(), 400),
                (Some("application/json"), "{".to_owned(), 400),
                (Some("application/json"), "\0".to_owned(), 400),
                (Some("application/json"), format!("{body} {body}"), 400),
                (Some("text/plain"), body.clone(), 415),
                (Some("application/x-www-form-urlencoded"), "subject=ann".to_owned(), 415),
                (None, body, 415),
                (Some("application/json"), format!("\"{}\"", "x".repeat(3_000_000)), 413),
            ] {
                let (is, answer) = stage.send("POST", path, kind, body).await;
                assert!(is.as_u16() == status && answer["error"].is_string(), "{path} {kind:?}: {is} {answer}");
            }
        }
    }

    async fn lists_with_what_is_not_allowed(stage: Stage) {
        stage.ledger.grant(yes("ann")).await.unwrap();
        for list in ["/records", "/consents", "/texts", "/suppressions"] {
            for query in [
                "page=-1", "page=0", "page=1000000000000", "limit=-1", "limit=ten", "limit=1.5", "sort=hash;DROP", "sort=previous",
                "after=nonsense", "hash=x", "1%3D1=1", "purpose%27%20OR%201=1", "purpose.like=x", "purpose=%00", "version.contains=1",
                "at.ge=yesterday", "created_at.ge=yesterday", "suppressed_at.ge=0",
            ] {
                let (status, reason) = refused(&stage, "GET", &format!("{list}?{query}"), None).await;
                assert!(status == 400 && !reason.is_empty(), "{list}?{query}: {status} {reason}");
            }
            // Looks like SQL, and is a value like any other.
            let (status, answer) = stage.ask("GET", &format!("{list}?purpose=x%27%20OR%20%271%27=%271"), None).await;
            assert_eq!((status.as_u16(), &answer["rows"]), (200, &json!([])), "{list}");
        }
        for query in ["limit=5", "sort=at", "page=2", "after=x", "hash=x", "seq=one"] {
            assert_eq!(refused(&stage, "GET", &format!("/records.ndjson?{query}"), None).await.0, 400, "{query}");
        }
        assert!(matches!(stage.ledger.verify(None).await.unwrap(), Verdict::Whole(_)));
    }

    async fn addresses_that_lead_nowhere(stage: Stage) {
        let id = "0198c0de-0000-7000-8000-000000000000";
        for (method, path, status) in [
            ("GET", "/", 404),
            ("GET", "/consents/ann/news", 404),
            ("GET", "/consents/ann%00/news", 422),
            ("GET", "/consents/%FF/news", 400),
            ("GET", "/records/7", 400),
            ("GET", &format!("/records/{id}"), 404),
            ("GET", "/exports/not-a-uuid", 400),
            ("GET", &format!("/exports/{id}"), 404),
            ("GET", &format!("/exports/{id}?wait=-1"), 400),
            ("GET", &format!("/exports/{id}?patience=1"), 400),
            ("GET", "/verify?length=0&hash=x", 400),
            ("GET", "/verify?length=3", 400),
            ("GET", "/verify?length=x", 400),
            ("DELETE", &format!("/records/{id}"), 405),
            ("GET", "/grants", 405),
        ] {
            assert_eq!(refused(&stage, method, path, None).await.0, status, "{method} {path}");
        }
        for (subject, status) in [("nobody", 404), ("", 422), ("\0", 422)] {
            assert_eq!(refused(&stage, "POST", "/exports", Some(json!({ "subject": subject }))).await.0, status);
        }
    }
}

use futures::{StreamExt, TryStreamExt};
use millstream_store::{Data, Error, List, ListPage, Op, Store};

use crate::{
    database::{Database, on_both},
    shop::{Contact, Label, shop},
};

async fn filled(database: &Database) -> Store {
    let store = shop(database).await;
    let mut rows = vec![
        Contact { vip: true, score: 1.5, ..Contact::aged("Ann", 40) },
        Contact { score: -2.0, ..Contact::aged("bob 100%", 30) },
        Contact { score: 7.25, ..Contact::aged("Cecil_B", 20) },
        Contact::new("dora"),
    ];
    rows[3].email = "DORA@example.org".into();
    store.insert_many(rows).await.expect("inserted");
    store
}

async fn names(store: &Store, list: List) -> Vec<String> {
    let page = store.list::<Contact>(list.sort("name")).await.expect("a list");
    page.rows.into_iter().map(|row| row.name).collect()
}

fn asked(query: &[(&str, &str)]) -> Result<List, Error> {
    List::from_query(query.iter().copied())
}

on_both! {
    async fn filters_compare_as_their_columns_do(database: Database) {
        let store = filled(&database).await;
        for (query, expected) in [
            (&[("name", "Ann")][..], &["Ann"][..]),
            (&[("name.ne", "Ann"), ("age.gt", "0")], &["Cecil_B", "bob 100%"]),
            (&[("age.ge", "30")], &["Ann", "bob 100%"]),
            (&[("age.lt", "30")], &["Cecil_B"]),
            (&[("age.le", "30"), ("age.gt", "20")], &["bob 100%"]),
            (&[("age.in", "20,40,99")], &["Ann", "Cecil_B"]),
            (&[("age.null", "true")], &["dora"]),
            (&[("age.null", "false"), ("vip", "false")], &["Cecil_B", "bob 100%"]),
            (&[("vip", "true")], &["Ann"]),
            (&[("score.lt", "0")], &["bob 100%"]),
            (&[("name.contains", "0%")], &["bob 100%"]),
            (&[("name.contains", "_b")], &["Cecil_B"]),
            (&[("name.contains", "CECIL")], &["Cecil_B"]),
            (&[("created_at.ge", "2020-01-01"), ("created_at.lt", "9999-12-31T23:59:59Z"), ("age", "40")], &["Ann"]),
            (&[("q", "dora@")], &["dora"]),
            (&[("q", "example"), ("age.null", "true")], &["dora"]),
            (&[("q", "%")], &["bob 100%"]),
            (&[("q", "")], &["Ann", "Cecil_B", "bob 100%", "dora"]),
        ] {
            let list = asked(query).expect("allowed");
            let mut expected: Vec<_> = expected.to_vec();
            let mut found = names(&store, list.clone()).await;
            found.sort_unstable();
            expected.sort_unstable();
            assert_eq!(found, expected, "{query:?}");
            assert_eq!(store.count::<Contact>(list).await.expect("a count"), found.len() as u64, "{query:?}");
        }
        let row = store.list::<Contact>(List::new().filter("name", Op::Eq, "Ann")).await.expect("a list").rows.remove(0);
        let by_id = List::new().any_of("id", [row.id, millstream_store::Id::new()]);
        assert_eq!(store.list::<Contact>(by_id).await.expect("a list").rows, [row]);
    }

    async fn letters_beyond_ascii_are_found_as_they_are_written(database: Database) {
        let store = filled(&database).await;
        store.insert(&Contact::new("Ärger & Öl")).await.expect("inserted");
        for text in ["Ärger", "GER & Ö"] {
            assert_eq!(names(&store, List::new().filter("name", Op::Contains, text)).await, ["Ärger & Öl"], "{text}");
            assert_eq!(names(&store, List::new().search(text)).await, ["Ärger & Öl"], "{text}");
        }
    }

    async fn small_numbers_are_compared_too(database: Database) {
        let store = shop(&database).await;
        for uses in [i32::MIN, 3, i32::MAX] {
            store.insert(&Label { name: uses.to_string(), uses }).await.expect("inserted");
        }
        let few = store.list::<Label>(asked(&[("uses.lt", "4")]).expect("allowed")).await.expect("a list");
        assert_eq!(few.rows.iter().map(|label| label.uses).collect::<Vec<_>>(), [i32::MIN, 3]);
        let refused = store.list::<Label>(List::new().filter("uses", Op::Eq, 1_i64 << 31)).await.expect_err("too large");
        assert!(refused.to_string().contains("-2^31 to 2^31-1"), "{refused}");
    }

    async fn what_is_not_allowed_is_refused_before_the_database_sees_it(database: Database) {
        let store = filled(&database).await;
        let huge = "1".repeat(1_000_000);
        for (query, named) in [
            (&[("nmae", "x")][..], "nmae: there is no such column to filter; those are id, name"),
            (&[("notes", "x")], "notes: there is no such column"),
            (&[("name'; DROP TABLE contacts; --", "x")], "there is no such column"),
            (&[("1=1 OR name", "x")], "there is no such column"),
            (&[("name.like", "x")], "one of eq, ne"),
            (&[("age", "' OR 1=1--")], "age: \"' OR 1=1--\" should be a whole number"),
            (&[("age.contains", "4")], "for this column"),
            (&[("age.in", "1,,2")], "age: \"\" should be a whole number"),
            (&[("age", &huge)], "age"),
            (&[("id", "not-a-uuid")], "id: \"not-a-uuid\" should be a UUID"),
            (&[("created_at.lt", "yesterday")], "created_at: \"yesterday\" should be a time"),
            (&[("created_at.lt", "2026-02-30")], "created_at"),
            (&[("vip", "yes")], "true or false"),
            (&[("score", "NaN")], "a finite number"),
            (&[("name", "a\0b")], "a text without NUL"),
            (&[("q", "a\0b")], "a text without NUL"),
            (&[("sort", "email")], "email: there is no such column to sort by; those are name, created_at, score"),
            (&[("sort", "name; DROP TABLE contacts")], "there is no such column to sort by"),
            (&[("page", "-1")], "page: \"-1\" should be a page from 1"),
            (&[("page", "0")], "page: \"0\""),
            (&[("page", "1000000000")], "page: \"1000000000\" should be"),
            (&[("page", "18446744073709551615")], "page"),
            (&[("limit", "1000000000")], "limit: \"1000000000\" should be 1 to 1000 rows"),
            (&[("limit", "0")], "limit"),
            (&[("limit", "-5")], "limit"),
            (&[("after", "zz")], "\"zz\" is no cursor"),
            (&[("after", "é")], "is no cursor"),
            (&[("after", "5b5d"), ("page", "2")], "left out where `after` is given"),
        ] {
            let refused = match asked(query) {
                Ok(list) => store.list::<Contact>(list).await.map(drop).expect_err("refused"),
                Err(error) => error,
            };
            assert!(matches!(refused, Error::List { .. } | Error::Cursor { .. }), "{refused:?}");
            assert!(refused.to_string().contains(named), "{query:?}: {refused}");
            assert!(refused.to_string().len() < 400, "{refused}");
        }
        let error = store.list::<Label>(List::new().search("x")).await.expect_err("nothing to search");
        assert!(error.to_string().contains("nothing is searchable"), "{error}");
        // What looks like SQL is a text like any other where a text is allowed.
        assert_eq!(names(&store, asked(&[("name", "' OR 1=1--")]).expect("allowed")).await, Vec::<String>::new());
        assert_eq!(store.count::<Contact>(List::new()).await.expect("untouched"), 4);
    }

    async fn pages_by_cursor_and_by_number_show_every_row_once_in_order(database: Database) {
        let store = shop(&database).await;
        // Many equal names and scores, so that the key decides.
        let rows = (0..230).map(|number| Contact {
            score: f64::from(number % 7),
            ..Contact::aged(["x", "y", "Z", "ä"][number as usize % 4], i64::from(number))
        });
        store.insert_many(rows.collect()).await.expect("inserted");
        for sort in ["id", "-id", "name", "-name", "score", "-score", "created_at", "-created_at"] {
            let whole = store.list::<Contact>(List::new().sort(sort).limit(1000)).await.expect("a list");
            assert_eq!((whole.rows.len(), whole.next), (230, None));
            let (mut by_cursor, mut by_number) = (Vec::new(), Vec::new());
            let mut list = List::new().sort(sort).limit(50);
            loop {
                let ListPage { rows, next, .. } = store.list::<Contact>(list.clone()).await.expect("a page");
                by_cursor.extend(rows);
                match next {
                    Some(cursor) => list = list.after(cursor),
                    None => break,
                }
            }
            for page in 1..=6 {
                let page = store.list::<Contact>(List::new().sort(sort).limit(50).page(page)).await.expect("a page");
                by_number.extend(page.rows);
            }
            assert!(by_cursor == whole.rows && by_number == whole.rows, "{sort}");
        }
        // A cursor of another order is not misread.
        let page = store.list::<Contact>(List::new().sort("name").limit(1)).await.expect("a page");
        let other = List::new().sort("-name").after(page.next.expect("there are more"));
        assert!(matches!(store.list::<Contact>(other).await, Err(Error::Cursor { .. })));
    }

    async fn a_summary_adds_up_what_the_filters_let_through(database: Database) {
        let store = filled(&database).await;
        let all = store.summary::<Contact>(List::new(), "age").await.expect("a summary");
        assert_eq!((all.count, all.sum, all.min, all.max, all.mean()), (3, Some(90), Some(20), Some(40), Some(30.0)));
        let none = store.summary::<Contact>(List::new().filter("age", Op::Gt, 99), "age").await.expect("a summary");
        assert_eq!((none.count, none.sum, none.mean()), (0, None, None));
        for column in ["name", "age) FROM contacts; --"] {
            let error = store.summary::<Contact>(List::new(), column).await.expect_err("refused");
            assert!(error.to_string().contains("those are age"), "{error}");
        }
        store.insert_many(vec![Contact::aged("a", i64::MAX), Contact::aged("b", i64::MAX)]).await.expect("inserted");
        let error = store.summary::<Contact>(List::new(), "age").await.expect_err("beyond 64 bits");
        assert!(error.to_string().contains("range") || error.to_string().contains("overflow"), "{error}");
    }

    async fn a_large_result_streams_in_bounded_pages(database: Database) {
        let store = Store::builder(&database.url).pool_size(1).await.expect("a store");
        let store = crate::shop::opened(store).await;
        store.insert_many((0..2_345).map(|age| Contact::aged("many", age)).collect()).await.expect("inserted");
        let list = List::new().sort("-created_at").limit(100).filter("age", Op::Ge, 45);
        let mut rows = Box::pin(store.stream::<Contact>(list));
        let first = rows.next().await.expect("a row").expect("read");
        // Between pages the only connection is free for others.
        assert_eq!(store.get(first.id).await.expect("read"), Some(first));
        let rest: Vec<Contact> = rows.try_collect().await.expect("read");
        assert_eq!(rest.len(), 2_299);
        let refused: Vec<_> = store.stream::<Contact>(List::new().sort("no")).collect().await;
        assert!(matches!(refused[..], [Err(Error::List { .. })]), "told once");
    }
}

#[tokio::test]
async fn a_search_knows_upper_and_lower_case_as_the_column_on_postgres_does() {
    let store = shop(&Database::postgres().await).await;
    let raw = store.raw_postgres().await.expect("a connection");
    raw.batch_execute(r#"ALTER TABLE contacts ALTER name TYPE text COLLATE "und-x-icu""#).await.expect("a collation");
    drop(raw);
    store.insert(&Contact::new("Ärger & Öl")).await.expect("inserted");
    for text in ["ärger", "ÖL", "GER & ö"] {
        assert_eq!(names(&store, List::new().search(text)).await, ["Ärger & Öl"], "{text}");
    }
}

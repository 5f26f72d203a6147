use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use millstream_store::{Data, Error, Id, Json, List, Time, query};
use serde_json::json;

use crate::{
    database::on_both,
    shop::{Contact, Label, contacts, shop},
};

on_both! {
    async fn a_row_is_inserted_read_changed_and_deleted(database: Database) {
        let store = shop(&database).await;
        let ann = store.insert(&Contact::aged("Ann", 40)).await.expect("inserted");
        assert_eq!((ann.version, ann.created_at), (1, ann.updated_at));
        assert!(ann.created_at > Time::default());
        assert_eq!(store.get(ann.id).await.expect("read"), Some(ann.clone()));

        let older = store.update(&Contact { age: Some(41), ..ann.clone() }).await.expect("changed");
        assert_eq!((older.version, older.age, older.created_at), (2, Some(41), ann.created_at));
        assert!(older.updated_at >= ann.updated_at);
        let unknown = store.update(&Contact { age: None, ..older }).await.expect("changed");
        assert_eq!(store.get::<Contact>(ann.id).await.expect("read").expect("there").age, None);
        assert_eq!(store.get(ann.id).await.expect("read"), Some(unknown));

        assert!(store.delete::<Contact>(ann.id).await.expect("deleted"));
        assert!(!store.delete::<Contact>(ann.id).await.expect("only once"));
        assert_eq!(store.get::<Contact>(ann.id).await.expect("read"), None);
    }

    async fn every_kind_of_value_reads_back_as_it_was(database: Database) {
        let store = shop(&database).await;
        for (name, age, score) in [
            ("", 0, 0.0),
            ("Zoë 🦀 \u{202e}rtl\n'; DROP TABLE contacts; --", i64::MAX, f64::MIN_POSITIVE),
            ("%_\\", 1 << 53, -1e300),
        ] {
            let notes = json!({ "deep": [1, null, { "a": "ü" }], "big": u64::MAX, "empty": [] });
            let row = Contact { score, vip: true, notes: Some(Json(notes)), ..Contact::aged(name, age) };
            let row = store.insert(&row).await.expect("inserted");
            assert_eq!(store.get(row.id).await.expect("read"), Some(row));
        }
    }

    async fn many_rows_are_inserted_all_or_none(database: Database) {
        let store = shop(&database).await;
        let many = |count: usize| (0..count).map(|number| Contact::aged("many", number as i64)).collect::<Vec<_>>();
        assert_eq!(store.insert_many::<Contact>(Vec::new()).await.expect("nothing to do"), 0);
        assert_eq!(store.insert_many(many(6_500)).await.expect("inserted"), 6_500);
        let mut doubled = many(6_500);
        doubled[6_499].email = doubled[0].email.clone();
        let error = store.insert_many(doubled).await.expect_err("one is there twice");
        assert!(error.to_string().to_lowercase().contains("unique"), "{error}");
        let mut impossible = many(10);
        impossible[9].age = Some(-1);
        store.insert_many(impossible).await.expect_err("the table's own rule");
        assert_eq!(store.count::<Contact>(List::new()).await.expect("a count"), 6_500);
    }

    async fn a_stale_update_is_refused_and_changes_nothing(database: Database) {
        let store = shop(&database).await;
        let read = store.insert(&Contact::new("Ann")).await.expect("inserted");
        let theirs = store.update(&Contact { name: "theirs".into(), ..read.clone() }).await.expect("first");
        let error = store.update(&Contact { name: "mine".into(), ..read.clone() }).await.expect_err("stale");
        assert!(matches!(error, Error::Conflict { table: "contacts", version: 1, .. }), "{error}");
        assert_eq!(store.get(read.id).await.expect("read"), Some(theirs.clone()));

        // Nor does one that was read before bring a deleted row back.
        store.delete::<Contact>(read.id).await.expect("deleted");
        let error = store.update(&theirs).await.expect_err("deleted");
        assert!(matches!(error, Error::NotFound { table: "contacts", .. }), "{error}");
        let error = store.update(&Contact::new("never there")).await.expect_err("not there");
        assert!(matches!(error, Error::NotFound { .. }), "{error}");
    }

    async fn of_racing_updates_exactly_one_wins_each_version(database: Database) {
        let store = shop(&database).await;
        let row = store.insert(&Contact::aged("raced", 0)).await.expect("inserted");
        let racers = (0..8).map(|_| {
            let (store, id) = (store.clone(), row.id);
            tokio::spawn(async move {
                let mut won = 0;
                while won < 5 {
                    let read: Contact = store.get(id).await.expect("read").expect("there");
                    match store.update(&Contact { age: read.age.map(|age| age + 1), ..read }).await {
                        Ok(_) => won += 1,
                        Err(Error::Conflict { .. }) => {}
                        Err(error) => panic!("{error}"),
                    }
                }
            })
        });
        for racer in futures::future::join_all(racers).await {
            racer.expect("no panic");
        }
        let raced = store.get::<Contact>(row.id).await.expect("read").expect("there");
        assert_eq!((raced.age, raced.version), (Some(40), 41));
    }

    async fn an_upsert_inserts_or_overwrites(database: Database) {
        let store = shop(&database).await;
        let first = store.upsert(&Contact::new("first")).await.expect("inserted");
        let second = Contact { name: "second".into(), version: 77, created_at: Time::default(), ..first.clone() };
        let second = store.upsert(&second).await.expect("overwritten");
        assert_eq!((second.version, second.created_at), (2, first.created_at));
        assert_eq!(store.get(first.id).await.expect("read"), Some(second));

        let label = |uses| Label { name: "red".into(), uses };
        for uses in [1, 2] {
            assert_eq!(store.upsert(&label(uses)).await.expect("written"), label(uses));
        }
        assert_eq!(store.get("red".to_owned()).await.expect("read"), Some(label(2)));
        let upserts = (0..8).map(|uses| store.upsert(Box::leak(Box::new(label(uses)))));
        for done in futures::future::join_all(upserts).await {
            done.expect("at once");
        }
    }

    async fn a_soft_deleted_row_stays_until_it_is_erased(database: Database) {
        let store = shop(&database).await;
        let row = store.insert(&Contact::new("Ann")).await.expect("inserted");
        store.delete::<Contact>(row.id).await.expect("deleted");
        assert_eq!(store.count::<Contact>(List::new()).await.expect("a count"), 0);
        let all = store.list::<Contact>(List::new().with_deleted()).await.expect("a list").rows;
        assert!(all.len() == 1 && all[0].deleted_at.is_some() && all[0].version == 2, "{all:?}");
        let back = store.upsert(&Contact { deleted_at: None, ..all[0].clone() }).await.expect("brought back");
        assert_eq!(store.get(row.id).await.expect("read"), Some(back));
        assert!(store.erase::<Contact>(row.id).await.expect("erased"));
        assert!(!store.erase::<Contact>(row.id).await.expect("only once"));
        assert_eq!(store.count::<Contact>(List::new().with_deleted()).await.expect("a count"), 0);

        // A model without the column is deleted for good.
        store.insert(&Label { name: "red".into(), uses: 1 }).await.expect("inserted");
        assert!(store.delete::<Label>("red".into()).await.expect("deleted"));
        assert_eq!(store.count::<Label>(List::new().with_deleted()).await.expect("a count"), 0);
    }

    async fn plain_diesel_is_one_macro_away(database: Database) {
        let store = shop(&database).await;
        store.insert_many(vec![Contact::aged("Ann", 40), Contact::aged("Bob", 30)]).await.expect("inserted");
        let least = 35i64;
        let names: Vec<String> = store
            .read(query!(|conn: Db| {
                let query = contacts::table.select(contacts::name).into_boxed::<Db>();
                query.filter(contacts::age.ge(least)).load(conn).await
            }))
            .await
            .expect("read");
        assert_eq!(names, ["Ann"]);
        let changed = store
            .write(query!(|conn: Db| {
                diesel::update(contacts::table).set(contacts::vip.eq(true)).execute(conn).await
            }))
            .await
            .expect("written");
        assert_eq!(changed, 2);
        let missing = Id::new();
        let error = store
            .read(query!(|conn: Db| contacts::table.find(missing).select(contacts::name).first::<String>(conn).await))
            .await
            .expect_err("not there");
        assert!(matches!(error, Error::Query(diesel::result::Error::NotFound)), "{error}");
    }
}

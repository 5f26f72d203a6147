use crm::{
    Company, CompanyFields, Contact, ContactFields, CrmError, Deal, DealFields, StageTotal, change, create, pipeline,
    remove, search,
};
use futures::future::join_all;
use millstream_store::{Data, Id, List, Op};
use millstream_tests::{Database, on_both};
use uuid::Uuid;

use crate::desk::{Desk, contact, deal};

on_both! {
    async fn a_change_of_an_old_version_is_told_the_current_row(database: Database) {
        let store = Desk::new(&database).await.store;
        let ann: Contact = create(&store, contact(" Ann ", "Ann@Example.com")).await.unwrap();
        assert_eq!((ann.name.as_str(), ann.email.as_str(), ann.version), ("Ann", "ann@example.com", 1));
        let theirs: Contact = change(&store, ann.id.0, 1, contact("Theirs", "ann@example.com")).await.unwrap();
        let error = change::<Contact>(&store, ann.id.0, 1, contact("Mine", "ann@example.com")).await.unwrap_err();
        match error {
            CrmError::Stale { version: 1, current, .. } => {
                assert_eq!((&current["name"], &current["version"]), (&"Theirs".into(), &2.into()));
            }
            error => panic!("{error}"),
        }
        assert_eq!(store.get(ann.id).await.unwrap(), Some(theirs));
    }

    async fn of_changes_at_once_exactly_one_wins(database: Database) {
        let store = Desk::new(&database).await.store;
        let ann: Contact = create(&store, contact("Ann", "ann@example.com")).await.unwrap();
        let changes = (0..8).map(|number| change(&store, ann.id.0, 1, contact(&format!("Ann {number}"), "ann@example.com")));
        let (won, lost): (Vec<_>, Vec<_>) = join_all(changes).await.into_iter().partition(Result::is_ok);
        assert_eq!(won.len(), 1);
        for error in lost.into_iter().map(Result::<Contact, _>::unwrap_err) {
            assert!(matches!(error, CrmError::Stale { .. }), "{error}");
        }
    }

    async fn what_is_deleted_frees_its_name_and_can_not_be_pointed_to(database: Database) {
        let desk = Desk::new(&database).await;
        let store = &desk.store;
        let acme = desk.company("Acme").await;
        let same = CompanyFields { name: "Acme".into(), domain: None };
        assert!(matches!(create::<Company>(store, same.clone()).await, Err(CrmError::Taken(_))));
        let at_acme = |email| ContactFields { company: Some(acme.id), ..contact("Ann", email) };
        let ann: Contact = create(store, at_acme("ann@example.com")).await.unwrap();
        let eve: Contact = create(store, contact("Eve", "eve@example.com")).await.unwrap();
        let taken = change::<Contact>(store, eve.id.0, 1, contact("Eve", "ANN@example.com")).await;
        assert!(matches!(taken, Err(CrmError::Taken(_))));

        remove::<Company>(store, acme.id.0).await.unwrap();
        assert!(matches!(remove::<Company>(store, acme.id.0).await, Err(CrmError::Missing { .. })));
        let again: Company = create(store, same).await.unwrap();
        assert_ne!(again.id, acme.id);
        for error in [
            create::<Contact>(store, at_acme("other@example.com")).await.unwrap_err(),
            create::<Deal>(store, deal(acme.id, "lead", 1)).await.unwrap_err(),
            change::<Contact>(store, ann.id.0, 1, at_acme("ann@example.com")).await.unwrap_err(),
        ] {
            assert_eq!(error.to_string(), format!("there is no company {}", acme.id));
        }
        assert_eq!(store.get(ann.id).await.unwrap(), Some(ann), "what pointed to it still does");
        let gone = change::<Contact>(store, Uuid::nil(), 1, contact("Ann", "a@b.de")).await;
        assert!(matches!(gone, Err(CrmError::Missing { what: "contact", .. })));
    }

    async fn fields_that_can_not_be_are_refused(database: Database) {
        let desk = Desk::new(&database).await;
        let (store, acme) = (&desk.store, desk.company("Acme").await.id);
        for (name, email) in [(" ", "a@b.de"), ("a\0", "a@b.de"), (&"x".repeat(201), "a@b.de"), ("Ann", "ann")] {
            let refused = create::<Contact>(store, contact(name, email)).await;
            assert!(matches!(refused, Err(CrmError::Invalid(_))), "{name:?} {email:?}");
        }
        for fields in [
            deal(acme, "maybe", 1),
            deal(acme, "lead", -1),
            deal(acme, "lead", i64::MAX),
            deal(Id::new(), "lead", 1),
            DealFields { currency: "euro".into(), ..deal(acme, "lead", 1) },
            DealFields { contact: Some(Id::new()), ..deal(acme, "lead", 1) },
        ] {
            assert!(matches!(create::<Deal>(store, fields).await, Err(CrmError::Invalid(_))));
        }
        assert_eq!(store.count::<Deal>(List::new()).await.unwrap(), 0);
    }

    async fn the_pipeline_adds_up_what_is_not_deleted(database: Database) {
        let desk = Desk::new(&database).await;
        let (store, acme) = (&desk.store, desk.company("Acme").await.id);
        assert_eq!(pipeline(store).await.unwrap(), []);
        let mut made = Vec::new();
        for (stage, amount, currency) in
            [("won", 500, "USD"), ("won", 10, "EUR"), ("lead", 1_000_000_000_000, "EUR"), ("won", 90, "EUR"), ("won", 1, "EUR")]
        {
            let fields = DealFields { currency: currency.into(), ..deal(acme, stage, amount) };
            made.push(create::<Deal>(store, fields).await.unwrap());
        }
        remove::<Deal>(store, made[4].id.0).await.unwrap();
        let total = |stage: &str, currency: &str, deals, amount| {
            StageTotal { stage: stage.into(), currency: currency.into(), deals, amount }
        };
        let expected = [total("lead", "EUR", 1, 1_000_000_000_000), total("won", "EUR", 2, 100), total("won", "USD", 1, 500)];
        assert_eq!(pipeline(store).await.unwrap(), expected);
        let won = List::new().filter("stage", Op::Eq, "won").filter("currency", Op::Eq, "EUR");
        assert_eq!(store.summary::<Deal>(won, "amount").await.unwrap().sum, Some(100), "the same as a summary tells");
        change::<Deal>(store, made[2].id.0, 1, deal(acme, "lost", 3)).await.unwrap();
        assert_eq!(pipeline(store).await.unwrap().last(), Some(&total("lost", "EUR", 1, 3)));
    }

    async fn a_search_goes_over_everything(database: Database) {
        let desk = Desk::new(&database).await;
        let (store, chairs) = (&desk.store, desk.company("Chairs & 100% Co").await);
        create::<Contact>(store, contact("Ann", "ann@chairs.example")).await.unwrap();
        create::<Deal>(store, deal(chairs.id, "lead", 1)).await.unwrap();
        let found = search(store, "CHAIRS").await.unwrap();
        assert_eq!((found.contacts.len(), found.companies.len(), found.deals.len()), (1, 1, 1));
        let found = search(store, "0%").await.unwrap();
        assert_eq!((found.contacts.len(), found.companies.len(), found.deals.len()), (0, 1, 0));
        remove::<Company>(store, chairs.id.0).await.unwrap();
        assert!(search(store, "100%").await.unwrap().companies.is_empty());
    }
}

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use crm::{
    App, BadRow, Company, Contact, CrmError, Import, ImportContacts, Run, ask_for, ask_for_unfinished, begin, change,
    create, import_contacts, remove,
};
use futures::{TryStreamExt, stream};
use millstream_queue::{Client, Error, Job};
use millstream_store::{Data, Id, List, Op};
use millstream_tests::{Database, on_both};
use millstream_worker::{Context, Failure, Worker};
use tokio::sync::{Notify, oneshot};

use crate::{
    desk::{Desk, contact},
    file::{Sample, sample},
};

/// Waits for the import's end with a worker of its own.
async fn finish(desk: &Desk, import: &Import) -> Import {
    finish_with(Worker::new(desk.client.clone(), desk.app()).handle(import_contacts), &desk.client, import).await
}

async fn finish_with(worker: Worker<App>, client: &Client, import: &Import) -> Import {
    let (stop, stopped) = oneshot::channel::<()>();
    let working = tokio::spawn(worker.run_until(stopped));
    let job = ask_for(client, import).await.unwrap();
    let ended = client.result(ImportContacts::QUEUE, job).await.unwrap();
    drop(stop);
    working.await.unwrap().unwrap();
    ended
}

/// Nothing is missing, nothing is there twice, each bad row is told.
async fn assert_imported(desk: &Desk, import: &Import, sample: &Sample) {
    let bad = sample.bad.len() as i64;
    let facts = (import.state.as_str(), import.imported, import.bad, import.rows);
    assert_eq!(facts, ("done", sample.good, bad, sample.good + bad), "{:?}", import.error);
    assert_eq!(desk.store.get(import.id).await.unwrap().as_ref(), Some(import));
    let mine = || List::new().filter("import", Op::Eq, import.id);
    assert_eq!(desk.store.count::<Contact>(mine()).await.unwrap(), sample.good.unsigned_abs());
    let told = desk.store.stream::<BadRow>(mine().sort("line").limit(1000));
    let told: Vec<_> = told.map_ok(|bad| (bad.line, bad.reason)).try_collect().await.unwrap();
    assert_eq!(told, sample.bad);
    assert_eq!(desk.store.count::<Company>(List::new()).await.unwrap(), 49, "none for bad rows");
    assert_eq!(desk.files(), 0, "the file went with its import");
}

on_both! {
    async fn a_hundred_thousand_rows_are_imported_and_the_bad_ones_told_by_line(database: Database) {
        let desk = Desk::new(&database).await;
        let sample = sample(100_000, 101);
        assert_eq!(sample.bad.len(), 990);
        let start = Instant::now();
        let import = desk.begin(&sample.text).await;
        let import = finish(&desk, &import).await;
        println!("imported {} rows in {:.1} s", import.rows, start.elapsed().as_secs_f64());
        assert_imported(&desk, &import, &sample).await;
        let found = desk.store.list::<Contact>(List::new().filter("email", Op::Eq, "p102@example.com")).await.unwrap();
        let company = desk.store.get::<Company>(found.rows[0].company.unwrap()).await.unwrap().unwrap();
        assert_eq!((found.rows[0].name.as_str(), company.name.as_str()), ("Person 102", "Company 4"));
        assert_eq!((found.rows[0].phone.clone(), found.rows[0].import_row), (None, Some(103)));
    }

    async fn an_attempt_that_fails_in_the_middle_is_gone_on_with(database: Database) {
        let desk = Desk::new(&database).await;
        let sample = sample(5_500, 50);
        let import = desk.begin(&sample.text).await;
        // Fails once with what it wrote last not in its checkpoint, as a crash would have it.
        let failing = async |job: ImportContacts, cx: Context<App>| {
            if cx.attempt() > 1 {
                let import = cx.app.store.get::<Import>(Id(job.import)).await?.unwrap();
                assert_eq!(import.rows, 3_000, "it knows of what was written");
                return import_contacts(job, cx).await;
            }
            let import = cx.app.store.get::<Import>(Id(job.import)).await?.unwrap();
            let mut run = Run::open(App::clone(&cx.app), import, None).await?;
            run.step().await?;
            cx.checkpoint(&run.place()).await?;
            run.step().await?;
            run.step().await?;
            Err(Failure::retry_in(Duration::ZERO, "the lights went out"))
        };
        let worker = Worker::new(desk.client.clone(), desk.app()).handle(failing);
        let import = finish_with(worker, &desk.client, &import).await;
        assert_imported(&desk, &import, &sample).await;
    }

    async fn a_worker_that_stops_in_the_middle_hands_the_import_on(database: Database) {
        let desk = Desk::new(&database).await;
        let sample = sample(4_321, 50);
        let import = desk.begin(&sample.text).await;
        let (halfway, job) = (Arc::new(Notify::new()), import.clone());
        let hanging = {
            let halfway = halfway.clone();
            move |job: ImportContacts, cx: Context<App>| {
                let halfway = halfway.clone();
                async move {
                    let import = cx.app.store.get::<Import>(Id(job.import)).await?.unwrap();
                    let mut run = Run::open(App::clone(&cx.app), import, None).await?;
                    run.step().await?;
                    cx.checkpoint(&run.place()).await?;
                    halfway.notify_one();
                    std::future::pending::<millstream_worker::Result<Import>>().await
                }
            }
        };
        let worker = Worker::new(desk.client.clone(), desk.app()).handle(hanging).grace(Duration::ZERO);
        worker.run_until(halfway.notified()).await.unwrap();
        let import = finish(&desk, &job).await;
        assert_imported(&desk, &import, &sample).await;
    }

    async fn of_two_runs_at_once_only_one_writes(database: Database) {
        let desk = Desk::new(&database).await;
        let sample = sample(2_500, 50);
        let import = desk.begin(&sample.text).await;
        let open = || Run::open(desk.app(), import.clone(), None);
        let (mut one, mut other) = (open().await.unwrap(), open().await.unwrap());
        let (first, second) = tokio::join!(one.step(), other.step());
        let late = if first.is_ok() { second } else { first };
        let error = late.unwrap_err();
        assert!(matches!(error, CrmError::Store(millstream_store::Error::Conflict { .. })), "{error}");
        // A place ahead of the database, as after its restore from a backup, is not believed.
        let ahead = crm::Place { byte: 1 << 40, line: 9, rows: 2_400 };
        let standing = desk.store.get::<Import>(import.id).await.unwrap().unwrap();
        let mut last = Run::open(desk.app(), standing, Some(ahead)).await.unwrap();
        while last.step().await.unwrap() {}
        assert_imported(&desk, last.import(), &sample).await;
        // The job comes late, and finds it done.
        assert_eq!(&finish(&desk, &import).await, last.import());
    }

    async fn emails_that_are_there_are_told_apart_from_those_in_the_file(database: Database) {
        let desk = Desk::new(&database).await;
        let ann: Contact = create(&desk.store, contact("Ann", "ann@example.com")).await.unwrap();
        let gone: Contact = create(&desk.store, contact("Bob", "bob@example.com")).await.unwrap();
        remove::<Contact>(&desk.store, gone.id.0).await.unwrap();
        let text = "name,email\nA,ANN@example.com\nA,ann@example.com\nB,bob@example.com\nB,bob@example.com\n";
        let first = desk.begin(text.as_bytes()).await;
        let first = finish(&desk, &first).await;
        assert_eq!((first.imported, first.bad), (1, 3));
        let reasons = async |import: &Import| {
            let bad = List::new().filter("import", Op::Eq, import.id).sort("line");
            let bad = desk.store.list::<BadRow>(bad).await.unwrap().rows;
            bad.into_iter().map(|bad| bad.reason).collect::<Vec<_>>()
        };
        let known = "ann@example.com is a contact already";
        assert_eq!(reasons(&first).await, [known, known, "bob@example.com is in the file before"]);
        let again = desk.begin(text.as_bytes()).await;
        let again = finish(&desk, &again).await;
        assert_eq!((again.imported, again.bad), (0, 4));
        change::<Contact>(&desk.store, ann.id.0, 1, contact("Ann", "other@example.com")).await.unwrap();
    }

    async fn a_file_that_cannot_be_imported_says_why(database: Database) {
        let desk = Desk::with_limit(&database, 1000).await;
        let import = desk.begin(b"name;email\nAnn;ann@example.com\n").await;
        let import = finish(&desk, &import).await;
        assert_eq!((import.state.as_str(), desk.files()), ("failed", 0));
        assert!(import.error.unwrap().contains("lacks the column name"));

        let take = |chunks: Vec<Result<Vec<u8>, &'static str>>| {
            begin(&desk.store, &desk.client, &desk.uploads, "x.csv", stream::iter(chunks))
        };
        let error = take(vec![Ok(vec![b'x'; 600]), Ok(vec![b'x'; 600])]).await.unwrap_err();
        assert!(matches!(error, CrmError::TooLarge { limit: 1000 }), "{error}");
        let error = take(vec![Ok(vec![b'x'; 600]), Err("reset by peer")]).await.unwrap_err();
        assert!(matches!(error, CrmError::CutOff(_)), "{error}");
        assert!(matches!(take(vec![]).await, Err(CrmError::Invalid(_))));
        assert_eq!((desk.files(), desk.store.count::<Import>(List::new()).await.unwrap()), (0, 1));
        let missing = desk.client.push(ImportContacts { import: uuid::Uuid::nil() }).await.unwrap();
        let worker = Worker::new(desk.client.clone(), desk.app()).handle(import_contacts);
        let (stop, stopped) = oneshot::channel::<()>();
        let working = tokio::spawn(worker.run_until(stopped));
        let error = desk.client.result::<Import>(ImportContacts::QUEUE, missing).await.unwrap_err();
        assert!(matches!(error, Error::NotCompleted { .. }), "{error}");
        drop(stop);
        working.await.unwrap().unwrap();
    }

    async fn imports_that_were_never_asked_for_are_found(database: Database) {
        let desk = Desk::new(&database).await;
        let sample = sample(1_000, 50); // a whole batch
        let import = desk.begin(&sample.text).await;
        // As if the first push had failed: another namespace knows nothing of it.
        let other = Desk::new(&database).await;
        assert_eq!(ask_for_unfinished(&other.client, &other.store).await.unwrap(), 1);
        let worker = Worker::new(other.client.clone(), desk.app()).handle(import_contacts);
        let import = finish_with(worker, &other.client, &import).await;
        assert_imported(&desk, &import, &sample).await;
        assert_eq!(ask_for_unfinished(&other.client, &other.store).await.unwrap(), 0);
    }
}

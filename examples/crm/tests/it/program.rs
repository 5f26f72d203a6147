use std::time::Duration;

use crm::{Contact, Import};
use millstream_store::{Data, List, Op, Store};
use millstream_tests::{Database, Process, ProcessBuilder, namespace, on_both, shared_redis};

use crate::file::sample;

const PATIENCE: Duration = Duration::from_secs(30);

async fn program(database: &Database, folder: &std::path::Path) -> ProcessBuilder {
    program_in(namespace(), database, folder).await
}

async fn program_in(namespace: String, database: &Database, folder: &std::path::Path) -> ProcessBuilder {
    Process::builder(env!("CARGO_BIN_EXE_crm"))
        .env("DATABASE_URL", &*database.url)
        .env("REDIS_URL", shared_redis().await.unwrap())
        .env("MILLSTREAM_NAMESPACE", namespace)
        .env("CRM_UPLOADS", folder)
}

/// Looks until the import is so.
async fn await_import(store: &Store, is_so: impl Fn(&Import) -> bool) -> Import {
    let looking = async {
        let mut look = tokio::time::interval(Duration::from_millis(20));
        loop {
            look.tick().await;
            if let Some(import) = store.list::<Import>(List::new()).await.unwrap().rows.pop().filter(&is_so) {
                return import;
            }
        }
    };
    tokio::time::timeout(2 * PATIENCE, looking).await.expect("the import gets there")
}

on_both! {
    async fn the_program_starts_on_an_empty_database_and_ends_when_asked(database: Database) {
        let folder = tempfile::tempdir().unwrap();
        let mut program = program(&database, folder.path()).await.args(["--listen", "127.0.0.1:0"]).spawn().unwrap();
        program.wait_for_line(PATIENCE, |line| line.contains("listening on http://")).await.unwrap();
        let status = program.shut_down(PATIENCE).await;
        assert!(status.success(), "{status}\n{}", program.tail());
    }

    async fn a_file_is_imported_from_the_command_line(database: Database) {
        let folder = tempfile::tempdir().unwrap();
        let (file, sample) = (folder.path().join("people.csv"), sample(3_000, 100));
        std::fs::write(&file, &sample.text).unwrap();
        let import = program(&database, &folder.path().join("uploads")).await.arg("import").arg(&file);
        let import = import.spawn().unwrap();
        let summary = "people.csv: 2970 contacts imported, 30 bad rows";
        import.wait_for_line(PATIENCE, |line| line.contains(summary)).await.unwrap();
        let (line, reason) = &sample.bad[0];
        let told = format!("line {line}: {reason}");
        import.wait_for_line(PATIENCE, |line| line.contains(&told)).await.unwrap();
        assert!(import.exited().await.success(), "{}", import.tail());

        std::fs::write(&file, "nothing of use\n").unwrap();
        let import = program(&database, &folder.path().join("uploads")).await.arg("import").arg(&file).spawn().unwrap();
        import.wait_for_line(PATIENCE, |line| line.contains("lacks the column name")).await.unwrap();
        assert!(!import.exited().await.success());
    }

    async fn a_program_that_is_killed_in_the_middle_of_an_import_goes_on_with_it(database: Database) {
        let (folder, sample, namespace) = (tempfile::tempdir().unwrap(), sample(30_000, 100), namespace());
        let file = folder.path().join("people.csv");
        std::fs::write(&file, &sample.text).unwrap();
        let uploads = folder.path().join("uploads");
        let start = async || program_in(namespace.clone(), &database, &uploads).await;
        let store = Store::connect(&database.url).await.unwrap();
        store.migrator().with(crm::MIGRATIONS).up().await.unwrap();

        let mut killed = start().await.arg("import").arg(&file).spawn().unwrap();
        let standing = await_import(&store, |import| import.rows >= 3_000).await;
        killed.kill().await;
        assert_eq!(standing.state, "running");
        let mut program = start().await.args(["--listen", "127.0.0.1:0"]).spawn().unwrap();
        let import = await_import(&store, Import::is_over).await;
        let facts = (import.state.as_str(), import.rows, import.imported, import.bad);
        assert_eq!(facts, ("done", 30_000, sample.good, sample.bad.len() as i64), "{:?}", import.error);
        let imported = List::new().filter("import", Op::Eq, import.id);
        assert_eq!(store.count::<Contact>(imported).await.unwrap(), sample.good.unsigned_abs());
        assert!(program.shut_down(PATIENCE).await.success(), "{}", program.tail());
    }
}

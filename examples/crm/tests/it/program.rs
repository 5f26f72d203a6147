use std::time::Duration;

use millstream_tests::{Database, Process, ProcessBuilder, namespace, on_both, shared_redis};

use crate::file::sample;

const PATIENCE: Duration = Duration::from_secs(30);

async fn program(database: &Database, folder: &std::path::Path) -> ProcessBuilder {
    Process::builder(env!("CARGO_BIN_EXE_crm"))
        .env("DATABASE_URL", &*database.url)
        .env("REDIS_URL", shared_redis().await.unwrap())
        .env("MILLSTREAM_NAMESPACE", namespace())
        .env("CRM_UPLOADS", folder)
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
}

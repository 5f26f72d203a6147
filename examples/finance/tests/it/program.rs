use std::time::Duration;

use millstream_tests::{Database, Process, namespace, on_both, shared_redis};

on_both! {
    async fn the_program_starts_on_an_empty_database_and_ends_when_asked(database: Database) {
        let mut program = Process::builder(env!("CARGO_BIN_EXE_finance"))
            .args(["--listen", "127.0.0.1:0"])
            .env("DATABASE_URL", &*database.url)
            .env("REDIS_URL", shared_redis().await.unwrap())
            .env("MILLSTREAM_NAMESPACE", namespace())
            .spawn()
            .unwrap();
        program.wait_for_line(Duration::from_secs(30), |line| line.contains("listening on http://")).await.unwrap();
        let status = program.shut_down(Duration::from_secs(30)).await;
        assert!(status.success(), "{status}\n{}", program.tail());
    }
}

//! `./dev demo`, as its own program runs it once all is built.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use millstream_tests::{Process, ProcessBuilder, Redis, Signal, fresh_database, shared_postgres};
use rustix::process::{Pid, kill_process, test_kill_process};
use tempfile::TempDir;
use tokio::time::{sleep, timeout};

/// Debug builds on a machine that runs other tests beside this one.
const SOON: Duration = Duration::from_secs(60);
const AT_LAST: Duration = Duration::from_secs(180);

fn demo(root: &Path) -> ProcessBuilder {
    Process::builder(env!("CARGO_BIN_EXE_millstream-dev"))
        .args(["demo", "--root"])
        .arg(root)
        .env_remove("REDIS_URL")
        .env_remove("DATABASE_URL")
}

fn root() -> TempDir {
    tempfile::tempdir().expect("a root for .dev")
}

/// The folders of runs under `root`.
fn runs(root: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(root.join(".dev")).into_iter().flatten().flatten();
    entries.map(|entry| entry.path()).filter(|path| path.is_dir()).collect()
}

/// The processes of the only run under `root`: Redis, the signalling server, the gallery, the workers.
fn processes(root: &Path) -> Vec<Pid> {
    let recorded = fs::read_to_string(runs(root)[0].join("processes")).expect("the run's processes");
    let pids = recorded.lines().filter_map(|line| line.split('\t').next()?.parse().ok());
    pids.filter_map(Pid::from_raw).collect()
}

/// Waits until a process that is no child of this one is gone.
async fn gone(pid: Pid) {
    while lives(pid) {
        sleep(Duration::from_millis(20)).await;
    }
}

/// Not so a process that waits to be reaped: in a container there may be nobody to do that.
fn lives(pid: Pid) -> bool {
    if cfg!(target_os = "linux") {
        let command_line = fs::read(format!("/proc/{}/cmdline", pid.as_raw_nonzero()));
        return command_line.is_ok_and(|line| !line.is_empty());
    }
    test_kill_process(pid).is_ok()
}

/// Waits until one picture of the album at `<address>/albums/<id>` is there: others are then in the workers' hands.
async fn first_picture(page: &str) {
    let (address, path) = page.split_once('/').expect("an address and a path");
    let request = format!("GET /api/{path} HTTP/1.0\r\nHost: {address}\r\n\r\n");
    loop {
        let mut gallery = TcpStream::connect(address).expect("the gallery listens");
        gallery.write_all(request.as_bytes()).expect("the gallery reads");
        let mut album = String::new();
        gallery.read_to_string(&mut album).expect("the gallery answers");
        if album.contains(r#""state":"ready""#) {
            return;
        }
        sleep(Duration::from_millis(20)).await;
    }
}

/// The line of figures of a run that ended well.
async fn figures(demo: &Process) -> String {
    let status = timeout(AT_LAST, demo.exited()).await.expect("the demo ends");
    assert!(status.success(), "{status}\n{}", demo.tail());
    let line = demo.wait_for_line(SOON, |line| line.contains("history rows")).await;
    line.expect("a line of figures").text
}

#[tokio::test]
async fn a_demo_ends_with_nothing_missing_though_a_worker_was_killed() {
    let root = root();
    let demo = demo(root.path()).args(["--once", "--photos", "24"]).spawn().unwrap();
    let line = demo.wait_for_line(SOON, |line| line.contains("watch it at")).await.unwrap();
    timeout(SOON, first_picture(line.text.split("http://").last().unwrap())).await.unwrap();
    let worker = *processes(root.path()).last().unwrap();
    kill_process(worker, Signal::KILL).unwrap();

    let figures = figures(&demo).await;

    assert!(figures.starts_with("24 photos, 25 jobs, "), "{figures}");
    assert!(figures.ends_with(", 25 history rows, 24 events seen"), "{figures}");
    demo.wait_for_line(SOON, |line| line.contains("was killed")).await.unwrap();
    assert_eq!(runs(root.path()), [] as [PathBuf; 0]);
}

#[tokio::test]
async fn pictures_of_a_folder_are_taken_and_a_broken_one_among_them_is_told() {
    let (root, pictures) = (root(), tempfile::tempdir().unwrap());
    image::RgbImage::new(40, 30).save(pictures.path().join("small.PNG")).unwrap();
    fs::write(pictures.path().join("broken.jpg"), [0xff; 60]).unwrap();
    fs::write(pictures.path().join("notes.txt"), "no picture").unwrap();

    let demo = demo(root.path()).arg("--once").arg(pictures.path()).spawn().unwrap();

    let figures = figures(&demo).await;
    assert!(figures.starts_with("2 photos, 3 jobs, "), "{figures}");
    demo.wait_for_line(SOON, |line| line.contains("1 photo could not be developed")).await.unwrap();
}

#[tokio::test]
async fn two_demos_run_beside_each_other() {
    let root = root();
    let [one, two] = ["3", "4"].map(|count| demo(root.path()).args(["--once", "--photos", count]).spawn().unwrap());
    let (one, two) = tokio::join!(figures(&one), figures(&two));
    assert!(one.starts_with("3 photos, 4 jobs, "), "{one}");
    assert!(two.starts_with("4 photos, 5 jobs, "), "{two}");
}

#[tokio::test]
async fn ctrl_c_ends_all_that_the_demo_started() {
    let root = root();
    let demo = demo(root.path()).args(["--photos", "2"]).spawn().unwrap();
    demo.wait_for_line(SOON, |line| line.starts_with("Look at the album: http://127.0.0.1:")).await.unwrap();
    let started = processes(root.path());
    assert_eq!(started.len(), 5);

    demo.signal(Signal::INT);

    let status = timeout(SOON, demo.exited()).await.unwrap();
    assert!(status.success(), "{status}\n{}", demo.tail());
    for pid in started {
        timeout(SOON, gone(pid)).await.unwrap();
    }
    assert_eq!(runs(root.path()), [] as [PathBuf; 0]);
}

#[tokio::test]
async fn what_a_killed_demo_left_is_cleared_away_by_the_next() {
    let root = root();
    let mut killed = demo(root.path()).args(["--photos", "2"]).spawn().unwrap();
    killed.wait_for_line(SOON, |line| line.starts_with("Look at the album")).await.unwrap();
    let (started, left) = (processes(root.path()), runs(root.path()));

    killed.kill().await;
    for pid in started {
        timeout(SOON, gone(pid)).await.unwrap();
    }
    assert_eq!(runs(root.path()), left);

    let next = demo(root.path()).args(["--once", "--photos", "2"]).spawn().unwrap();
    figures(&next).await;
    assert_eq!(runs(root.path()), [] as [PathBuf; 0]);
}

#[tokio::test]
async fn servers_of_the_environment_take_the_place_of_private_ones_and_no_key_stays() {
    let root = root();
    let redis = Redis::start().await.unwrap();
    let database = fresh_database(&shared_postgres().await.unwrap()).await.unwrap();
    let demo = demo(root.path()).args(["--once", "--photos", "3"]);
    let demo = demo.env("REDIS_URL", redis.url()).env("DATABASE_URL", database).spawn().unwrap();

    let figures = figures(&demo).await;

    assert!(figures.starts_with("3 photos, 4 jobs, "), "{figures}");
    let mut server = TcpStream::connect(("127.0.0.1", redis.port())).unwrap();
    server.write_all(b"DBSIZE\r\nQUIT\r\n").unwrap();
    let mut replies = String::new();
    server.read_to_string(&mut replies).unwrap();
    assert_eq!(replies, ":0\r\n+OK\r\n");
}

//! `./dev services`: a Redis and a Postgres, alone or around a command.

use std::ffi::OsString;
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::Args;
use millstream_tests::{Postgres, Redis};
use rustix::process::{Pid, Signal, kill_process};
use tokio::process::Command;

use crate::interrupt::Interrupt;

#[derive(Args)]
pub(crate) struct Options {
    /// A command to run with the URLs in MILLSTREAM_TEST_REDIS and MILLSTREAM_TEST_POSTGRES; the servers end with it.
    #[arg(last = true)]
    command: Vec<OsString>,
}

pub(crate) async fn run(options: Options) -> Result<ExitCode> {
    let mut interrupt = Interrupt::new()?;
    let (redis, postgres) = tokio::select! {
        servers = async { tokio::try_join!(Redis::start(), Postgres::start()) } => servers?,
        () = interrupt.wait() => return Ok(ExitCode::SUCCESS),
    };
    let Some((program, arguments)) = options.command.split_first() else {
        println!("redis     {}", redis.url());
        println!("postgres  {}", postgres.url());
        println!("Ctrl-C stops both; nothing in them is kept.");
        interrupt.wait().await;
        return Ok(ExitCode::SUCCESS);
    };

    let mut child = Command::new(program)
        .args(arguments)
        .env("MILLSTREAM_TEST_REDIS", redis.url())
        .env("MILLSTREAM_TEST_POSTGRES", postgres.url())
        .spawn()
        .with_context(|| format!("cannot start {}", program.display()))?;
    let status = loop {
        tokio::select! {
            status = child.wait() => break status?,
            // The terminal tells the command of a Ctrl-C as well, but a signal to this process alone is only for it.
            () = interrupt.wait() => pass_on(child.id(), Signal::TERM),
        }
    };
    let code = status.code().and_then(|code| u8::try_from(code).ok());
    Ok(code.map_or(ExitCode::FAILURE, ExitCode::from))
}

fn pass_on(child: Option<u32>, signal: Signal) {
    let pid = child.and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
    if let Some(pid) = pid {
        let _ = kill_process(pid, signal); // it may have ended a moment ago
    }
}

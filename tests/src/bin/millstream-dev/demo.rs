//! `./dev demo`: the main job on real input.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Result;
use chrono::{TimeDelta, Utc};
use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use millstream_store::Store;

use crate::album::Album;
use crate::events::Listener;
use crate::folder::RunFolder;
use crate::interrupt::{INTERRUPTED, Interrupt};
use crate::stack::Stack;
use crate::verdict::Verdict;
use crate::{keys, patience, photos};

#[derive(Args)]
pub(crate) struct Options {
    /// A folder of pictures (.jpg, .jpeg, .png, .webp).
    dir: Option<PathBuf>,
    /// End when all is processed, print one line of figures, and fail if anything is missing.
    #[arg(long)]
    once: bool,
    /// How many pictures to paint where there is no DIR.
    #[arg(long, value_name = "N", default_value_t = 200, conflicts_with = "dir")]
    #[arg(value_parser = clap::value_parser!(u32).range(1..=100_000))]
    photos: u32,
    /// A Redis to use in place of a private one.
    #[arg(long, env = "REDIS_URL", hide_env_values = true)]
    redis_url: Option<String>,
    /// A database, postgres://… or sqlite://…, to use in place of a private SQLite file.
    #[arg(long, env = "DATABASE_URL", hide_env_values = true)]
    database_url: Option<String>,
    /// Where `.dev/` is made.
    #[arg(long, default_value = ".", hide = true)]
    root: PathBuf,
}

pub(crate) async fn run(options: Options) -> Result<ExitCode> {
    let mut interrupt = Interrupt::new()?;
    let dir = options.dir.as_deref().map(photos::folder).transpose()?;
    let foreign_redis = options.redis_url.filter(|url| !url.is_empty());
    let database = options.database_url.filter(|url| !url.is_empty());

    let folder = RunFolder::create(&options.root)?;
    let started = Stack::start(&folder, foreign_redis.clone(), database);
    let mut stack = tokio::select! {
        started = started => started?,
        () = interrupt.wait() => return Ok(ExitCode::from(INTERRUPTED)),
    };
    let run = Run {
        folder: &folder,
        pictures: Pictures { dir, painted: options.photos },
        gallery: stack.gallery_address.clone(),
        signaling: stack.signaling_url.clone(),
        database: stack.places.database_url.clone(),
        bar: ProgressBar::hidden(),
    };
    let namespace = stack.places.namespace.clone();

    let outcome = tokio::select! {
        outcome = run.to_its_end(options.once) => outcome,
        failure = stack.keep_alive(|news| run.say(&news)) => failure.map(|never| match never {}),
        () = interrupt.wait() => Ok(ExitCode::from(if options.once { INTERRUPTED } else { 0 })),
    };
    run.bar.finish_and_clear();
    tokio::select! {
        () = stack.stop() => (),
        () = interrupt.wait() => (), // a second Ctrl-C: what still runs is killed
    }
    if let Some(url) = foreign_redis {
        // A private one goes with its folder.
        keys::remove(&url, &namespace)
            .await
            .unwrap_or_else(|error| eprintln!("dev: cannot remove the keys {namespace}:*: {error:#}"));
    }
    outcome
}

/// Where the pictures come from.
struct Pictures {
    dir: Option<PathBuf>,
    painted: u32,
}

/// One run of the demo, once its processes are up.
struct Run<'a> {
    folder: &'a RunFolder,
    pictures: Pictures,
    gallery: String,
    signaling: String,
    database: String,
    bar: ProgressBar,
}

impl Run<'_> {
    /// Processes the pictures; then ends with a verdict, or stays for those who look at the page.
    async fn to_its_end(&self, once: bool) -> Result<ExitCode> {
        let (album, verdict) = self.process().await?;
        println!("{verdict}");
        for missing in verdict.missing() {
            eprintln!("dev: {missing}");
        }
        if once {
            return Ok(ExitCode::from(u8::from(!verdict.missing().is_empty())));
        }
        println!("Look at the album: {}   (Ctrl-C ends the demo)", album.page());
        std::future::pending().await
    }

    async fn process(&self) -> Result<(Album, Verdict)> {
        let pictures = self.pictures().await?;
        let since = Utc::now() - TimeDelta::minutes(1); // clocks of SQL servers differ a little
        // Before the first job, so that every event of it is due.
        let mut listener = Listener::connect(&self.signaling).await?;
        let title = self.pictures.dir.as_deref().and_then(Path::file_name);
        let title = title.map_or("Painted pictures".into(), |name| name.to_string_lossy());
        let album = Album::create(&self.gallery, &title).await?;
        self.say(&format!("watch it at {}", album.page()));
        let photos = album.import(&pictures).await?;

        self.start_bar("developing", photos.len());
        let state = patience::until_done(&album, photos.len(), &mut listener, &self.bar).await?;
        self.bar.finish_and_clear();
        if state.failed > 0 {
            let photos = if state.failed == 1 { "photo" } else { "photos" };
            self.say(&format!("{} {photos} could not be developed: the page says why", state.failed));
        }
        let store = Store::connect(&self.database).await?;
        let verdict = patience::until_complete(&store, since, &album, &photos, state.ready > 0, &mut listener).await?;
        Ok((album, verdict))
    }

    /// The folder of the pictures, painted first unless they are the user's.
    async fn pictures(&self) -> Result<PathBuf> {
        if let Some(dir) = &self.pictures.dir {
            return Ok(dir.clone());
        }
        let dir = self.folder.subfolder("pictures")?;
        self.start_bar("painting", self.pictures.painted as usize);
        photos::paint(&dir, self.pictures.painted, || self.bar.inc(1)).await?;
        Ok(dir)
    }

    fn start_bar(&self, what: &'static str, length: usize) {
        if self.bar.is_hidden() {
            self.bar.set_draw_target(indicatif::ProgressDrawTarget::stderr());
        }
        let style = ProgressStyle::with_template("{msg:10} [{bar:40}] {pos}/{len}  {elapsed}");
        self.bar.set_style(style.expect("a template without mistakes").progress_chars("=> "));
        self.bar.reset();
        self.bar.set_message(what);
        self.bar.set_length(length as u64);
    }

    /// Says something without tearing the progress bar.
    fn say(&self, news: &str) {
        self.bar.suspend(|| eprintln!("dev: {news}"));
    }
}

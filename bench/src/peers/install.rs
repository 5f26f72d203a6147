//! Getting a peer from its registry, into a folder under the target directory, and the command that runs it.

use std::{
    ffi::OsString,
    fs,
    path::{Path, PathBuf},
    process::Stdio,
};

use anyhow::{Context, Result, bail};
use tokio::process::Command;

use super::program::{Made, Program};

/// A program that can be run.
#[derive(Debug)]
pub(crate) struct Ready {
    pub(crate) program: &'static Program,
    /// The command, without what it is asked for.
    pub(crate) command: Vec<OsString>,
}

/// Where the peers' programs are, and where they are installed.
pub(crate) struct Folders {
    sources: PathBuf,
    installed: PathBuf,
}

impl Folders {
    pub(crate) fn find() -> Result<Self> {
        let this = std::env::current_exe().context("cannot find this program")?;
        // target/release/millstream-bench
        let target = this.ancestors().nth(2).context("this program is not in a target folder")?;
        let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("peers");
        Ok(Self { sources, installed: target.join("peers") })
    }

    /// Installs what the program needs and does not find.
    ///
    /// # Errors
    /// Why it can't be run here.
    pub(crate) async fn install(&self, program: &'static Program) -> Result<Ready> {
        for need in program.needs() {
            let dev = self.sources.join("../../dev");
            run(Command::new(dev).args(["require", need])).await?;
        }
        let command = match program.made {
            Made::Here(subject) => vec![std::env::current_exe()?.into(), subject.into()],
            Made::Cargo(binary) => vec![self.cargo(binary).await?.into()],
            Made::Npm(folder) => vec!["node".into(), self.npm(folder).await?.into()],
            Made::Ruby(folder) => vec!["ruby".into(), self.sources.join(folder).join("bench.rb").into()],
        };
        Ok(Ready { program, command })
    }

    async fn cargo(&self, binary: &str) -> Result<PathBuf> {
        let target = self.installed.join("rust");
        let mut build = Command::new("cargo");
        build.args(["build", "--release", "--locked", "--bin", binary, "--target-dir"]).arg(&target);
        run(build.arg("--manifest-path").arg(self.sources.join("rust/Cargo.toml"))).await?;
        Ok(target.join("release").join(binary))
    }

    /// The packages as the lock file has them, without running their own scripts.
    async fn npm(&self, folder: &str) -> Result<PathBuf> {
        const COPIED: [&str; 3] = ["package.json", "package-lock.json", "bench.js"];
        let (source, installed) = (self.sources.join(folder), self.installed.join(folder));
        let lock = |folder: &Path| fs::read(folder.join("package-lock.json")).ok();
        let is_installed = lock(&source) == lock(&installed) && installed.join("node_modules").exists();
        fs::create_dir_all(&installed).with_context(|| format!("cannot make {}", installed.display()))?;
        for file in COPIED {
            fs::copy(source.join(file), installed.join(file)).with_context(|| format!("cannot copy {file}"))?;
        }
        if !is_installed {
            let mut install = Command::new("npm");
            install.args(["ci", "--ignore-scripts", "--no-audit", "--no-fund"]).current_dir(&installed);
            if let Err(error) = run(&mut install).await {
                let _ = fs::remove_dir_all(installed.join("node_modules")); // what is there is not all
                return Err(error);
            }
        }
        Ok(installed.join("bench.js"))
    }
}

/// Runs a command to its end; what it says counts only where it fails.
async fn run(command: &mut Command) -> Result<()> {
    let name = Path::new(command.as_std().get_program()).file_name().unwrap_or_default().display().to_string();
    let output = command.stdin(Stdio::null()).output().await.with_context(|| format!("cannot start {name}"))?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    bail!("{name} failed: {}", said.lines().rfind(|line| !line.trim().is_empty()).unwrap_or("it said nothing"))
}

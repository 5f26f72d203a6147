//! A machine that this one is not.

use std::{
    fs,
    os::unix::fs::{PermissionsExt, symlink},
    path::{Path, PathBuf},
    process::{Command, Output},
};

use tempfile::TempDir;

/// What the script may use on every machine.
const EVERYWHERE: [&str; 10] = ["bash", "cat", "dirname", "env", "grep", "mkdir", "rm", "sed", "sh", "tail"];

/// A machine that has Rust and nothing else.
pub(crate) struct Machine {
    pub(crate) dir: TempDir,
}

impl Machine {
    /// A bare machine with the kernel `uname` and the user `uid`.
    pub(crate) fn bare(uname: &str, uid: u32) -> Self {
        let machine = Self { dir: tempfile::tempdir().expect("a folder for the machine") };
        fs::create_dir(machine.bin()).expect("a folder of programs");
        for program in EVERYWHERE {
            let real = ["/bin", "/usr/bin"].map(|folder| Path::new(folder).join(program));
            let real = real.iter().find(|path| path.exists()).expect("this machine has it");
            symlink(real, machine.bin().join(program)).expect("a link");
        }
        machine.program("uname", &format!("echo {uname}"));
        machine.program("id", &format!("echo {uid}"));
        let target = machine.dir.path().join("target");
        machine.program(
            "cargo",
            &format!(
                r#"case "$1" in
                    metadata) echo '{{"target_directory":"{}","version":1}}' ;;
                    nextest) exit 101 ;;
                    *) echo "cargo $*" >>"$CALLS" ;;
                esac"#,
                target.display()
            ),
        );
        for built in
            ["release/millstream-dev", "release/millstream-bench", "release/millstream-model", "debug/millstream-dev"]
        {
            let path = target.join(built);
            fs::create_dir_all(path.parent().expect("a folder")).expect("a target folder");
            write_program(&path, &format!(r#"echo "{built} $*" >>"$CALLS""#));
        }
        machine
    }

    /// Adds a program: the lines of a shell script.
    pub(crate) fn program(&self, name: &str, script: &str) {
        write_program(&self.bin().join(name), script);
    }

    /// Adds a package manager that installs: each package brings the programs that it is made of.
    pub(crate) fn manager(&self, name: &str) {
        self.program(
            name,
            &format!(
                r#"echo "{name} $*" >>"$CALLS"
                for package in "$@"; do
                    case $package in
                        redis-server) bring redis-server ;;
                        redis) bring redis-server ;;
                        valkey) bring valkey-server ;;
                        gcc) bring cc ;;
                        postgresql | postgresql-server | postgresql@17) bring initdb ;;
                        chromium | google-chrome | chromium-browser) bring "$package" ;;
                        chromium-driver | chromedriver | chromium-chromedriver) bring chromedriver ;;
                        shellcheck | ShellCheck) bring shellcheck ;;
                        nodejs) bring node ;;
                        npm) bring npm ;;
                    esac
                done"#
            )
            .replace("bring ", &format!("sh {}/bring ", self.dir.path().display())),
        );
        let bring = format!(
            "printf '#!/bin/sh\\n' >{bin}/$1\n{chmod} +x {bin}/$1",
            bin = self.bin().display(),
            chmod = "/bin/chmod"
        );
        write_program(&self.dir.path().join("bring"), &bring);
    }

    /// Runs `./dev` there.
    pub(crate) fn dev(&self, arguments: &[&str]) -> Output {
        Command::new(self.bin().join("bash"))
            .arg(script())
            .args(arguments)
            .env_clear()
            .env("PATH", self.bin())
            .env("HOME", self.dir.path())
            .env("CALLS", self.dir.path().join("calls"))
            .env("DEV_SYSTEM", self.dir.path())
            .current_dir(self.dir.path())
            .output()
            .expect("bash starts")
    }

    /// How programs were called, in order.
    pub(crate) fn calls(&self) -> Vec<String> {
        let calls = fs::read_to_string(self.dir.path().join("calls")).unwrap_or_default();
        calls.lines().map(str::to_owned).collect()
    }

    pub(crate) fn bin(&self) -> PathBuf {
        self.dir.path().join("bin")
    }
}

pub(crate) fn write_program(path: &Path, script: &str) {
    fs::write(path, format!("#!/bin/sh\n{script}\n")).expect("a program is written");
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).expect("a program may run");
}

pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn script() -> PathBuf {
    root().join("dev")
}

pub(crate) fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

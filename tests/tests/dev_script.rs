//! The script `dev` on machines that this one is not: programs on `PATH` are replaced by stubs that write down how they
//! were called, so that what would be installed on Debian, Fedora and macOS is seen without installing anything.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use tempfile::TempDir;

/// What the script may use on every machine.
const EVERYWHERE: [&str; 10] = ["bash", "cat", "dirname", "env", "grep", "mkdir", "rm", "sed", "sh", "tail"];

/// A machine that has Rust and nothing else.
struct Machine {
    dir: TempDir,
}

impl Machine {
    /// A bare machine with the kernel `uname` and the user `uid`.
    fn bare(uname: &str, uid: u32) -> Self {
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
    fn program(&self, name: &str, script: &str) {
        write_program(&self.bin().join(name), script);
    }

    /// Adds a package manager that installs: each package brings the programs that it is made of.
    fn manager(&self, name: &str) {
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
    fn dev(&self, arguments: &[&str]) -> Output {
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
    fn calls(&self) -> Vec<String> {
        let calls = fs::read_to_string(self.dir.path().join("calls")).unwrap_or_default();
        calls.lines().map(str::to_owned).collect()
    }

    fn bin(&self) -> PathBuf {
        self.dir.path().join("bin")
    }
}

fn write_program(path: &Path, script: &str) {
    fs::write(path, format!("#!/bin/sh\n{script}\n")).expect("a program is written");
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).expect("a program may run");
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn script() -> PathBuf {
    root().join("dev")
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// What `./dev demo` does once it has all it needs.
fn demo_calls(root: &Path) -> [String; 2] {
    let root = root.canonicalize().expect("the root of the repository");
    [
        "cargo build --release --bins -p gallery -p realtime_signaling -p millstream-tests --features millstream-tests/dev"
            .to_owned(),
        format!("release/millstream-dev demo --root {} --once", root.display()),
    ]
}

#[test]
fn a_demo_on_a_bare_debian_installs_redis_and_a_compiler_first() {
    let machine = Machine::bare("Linux", 0);
    machine.manager("apt-get");
    let output = machine.dev(&["demo", "--once"]);
    assert!(output.status.success(), "{}", said(&output));
    let calls = machine.calls();
    assert_eq!(calls[0], "apt-get install -y --no-install-recommends redis-server gcc libc6-dev");
    assert_eq!(calls[1..], demo_calls(&root()));
}

#[test]
fn nothing_is_installed_where_all_is_there() {
    let machine = Machine::bare("Linux", 0);
    machine.manager("apt-get");
    machine.program("valkey-server", "");
    machine.program("cc", "");
    assert!(machine.dev(&["demo", "--once"]).status.success());
    assert_eq!(machine.calls(), demo_calls(&root()));
}

#[test]
fn package_lists_are_updated_once_and_only_when_a_package_is_not_found() {
    let machine = Machine::bare("Linux", 0);
    machine.manager("really-apt-get");
    machine.program(
        "apt-get",
        r#"case "$1" in
            update) echo "apt-get update" >>"$CALLS" ;;
            *) grep -qs '^apt-get update' "$CALLS" || { echo "E: Unable to locate package"; exit 100; }
               really-apt-get "$@" ;;
        esac"#,
    );
    let output = machine.dev(&["bench"]);
    assert!(output.status.success(), "{}", said(&output));
    assert_eq!(
        machine.calls(),
        [
            "apt-get update",
            "really-apt-get install -y --no-install-recommends redis-server gcc libc6-dev",
            "cargo build --release -p millstream-bench",
            "release/millstream-bench ",
        ]
    );
}

#[test]
fn the_model_needs_a_compiler_and_nothing_else() {
    let machine = Machine::bare("Linux", 0);
    machine.program("cc", "");
    let output = machine.dev(&["model", "--workers", "1"]);
    assert!(output.status.success(), "{}", said(&output));
    let calls = ["cargo build --release -p millstream-model", "release/millstream-model --workers 1"];
    assert_eq!(machine.calls(), calls);
}

#[test]
fn a_user_who_is_not_root_installs_through_sudo() {
    let machine = Machine::bare("Linux", 1000);
    machine.manager("apt-get");
    machine.program("sudo", r#"echo "sudo $1" >>"$CALLS"; exec "$@""#);
    assert!(machine.dev(&["demo", "--once"]).status.success());
    let calls = machine.calls();
    assert_eq!(calls[0], "sudo env");
    assert!(calls[1].starts_with("apt-get install "), "{calls:?}");
}

#[test]
fn a_user_who_is_neither_root_nor_has_sudo_is_told_what_to_install() {
    let machine = Machine::bare("Linux", 1000);
    machine.manager("apt-get");
    let output = machine.dev(&["demo"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(said(&output).contains("please install these packages, then run this again: redis-server gcc libc6-dev"));
    assert_eq!(machine.calls(), [] as [&str; 0]);
}

#[test]
fn the_plan_of_fedora() {
    let machine = Machine::bare("Linux", 0);
    machine.manager("dnf");
    let output = machine.dev(&["test"]);
    assert!(output.status.success(), "{}", said(&output));
    assert_eq!(machine.calls()[0], "dnf install -y valkey gcc postgresql-server chromium chromedriver ShellCheck");
}

#[test]
fn a_postgres_off_the_path_is_found_where_packages_put_it() {
    for place in ["usr/lib/postgresql/15/bin", "usr/pgsql-17/bin", "opt/homebrew/opt/postgresql@17/bin"] {
        let machine = Machine::bare("Linux", 0);
        machine.manager("apt-get");
        let place = machine.dir.path().join(place);
        fs::create_dir_all(&place).unwrap();
        write_program(&place.join("initdb"), "");
        assert!(machine.dev(&["services"]).status.success());
        assert!(!machine.calls()[0].contains("postgresql"), "{:?}", machine.calls());
    }
}

#[test]
fn the_plan_of_macos() {
    let machine = Machine::bare("Darwin", 501);
    machine.manager("brew");
    machine.manager("apt-get"); // some have one, for other purposes
    machine.program("cc", "");
    let output = machine.dev(&["test"]);
    assert!(output.status.success(), "{}", said(&output));
    assert_eq!(machine.calls()[0], "brew install redis postgresql@17 google-chrome chromedriver shellcheck");
}

#[test]
fn the_compiler_of_macos_comes_from_apple() {
    let machine = Machine::bare("Darwin", 501);
    machine.manager("brew");
    let output = machine.dev(&["demo"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(said(&output).contains("please install a C compiler (xcode-select --install)"), "{}", said(&output));
}

#[test]
fn the_browser_of_debian_and_ubuntu_have_different_packages() {
    for (id, browser) in [("debian", "chromium chromium-driver"), ("ubuntu", "chromium-browser chromium-chromedriver")]
    {
        let machine = Machine::bare("Linux", 0);
        machine.manager("apt-get");
        fs::create_dir(machine.dir.path().join("etc")).unwrap();
        fs::write(machine.dir.path().join("etc/os-release"), format!("NAME=x\nID={id}\n")).unwrap();
        let output = machine.dev(&["test"]);
        assert!(output.status.success(), "{}", said(&output));
        let expected = format!(
            "apt-get install -y --no-install-recommends redis-server gcc libc6-dev postgresql {browser} shellcheck"
        );
        assert_eq!(machine.calls()[0], expected);
    }
}

#[test]
fn what_the_peers_of_the_bench_need_is_installed_or_named() {
    let debian = Machine::bare("Linux", 0);
    debian.manager("apt-get");
    assert!(debian.dev(&["require", "node"]).status.success());
    assert_eq!(debian.calls(), ["apt-get install -y --no-install-recommends nodejs npm"]);

    let fedora = Machine::bare("Linux", 0);
    fedora.manager("dnf");
    let output = fedora.dev(&["require", "sidekiq"]);
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(said(&output), "dev: please install Sidekiq 6, as Debian packages it, then run this again\n");
    assert!(fedora.calls().is_empty());
}

#[test]
fn a_machine_without_a_package_manager_is_told_in_one_line() {
    let machine = Machine::bare("Linux", 0);
    let output = machine.dev(&["demo"]);
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(
        said(&output),
        "dev: please install redis-server or valkey-server, a C compiler, then run this again (there is none of \
         apt-get, dnf and brew to do it)\n"
    );
}

#[test]
fn a_machine_without_rust_is_told_where_to_get_it() {
    let machine = Machine::bare("Linux", 0);
    fs::remove_file(machine.bin().join("cargo")).unwrap();
    let output = machine.dev(&["demo"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(said(&output).contains("please install Rust"), "{}", said(&output));
    assert_eq!(said(&output).lines().count(), 1);
}

#[test]
fn all_tests_run_without_nextest_too_and_on_the_servers_of_the_run() {
    let machine = Machine::bare("Linux", 0);
    for program in ["redis-server", "cc", "initdb", "chromium", "chromedriver", "shellcheck"] {
        machine.program(program, "");
    }
    let root = root().canonicalize().unwrap();
    assert!(machine.dev(&["test"]).status.success());
    let bash = machine.bin().join("bash");
    let services = format!(
        "debug/millstream-dev services -- {} {root}/dev within-services",
        bash.display(),
        root = root.display()
    );
    assert_eq!(
        machine.calls(),
        [
            "cargo fmt --version",
            "cargo clippy --version",
            "cargo fmt --all --check",
            "cargo clippy --workspace --all-targets --all-features -- -D warnings",
            "cargo build --workspace --all-features --all-targets",
            &services,
        ]
    );

    assert!(machine.dev(&["within-services"]).status.success());
    assert_eq!(
        machine.calls()[6..],
        [
            "cargo test --no-fail-fast --workspace --all-features --lib --bins --tests --examples",
            "cargo test --workspace --all-features --doc",
        ]
    );
}

#[test]
fn an_unknown_command_is_an_error_with_the_help() {
    let machine = Machine::bare("Linux", 0);
    let output = machine.dev(&["frobnicate"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(said(&output).starts_with("dev: there is no command 'frobnicate'\nusage: ./dev COMMAND"));
    let help = machine.dev(&["help"]);
    assert!(help.status.success());
    for command in ["demo", "test", "lint", "services", "bench", "model"] {
        assert!(String::from_utf8_lossy(&help.stdout).contains(&format!("\n  {command} ")), "{command}");
    }
}

#[test]
fn the_scripts_keep_to_bash_3_2() {
    // What macOS' bash does not know, and shellcheck does not report.
    const NEWER: [&str; 14] = [
        "declare -A",
        "local -A",
        "typeset -A",
        "declare -n",
        "local -n",
        "declare -g",
        "mapfile",
        "readarray",
        "wait -n",
        "coproc",
        "&>>",
        "|&",
        "${EPOCHSECONDS",
        "shopt -s globstar",
    ];
    for name in ["dev", ".ci/run"] {
        let text = fs::read_to_string(root().join(name)).unwrap();
        for construct in NEWER {
            assert!(!text.contains(construct), "{name} uses {construct}");
        }
        for expansion in text.split("${").skip(1) {
            let expansion = expansion.split('}').next().unwrap_or_default();
            let changes_case = expansion.contains(",,")
                || expansion.contains("^^")
                || expansion.contains('@') && expansion.contains("@Q");
            assert!(!changes_case, "{name} uses ${{{expansion}}}");
            assert!(!expansion.contains("[-"), "{name} counts from an array's end: ${{{expansion}}}");
        }
    }
}

#[test]
fn shellcheck_finds_nothing_in_the_scripts() {
    let output = Command::new("shellcheck").args(["dev", ".ci/run"]).current_dir(root()).output();
    let output =
        output.expect("shellcheck is installed: `apt-get install shellcheck`, or run `./dev test`, which does");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
}

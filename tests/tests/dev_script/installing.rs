//! What is missing is installed, or named.

use std::{fs, path::Path};

use crate::machine::{Machine, root, said};

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

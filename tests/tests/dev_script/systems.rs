//! Each system has its own packages.

use std::fs;

use crate::machine::{Machine, said, write_program};

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

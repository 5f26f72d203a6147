//! What the commands run.

use crate::machine::{Machine, root, said};

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

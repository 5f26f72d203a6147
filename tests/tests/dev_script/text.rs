//! The scripts as texts.

use std::{fs, process::Command};

use crate::machine::root;

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

//! The lines that the doctor prints.

use std::{fmt::Display, process::ExitCode};

/// Prints each check as it comes, and counts.
#[derive(Default)]
pub(super) struct Report {
    checks: usize,
    warnings: usize,
    failures: usize,
}

impl Report {
    /// All is well.
    pub(super) fn ok(&mut self, what: &str, found: impl Display) {
        self.line("ok", what, found, "");
    }

    /// It works, but something should change: `remedy` says what.
    pub(super) fn warn(&mut self, what: &str, found: impl Display, remedy: &str) {
        self.warnings += 1;
        self.line("warn", what, found, remedy);
    }

    /// Jobs don't run or may be lost: `remedy` says what to do.
    pub(super) fn fail(&mut self, what: &str, found: impl Display, remedy: &str) {
        self.failures += 1;
        self.line("fail", what, found, remedy);
    }

    /// It can't be told.
    pub(super) fn skip(&mut self, what: &str, why: impl Display) {
        self.line("skip", what, why, "");
    }

    /// The summary, and the program's exit code.
    pub(super) fn end(self) -> ExitCode {
        let Self { checks, warnings, failures } = self;
        println!("{checks} checks, {warnings} warnings, {failures} failures");
        if failures == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
    }

    fn line(&mut self, verdict: &str, what: &str, found: impl Display, remedy: &str) {
        self.checks += 1;
        let arrow = if remedy.is_empty() { "" } else { " -> " };
        // Names and errors may come from strangers: one check stays one line, and no escape reaches the terminal.
        let found: String =
            found.to_string().chars().map(|letter| if letter.is_control() { ' ' } else { letter }).collect();
        println!("{verdict:<5} {what:<12} {found}{arrow}{remedy}");
    }
}

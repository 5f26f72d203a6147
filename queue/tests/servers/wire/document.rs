//! WIRE.md as data: its vectors and its commands.

use std::str::FromStr;

pub(super) fn text() -> &'static str {
    include_str!("../../../WIRE.md")
}

/// A block of lines `name value`; the values of a name that repeats are joined.
#[derive(Debug)]
pub(super) struct Vector(Vec<(String, String)>);

impl Vector {
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.pairs().find(|(line, _)| *line == name).map(|(_, value)| value)
    }

    pub(super) fn number<T: FromStr>(&self, name: &str) -> Option<T> {
        self.get(name).map(|digits| digits.parse().ok().unwrap_or_else(|| panic!("{name} is no number: {digits}")))
    }

    pub(super) fn pairs(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }
}

/// The vectors of a kind, in the order of the document.
pub(super) fn vectors(kind: &str) -> Vec<Vector> {
    let found: Vec<_> = blocks(&format!("vector {kind}")).map(parse).collect();
    assert!(!found.is_empty(), "WIRE.md has no vector {kind}");
    found
}

/// The words of each redis-cli command, without the program's name.
pub(super) fn commands() -> Vec<Vec<String>> {
    let lines = blocks("sh").flat_map(split_words);
    lines.map(|words| words.strip_prefix(&["redis-cli".to_owned()][..]).expect("redis-cli").to_vec()).collect()
}

pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

pub(super) fn bytes(hex: &str) -> Vec<u8> {
    let pairs = hex.as_bytes().chunks(2).map(|pair| std::str::from_utf8(pair).expect("ASCII"));
    pairs.map(|pair| u8::from_str_radix(pair, 16).expect("hexadecimal digits")).collect()
}

/// The texts of the fenced blocks with exactly this mark.
fn blocks(mark: &str) -> impl Iterator<Item = &'static str> {
    let fence = format!("\n```{mark}\n");
    text()
        .match_indices(&fence)
        .map(|(at, found)| (at + found.len(), text()))
        .map(|(start, text)| {
            let end = text[start..].find("\n```").expect("an end of the block");
            &text[start..=start + end]
        })
        .collect::<Vec<_>>()
        .into_iter()
}

fn parse(block: &str) -> Vector {
    let mut lines: Vec<(String, String)> = Vec::new();
    for line in block.lines() {
        let (name, value) = line.split_once(' ').expect("`name value`");
        match lines.last_mut() {
            Some((last, joined)) if last == name => joined.push_str(value),
            _ => lines.push((name.to_owned(), value.to_owned())),
        }
    }
    Vector(lines)
}

/// Splits a script of commands into words as a shell does: quotes of both kinds, no expansions.
fn split_words(script: &str) -> Vec<Vec<String>> {
    let (mut commands, mut words, mut word, mut quote) = (Vec::new(), Vec::new(), None::<String>, None);
    for letter in script.chars() {
        match (quote, letter) {
            (Some(mark), _) if letter == mark => quote = None,
            (None, '"' | '\'') => {
                quote = Some(letter);
                word.get_or_insert_default();
            }
            (None, ' ' | '\n') => {
                words.extend(word.take());
                if letter == '\n' {
                    commands.push(std::mem::take(&mut words));
                }
            }
            _ => word.get_or_insert_default().push(letter),
        }
    }
    commands.retain(|words| !words.is_empty());
    commands
}

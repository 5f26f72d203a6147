//! What a list of rows shall hold: filters, order and page, from code or from HTTP query parameters.

use std::{fmt, str::FromStr};

use serde::{Serialize, de::DeserializeOwned};

use super::{FromValue, Model, contains::pattern};
use crate::Error;

/// Rows of a page unless asked otherwise, and the most there can be.
const LIMIT: (u32, u32) = (50, 1000);
/// Rows that a page by number may skip; beyond them only cursors are quick.
const DEEPEST: u64 = 1_000_000;
/// Most values of one `in`.
const VALUES: usize = 1000;

/// Filters, order and page of a list. Columns and values are checked against the model's lists of what is allowed when the
/// list is asked for, before the database sees anything; an unknown one is [`Error::List`].
///
/// As HTTP query parameters: `name=ann`, `age.ge=18`, `id.in=…,…`, `name.contains=nn`, `closed_at.null=true`, `q=text` for a
/// search, `sort=-created_at` (`-`: descending), `limit=50`, and either `after=<cursor>` or `page=2`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[must_use = "a list is only asked for by an operation that takes it"]
pub struct List {
    conditions: Vec<Condition>,
    search: Option<String>,
    sort: Option<Sort>,
    after: Option<String>,
    page: Option<u64>,
    limit: Option<u32>,
    deleted: bool,
}

/// What must hold for one column.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Condition {
    /// The column.
    pub column: String,
    /// The comparison.
    pub op: Op,
    /// What with: one text, or for [`Op::In`] several.
    pub values: Vec<String>,
}

/// A comparison.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Op {
    /// Equal; the name may be left out: `name=ann`.
    Eq,
    /// Not equal.
    Ne,
    /// Less.
    Lt,
    /// Less or equal.
    Le,
    /// Greater.
    Gt,
    /// Greater or equal.
    Ge,
    /// One of several, separated by commas.
    In,
    /// A text with this inside; upper and lower case are the same, on Postgres as the column's collation has it, on SQLite those
    /// of ASCII letters.
    Contains,
    /// `true`: has no value; `false`: has one.
    Null,
}

impl FromStr for Op {
    type Err = ();

    fn from_str(name: &str) -> Result<Self, ()> {
        Ok(match name {
            "eq" => Self::Eq,
            "ne" => Self::Ne,
            "lt" => Self::Lt,
            "le" => Self::Le,
            "gt" => Self::Gt,
            "ge" => Self::Ge,
            "in" => Self::In,
            "contains" => Self::Contains,
            "null" => Self::Null,
            _ => return Err(()),
        })
    }
}

/// An order: a column, then the key.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Sort {
    /// The column.
    pub column: String,
    /// Greatest first.
    pub descending: bool,
}

/// A part of a list.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ListPage<M> {
    /// The rows.
    pub rows: Vec<M>,
    /// What [`List::after`] takes for the next page; none on the last one.
    pub next: Option<String>,
}

impl List {
    /// All rows that are not deleted, by key.
    pub fn new() -> Self {
        Self::default()
    }

    /// Reads HTTP query parameters.
    ///
    /// # Errors
    /// [`Error::List`] that names the parameter, for an unknown comparison or a page or limit out of bounds.
    pub fn from_query<K: AsRef<str>, V: AsRef<str>>(
        parameters: impl IntoIterator<Item = (K, V)>,
    ) -> Result<Self, Error> {
        let mut list = Self::new();
        for (name, value) in parameters {
            let (name, value) = (name.as_ref(), value.as_ref());
            let number = |right: &'static str| value.parse::<u64>().map_err(|_| refused(name, value, right));
            match name {
                "q" => list.search = Some(value.to_owned()).filter(|text| !text.is_empty()),
                "sort" => list.sort = Some(sort(value)),
                "after" => list.after = Some(value.to_owned()).filter(|cursor| !cursor.is_empty()),
                "page" => list.page = Some(number("a page from 1")?),
                "limit" => list.limit = Some(u32::try_from(number(LIMITS)?).unwrap_or(u32::MAX)),
                _ => {
                    let (column, op) = name.rsplit_once('.').unwrap_or((name, "eq"));
                    let right = "one of eq, ne, lt, le, gt, ge, in, contains, null behind the column";
                    let op: Op = op.parse().map_err(|()| refused(name, op, right))?;
                    let values = if op == Op::In { value.split(',').collect() } else { vec![value] };
                    list = list.with(column, op, values);
                }
            }
        }
        Ok(list)
    }

    /// Rows whose column compares so with a value, given as text as it would stand in a query parameter.
    pub fn filter(self, column: impl Into<String>, op: Op, value: impl ToString) -> Self {
        self.with(column, op, [value.to_string()])
    }

    /// Rows whose column has one of these values.
    pub fn any_of<V: ToString>(self, column: impl Into<String>, values: impl IntoIterator<Item = V>) -> Self {
        self.with(column, Op::In, values.into_iter().map(|value| value.to_string()))
    }

    fn with<V: Into<String>>(mut self, column: impl Into<String>, op: Op, values: impl IntoIterator<Item = V>) -> Self {
        let values = values.into_iter().map(Into::into).collect();
        self.conditions.push(Condition { column: column.into(), op, values });
        self
    }

    /// Rows with this text in one of the model's columns for searching.
    pub fn search(mut self, text: impl Into<String>) -> Self {
        self.search = Some(text.into());
        self
    }

    /// Ordered by this column, `-name` for descending; equal ones by key. Default: by key.
    pub fn sort(mut self, column: &str) -> Self {
        self.sort = Some(sort(column));
        self
    }

    /// The page after the one that gave this cursor, in the same order and with the same filters.
    pub fn after(mut self, cursor: impl Into<String>) -> Self {
        self.after = Some(cursor.into());
        self
    }

    /// A page by its number, from 1, which costs time in proportion to it: cursors don't.
    pub fn page(mut self, number: u64) -> Self {
        self.page = Some(number);
        self
    }

    /// Most rows, 1 to 1000. Default: 50.
    pub fn limit(mut self, rows: u32) -> Self {
        self.limit = Some(rows);
        self
    }

    /// Soft-deleted rows too.
    pub fn with_deleted(mut self) -> Self {
        self.deleted = true;
        self
    }

    /// Checks everything against what `M` allows.
    ///
    /// # Errors
    /// [`Error::List`], [`Error::Cursor`].
    pub fn check<M: Model>(self) -> Result<Checked, Error> {
        for Condition { column, op, values } in &self.conditions {
            let Some(found) = M::COLUMNS.iter().find(|found| found.name == column) else {
                return Err(unknown(column, "filter", M::COLUMNS.iter().map(|column| column.name)));
            };
            if *op == Op::Contains && !found.is_text() {
                return Err(refused(column, "contains", "eq, ne, lt, le, gt, ge, in or null for this column"));
            }
            if values.len() > VALUES {
                return Err(refused(column, &values.len().to_string(), "at most 1000 values"));
            }
            for value in values {
                let checked = if *op == Op::Null { bool::from_value(value).map(drop) } else { found.check(value) };
                checked.map_err(|right| refused(column, value, right))?;
            }
        }
        if let Some(text) = &self.search {
            if M::SEARCH.is_empty() {
                return Err(refused("q", text, "left out: nothing is searchable here"));
            }
            String::from_value(text).map_err(|right| refused("q", text, right))?;
        }
        let sort = self.sort.unwrap_or(Sort { column: M::KEY.to_owned(), descending: false });
        let known = M::SORTS.iter().chain(std::iter::once(&M::KEY)).find(|known| **known == sort.column);
        let column = *known.ok_or_else(|| unknown(&sort.column, "sort by", M::SORTS.iter().copied()))?;
        let limit = self.limit.unwrap_or(LIMIT.0);
        if !(1..=LIMIT.1).contains(&limit) {
            return Err(refused("limit", &limit.to_string(), LIMITS));
        }
        let page = self.page.unwrap_or(1);
        let skip = page.checked_sub(1).and_then(|before| before.checked_mul(limit.into()));
        let skip = skip.filter(|skip| *skip <= DEEPEST).ok_or_else(|| {
            refused("page", &page.to_string(), "a page from 1 that skips at most 1,000,000 rows; go deeper by cursors")
        })?;
        if self.after.is_some() && self.page.is_some() {
            return Err(refused("page", &page.to_string(), "left out where `after` is given"));
        }
        let mut checked = Checked {
            conditions: self.conditions,
            search: self.search.map(|text| pattern(&text)),
            column,
            descending: sort.descending,
            after: None,
            skip: skip.cast_signed(),
            limit: i64::from(limit),
            deleted: self.deleted,
        };
        if let Some(text) = self.after {
            checked.after = Some(M::read_cursor(&checked, &text)?);
        }
        Ok(checked)
    }
}

const LIMITS: &str = "1 to 1000 rows";

/// A list whose parts are all allowed.
#[derive(Clone, Debug)]
#[doc(hidden)]
pub struct Checked {
    pub conditions: Vec<Condition>,
    pub search: Option<String>,
    pub column: &'static str,
    pub descending: bool,
    /// The JSON of (value, key).
    pub after: Option<String>,
    pub skip: i64,
    pub limit: i64,
    pub deleted: bool,
}

impl Checked {
    /// A cursor's text: the order that it belongs to, then where it stands, in hex.
    pub fn write_cursor(&self, value: &impl Serialize, key: &impl Serialize) -> Option<String> {
        let json = serde_json::to_string(&(self.column, self.descending, value, key)).ok()?;
        Some(json.bytes().map(|byte| format!("{byte:02x}")).collect())
    }

    /// The value and key in a cursor's text, if it belongs to this order.
    pub fn read_cursor<V, K>(&self, text: &str) -> Result<String, Error>
    where
        V: Serialize + DeserializeOwned,
        K: Serialize + DeserializeOwned,
    {
        let read = || {
            let digits = text.as_bytes().chunks(2);
            let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok();
            let json: Vec<u8> = digits.map(byte).collect::<Option<_>>()?;
            let (column, descending, value, key): (String, bool, V, K) = serde_json::from_slice(&json).ok()?;
            let fits = column == self.column && descending == self.descending && text.len().is_multiple_of(2);
            fits.then(|| serde_json::to_string(&(value, key)).ok()).flatten()
        };
        read()
            .filter(|json| !json.contains("\\u0000"))
            .ok_or_else(|| Error::Cursor { text: text.chars().take(64).collect() })
    }

    /// Where to go on.
    pub fn start<V: DeserializeOwned, K: DeserializeOwned>(&self) -> Option<(V, K)> {
        serde_json::from_str(self.after.as_deref()?).ok()
    }
}

impl Condition {
    /// The values, which were checked before.
    #[doc(hidden)]
    pub fn read<V: FromValue>(&self) -> Vec<V> {
        self.values.iter().filter_map(|value| V::from_value(value).ok()).collect()
    }

    /// The LIKE pattern of [`Op::Contains`].
    #[doc(hidden)]
    pub fn like(&self) -> String {
        pattern(self.values.first().map_or("", String::as_str))
    }

    /// Whether [`Op::Null`] asks for rows without a value.
    #[doc(hidden)]
    pub fn wants_null(&self) -> bool {
        self.values.first().is_some_and(|value| value == "true")
    }
}

impl fmt::Display for Sort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", if self.descending { "-" } else { "" }, self.column)
    }
}

fn sort(text: &str) -> Sort {
    let column = text.strip_prefix('-');
    Sort { column: column.unwrap_or(text).to_owned(), descending: column.is_some() }
}

fn refused(parameter: &str, value: &str, right: &str) -> Error {
    let short = |text: &str| text.chars().take(64).collect::<String>();
    Error::List { parameter: short(parameter), reason: format!("{:?} should be {right}", short(value)) }
}

fn unknown<'a>(column: &str, what: &str, known: impl Iterator<Item = &'a str>) -> Error {
    let known = known.collect::<Vec<_>>().join(", ");
    let parameter = column.chars().take(64).collect();
    Error::List { parameter, reason: format!("there is no such column to {what}; those are {known}") }
}

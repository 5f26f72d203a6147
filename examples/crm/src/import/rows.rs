//! The rows of a CSV file.

use std::{
    collections::HashMap,
    fs::File,
    io::{self, Read, Seek, SeekFrom},
    path::Path,
    str,
};

use csv::{ByteRecord, Position, Reader, ReaderBuilder, Terminator};
use serde::{Deserialize, Serialize};

use crate::{CrmError, check};

/// Most bytes of a row. An unclosed quote makes the rest of a file one row.
const LONGEST: usize = 64 * 1024;
const COLUMNS: [&str; 4] = ["name", "email", "phone", "company"];

/// How far a file is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    pub byte: u64,
    pub line: u64,
    /// Rows before it.
    pub rows: i64,
}

pub(super) struct Rows {
    reader: Reader<File>,
    record: ByteRecord,
    header: Header,
    rows: i64,
    /// Where the file ends, if its last row ends without a line feed.
    open_end: Option<u64>,
}

/// A row, whatever it holds.
pub(super) struct Row {
    pub(super) number: i64,
    pub(super) line: i64,
    /// Otherwise the reason why it is bad.
    pub(super) person: Result<Person, String>,
}

pub(super) struct Person {
    pub(super) name: String,
    pub(super) email: String,
    pub(super) phone: Option<String>,
    pub(super) company: Option<String>,
}

impl Rows {
    /// Reads the header, then goes to `place`.
    pub(super) fn open(path: &Path, place: Option<Place>) -> Result<Self, CrmError> {
        // Any line feed ends a row: the parser would else count the one of a CRLF to the row behind it.
        let mut builder = ReaderBuilder::new();
        let builder = builder.has_headers(false).flexible(true).terminator(Terminator::Any(b'\n'));
        let mut file = File::open(path)?;
        let open_end = open_end(&mut file)?;
        let mut reader = builder.from_reader(file);
        let mut record = ByteRecord::new();
        reader.read_byte_record(&mut record).map_err(io::Error::from)?;
        let header = Header::read(&record)?;
        if let Some(Place { byte, line, .. }) = place {
            let mut position = Position::new();
            position.set_byte(byte).set_line(line);
            reader.seek(position).map_err(io::Error::from)?;
        }
        Ok(Self { reader, record, header, rows: place.map_or(0, |place| place.rows), open_end })
    }

    pub(super) fn place(&self) -> Place {
        let position = self.reader.position();
        Place { byte: position.byte(), line: position.line(), rows: self.rows }
    }

    /// The next rows; fewer than `most` only at the file's end.
    pub(super) fn next(&mut self, most: usize) -> io::Result<Vec<Row>> {
        let mut rows = Vec::with_capacity(most);
        while rows.len() < most && self.reader.read_byte_record(&mut self.record)? {
            if self.record.len() == 1 && self.record[0].trim_ascii().is_empty() {
                continue; // a blank line
            }
            self.rows += 1;
            let person = self.header.person(&self.record);
            rows.push(Row { number: self.rows, line: self.line(), person });
        }
        Ok(rows)
    }

    /// The line on which the record begins: the present one less those inside it. The position that the parser gives to a
    /// record is before the empty lines that it skips.
    fn line(&self) -> i64 {
        let inside = self.record.as_slice().iter().filter(|byte| **byte == b'\n').count() as u64;
        let position = self.reader.position();
        let terminator = u64::from(self.open_end != Some(position.byte()));
        position.line().saturating_sub(inside + terminator).cast_signed()
    }
}

fn open_end(file: &mut File) -> io::Result<Option<u64>> {
    let length = file.seek(SeekFrom::End(0))?;
    let mut last = [b'\n'];
    if length > 0 {
        file.seek(SeekFrom::End(-1))?;
        file.read_exact(&mut last)?;
    }
    file.rewind()?;
    Ok((last != [b'\n']).then_some(length))
}

/// Where the columns are.
struct Header {
    columns: HashMap<&'static str, usize>,
    fields: usize,
}

impl Header {
    fn read(record: &ByteRecord) -> Result<Self, CrmError> {
        let refused = |reason: String| Err(CrmError::Invalid(format!("the file's header {reason}")));
        let mut columns = HashMap::new();
        for (place, field) in record.iter().enumerate() {
            let field = String::from_utf8_lossy(field).trim().to_lowercase();
            let Some(column) = COLUMNS.into_iter().find(|column| *column == field) else { continue };
            if columns.insert(column, place).is_some() {
                return refused(format!("has the column {column} twice"));
            }
        }
        match ["name", "email"].into_iter().find(|column| !columns.contains_key(column)) {
            Some(column) => refused(format!(
                "lacks the column {column}; it needs name and email, and may have phone, company and others"
            )),
            None => Ok(Self { columns, fields: record.len() }),
        }
    }

    fn person(&self, record: &ByteRecord) -> Result<Person, String> {
        if record.as_slice().len() > LONGEST {
            return Err(format!("it has more than {LONGEST} bytes: is a quote left open?"));
        }
        if record.len() != self.fields {
            return Err(format!("it has {} fields, the header has {}", record.len(), self.fields));
        }
        for field in record {
            str::from_utf8(field).map_err(|_| "it is not UTF-8")?;
            if field.contains(&0) {
                return Err("it contains NUL".into());
            }
        }
        let field = |column| {
            let place = self.columns.get(column)?;
            str::from_utf8(&record[*place]).ok()
        };
        Ok(Person {
            name: check::text("name", field("name").unwrap_or_default(), 200)?,
            email: check::email(field("email").unwrap_or_default())?,
            phone: check::optional("phone", field("phone"), 40)?,
            company: check::optional("company", field("company"), 200)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn read(text: &[u8]) -> Vec<(i64, String)> {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(text).unwrap();
        let mut rows = Rows::open(file.path(), None).unwrap();
        let (mut all, mut place) = (Vec::new(), rows.place());
        // One by one, by as many readers as there are rows.
        while let Some(row) = rows.next(1).unwrap().pop() {
            assert_eq!(row.number, all.len() as i64 + 1);
            all.push((row.line, row.person.map_or_else(|reason| reason, |person| person.name)));
            assert!(rows.place().byte > place.byte);
            place = rows.place();
            rows = Rows::open(file.path(), Some(place)).unwrap();
        }
        all
    }

    #[test]
    fn rows_know_their_lines() {
        for end in ["\n", "\r\n"] {
            let text = [
                "\u{feff}Email, NAME ,extra",
                "a@b.de,Ann,",
                "",
                "c@d.de,\"Cecil",
                "the \"\"second\"\"",
                "\",x",
                "",
                "",
                "e@f.de,Eve,\"two",
                "lines\"",
                "g@h.de",
                "i@j.de,Ida,last",
            ];
            let expected = [(2, "Ann"), (4, "Cecil"), (9, "Eve"), (11, "it has 1 fields"), (12, "Ida")];
            for tail in ["", end] {
                let found = read((text.join(end) + tail).as_bytes());
                assert_eq!(found.len(), expected.len(), "{found:?}");
                for ((line, text), (right, start)) in found.iter().zip(expected) {
                    assert!(*line == right && text.starts_with(start), "{line} {text:?} {end:?} {tail:?}");
                }
            }
        }
    }

    #[test]
    fn what_a_row_lacks_is_said() {
        let found =
            read(b"name,email\n ,a@b.de\nAnn,nowhere\nA\xff,a@b.de\nA\0,a@b.de\na,b,c\n\"open,a@b.de\nx,y@z.de\n");
        let reasons: Vec<_> = found.iter().map(|(_, reason)| reason.as_str()).collect();
        let expected = [
            "the name is missing",
            "\"nowhere\" is no email address",
            "it is not UTF-8",
            "it contains NUL",
            "it has 3 fields, the header has 2",
            "it has 1 fields, the header has 2",
        ];
        assert_eq!(reasons, expected);
        let long = format!("name,email\n\"{}", "x\n".repeat(LONGEST));
        assert!(read(long.as_bytes())[0].1.contains("is a quote left open?"));
    }

    #[test]
    fn a_header_without_the_columns_is_refused() {
        for (text, reason) in
            [("", "lacks the column name"), ("name;email\n", "lacks"), ("email,name,Email\n", "twice")]
        {
            let mut file = tempfile::NamedTempFile::new().unwrap();
            file.write_all(text.as_bytes()).unwrap();
            let error = Rows::open(file.path(), None).err().unwrap().to_string();
            assert!(error.contains(reason), "{error}");
        }
    }
}

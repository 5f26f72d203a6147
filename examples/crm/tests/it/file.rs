//! Files to import, of which it is known what is wrong with them.

pub(crate) struct Sample {
    pub(crate) text: Vec<u8>,
    /// Line and reason of each bad row.
    pub(crate) bad: Vec<(i64, String)>,
    pub(crate) good: i64,
}

/// As many rows, of which every `every`th is bad in one of seven ways and some have lines of their own inside.
pub(crate) fn sample(rows: usize, every: usize) -> Sample {
    let mut sample = Sample { text: b"Company,email,NAME,notes,phone\n".to_vec(), bad: Vec::new(), good: 0 };
    let mut line = 2;
    for row in 0..rows {
        let company = row % 49; // prime to what `every` is
        let mut good = format!("Company {company},p{row}@example.com,Person {row},,+49 {row}\n").into_bytes();
        let mut lines = 1;
        if row % 97 == 5 {
            good =
                format!("Company {company},P{row}@Example.com,Person {row},\"two\nlines, \"\"quoted\"\"\n\",\n").into();
            lines = 3;
        }
        if row % every != every - 1 {
            sample.text.extend(good);
            sample.good += 1;
            line += lines;
            continue;
        }
        // The row after a good one, so that it can repeat its email.
        let before = format!("p{}@example.com", row - 1);
        let (text, reason): (Vec<u8>, String) = match row / every % 7 {
            0 => (format!("x,p{row}@example.com, ,,\n").into(), "the name is missing".into()),
            1 => {
                (format!("x,p{row}.example.com,Bad,,\n").into(), format!("\"p{row}.example.com\" is no email address"))
            }
            2 => (b"x,y@example.com,Short\n".to_vec(), "it has 3 fields, the header has 5".into()),
            3 => (b"x,y@example.com,B\xc3\x28d,,\n".to_vec(), "it is not UTF-8".into()),
            4 => (b"x,y@example.com,Nul,\0,\n".to_vec(), "it contains NUL".into()),
            5 => (format!("x,{before},Again,,\n").into(), format!("{before} is in the file before")),
            _ => (b"x,,Nobody,,\n".to_vec(), "the email is missing".into()),
        };
        sample.text.extend(text);
        sample.bad.push((line, reason));
        line += 1;
    }
    sample
}

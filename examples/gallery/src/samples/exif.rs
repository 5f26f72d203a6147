//! Just enough of a TIFF writer for what cameras put into EXIF (Exif 2.32, 4.6).

const ASCII: u16 = 2;
const SHORT: u16 = 3;
const LONG: u16 = 4;
const RATIONAL: u16 = 5;

/// Little-endian TIFF with two directories, IFD0 and Exif.
pub(super) fn block(number: u32, orientation: u16) -> Vec<u8> {
    let taken = format!(
        "2024:{:02}:{:02} {:02}:{:02}:00\0",
        number % 12 + 1,
        number % 28 + 1,
        number % 14 + 6,
        number * 7 % 60
    );
    let ifd0 = |exif_at: u32| {
        vec![
            Field::ascii(0x010f, "Millstream\0"),
            Field::ascii(0x0110, "Meadow One\0"),
            Field::short(0x0112, orientation),
            Field::long(0x8769, exif_at),
        ]
    };
    let exif = vec![
        Field::rational(0x829a, 1, 125 << (number % 4)),
        Field::rational(0x829d, [28, 40, 56][number as usize % 3], 10),
        Field::short(0x8827, 100 << (number % 3)),
        Field::ascii(0x9003, &taken),
        Field::rational(0x920a, 35, 1),
    ];

    const HEADER: u32 = 8;
    // The first directory's length doesn't depend on where the second is, so it is measured with a zero.
    let exif_at = HEADER + directory(HEADER, &ifd0(0)).len() as u32;
    let mut block = b"II\x2a\0".to_vec();
    block.extend(HEADER.to_le_bytes());
    block.extend(directory(HEADER, &ifd0(exif_at)));
    block.extend(directory(exif_at, &exif));
    block
}

struct Field {
    tag: u16,
    kind: u16,
    count: u32,
    value: Vec<u8>,
}

impl Field {
    fn ascii(tag: u16, text: &str) -> Self {
        Self { tag, kind: ASCII, count: text.len() as u32, value: text.as_bytes().to_vec() }
    }

    fn short(tag: u16, value: u16) -> Self {
        Self { tag, kind: SHORT, count: 1, value: value.to_le_bytes().to_vec() }
    }

    fn long(tag: u16, value: u32) -> Self {
        Self { tag, kind: LONG, count: 1, value: value.to_le_bytes().to_vec() }
    }

    fn rational(tag: u16, numerator: u32, denominator: u32) -> Self {
        let value = [numerator.to_le_bytes(), denominator.to_le_bytes()].concat();
        Self { tag, kind: RATIONAL, count: 1, value }
    }
}

/// A directory that starts at offset `at`, followed by the values that don't fit into four bytes.
fn directory(at: u32, fields: &[Field]) -> Vec<u8> {
    let mut entries = (fields.len() as u16).to_le_bytes().to_vec();
    let mut values = Vec::new();
    let values_at = at + 2 + 12 * fields.len() as u32 + 4;
    for field in fields {
        entries.extend(field.tag.to_le_bytes());
        entries.extend(field.kind.to_le_bytes());
        entries.extend(field.count.to_le_bytes());
        if field.value.len() <= 4 {
            let mut inline = field.value.clone();
            inline.resize(4, 0);
            entries.extend(inline);
        } else {
            entries.extend((values_at + values.len() as u32).to_le_bytes());
            values.extend(&field.value);
            // Offsets are even (TIFF 6.0, section 2).
            values.resize(values.len().next_multiple_of(2), 0);
        }
    }
    entries.extend(0u32.to_le_bytes());
    entries.extend(values);
    entries
}

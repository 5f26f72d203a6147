//! The pieces of MessagePack that Redis's `cmsgpack` writes and reads too.

use rmp::{Marker, decode, encode};

const TO_A_VEC: &str = "writing to a Vec can't fail";

/// Bytes as MessagePack text: Lua knows one kind of string.
pub(crate) fn text(out: &mut Vec<u8>, value: &[u8]) {
    encode::write_str_len(out, value.len() as u32).expect(TO_A_VEC);
    out.extend_from_slice(value);
}

pub(crate) fn optional_text(out: &mut Vec<u8>, value: Option<&[u8]>) {
    match value {
        Some(value) => text(out, value),
        None => encode::write_nil(out).expect(TO_A_VEC),
    }
}

pub(crate) fn integer(out: &mut Vec<u8>, value: i64) {
    encode::write_sint(out, value).expect(TO_A_VEC);
}

pub(crate) fn optional_integer(out: &mut Vec<u8>, value: Option<i64>) {
    match value {
        Some(value) => integer(out, value),
        None => encode::write_nil(out).expect(TO_A_VEC),
    }
}

pub(crate) fn array(out: &mut Vec<u8>, length: u32) {
    encode::write_array_len(out, length).expect(TO_A_VEC);
}

/// Reads values one after the other; every method fails with what was expected instead of panicking.
pub(crate) struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    pub(crate) fn is_at_end(&self) -> bool {
        self.rest.is_empty()
    }

    pub(crate) fn array(&mut self) -> Result<u32, String> {
        decode::read_array_len(&mut self.rest).map_err(|error| format!("no array: {error}"))
    }

    pub(crate) fn integer(&mut self) -> Result<i64, String> {
        decode::read_int(&mut self.rest).map_err(|error| format!("no whole number: {error}"))
    }

    pub(crate) fn optional_integer(&mut self) -> Result<Option<i64>, String> {
        if self.skip_nil() { Ok(None) } else { self.integer().map(Some) }
    }

    /// Text or binary: both are bytes here.
    pub(crate) fn bytes(&mut self) -> Result<&'a [u8], String> {
        let marker = Marker::from_u8(*self.rest.first().ok_or("the pack ends early")?);
        let length = match marker {
            Marker::Bin8 | Marker::Bin16 | Marker::Bin32 => {
                decode::read_bin_len(&mut self.rest).map_err(|error| format!("no binary: {error}"))?
            }
            _ => decode::read_str_len(&mut self.rest).map_err(|error| format!("no text: {error}"))?,
        };
        let (value, rest) = self.rest.split_at_checked(length as usize).ok_or("the pack ends early")?;
        self.rest = rest;
        Ok(value)
    }

    pub(crate) fn optional_bytes(&mut self) -> Result<Option<&'a [u8]>, String> {
        if self.skip_nil() { Ok(None) } else { self.bytes().map(Some) }
    }

    /// Passes over one scalar that a newer writer added.
    pub(crate) fn skip(&mut self) -> Result<(), String> {
        match self.rest.first().map(|byte| Marker::from_u8(*byte)) {
            Some(Marker::Null | Marker::True | Marker::False) => self.rest = &self.rest[1..],
            Some(marker) if is_integer(marker) => drop(self.integer()?),
            _ => drop(self.bytes()?),
        }
        Ok(())
    }

    fn skip_nil(&mut self) -> bool {
        let is_nil = self.rest.first() == Some(&Marker::Null.to_u8());
        if is_nil {
            self.rest = &self.rest[1..];
        }
        is_nil
    }
}

fn is_integer(marker: Marker) -> bool {
    use Marker::{FixNeg, FixPos, I8, I16, I32, I64, U8, U16, U32, U64};
    matches!(marker, FixPos(_) | FixNeg(_) | U8 | U16 | U32 | U64 | I8 | I16 | I32 | I64)
}

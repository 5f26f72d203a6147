//! A job outside of a stream: the packed form in `later:jobs` and `dead:jobs`.

use redis::Value;

use crate::{
    Entry, MalformedEntry,
    keys::Lane,
    msgpack::{self, Reader},
};

/// A job outside of a stream, in `later:jobs` or `dead:jobs`: a MessagePack array of the number of the lane it came from
/// or goes to, and the entry's fields, name after value; scripts hand them to XADD as they are.
#[derive(Clone, Debug)]
pub struct Stored<'a> {
    /// The lane to return to.
    pub lane: Lane,
    /// The job.
    pub entry: &'a Entry,
    /// The last error, for dead jobs.
    pub error: Option<&'a str>,
}

impl Stored<'_> {
    /// The packed bytes.
    pub fn pack(&self) -> Vec<u8> {
        let mut count = 0;
        let mut packed = Vec::with_capacity(128 + self.entry.body.len());
        self.entry.each_field(true, |name, value| {
            count += 2;
            msgpack::text(&mut packed, name.as_bytes());
            msgpack::text(&mut packed, value);
        });
        if let Some(error) = self.error {
            count += 2;
            msgpack::text(&mut packed, b"error");
            msgpack::text(&mut packed, error.as_bytes());
        }
        pack_array(self.lane, count, &packed)
    }

    /// The packed bytes of a dead entry that can't be read as a job: its raw fields and what is wrong with them.
    pub fn pack_malformed(lane: Lane, fields: &[Value], error: &str) -> Vec<u8> {
        let mut count = 2;
        let mut packed = Vec::new();
        for field in fields {
            if let Value::BulkString(bytes) = field {
                count += 1;
                msgpack::text(&mut packed, bytes);
            }
        }
        msgpack::text(&mut packed, b"error");
        msgpack::text(&mut packed, error.as_bytes());
        pack_array(lane, count, &packed)
    }
}

impl Entry {
    /// Reads a job of `later:jobs` or `dead:jobs`, as [`Stored::pack`] packs it; none where the bytes are no job.
    pub fn unpack(packed: &[u8]) -> Option<Self> {
        Unpacked::read(packed).ok()?.entry.ok()
    }
}

/// A packed job as it was read back.
#[derive(Clone, Debug)]
pub(crate) struct Unpacked {
    /// The lane it came from or goes to.
    pub(crate) lane: Lane,
    /// The job, or why the fields are none.
    pub(crate) entry: Result<Entry, MalformedEntry>,
    /// The last error, for dead jobs.
    pub(crate) error: Option<String>,
    /// The fields as they are, name after value.
    pub(crate) fields: Vec<Vec<u8>>,
}

impl Unpacked {
    /// Reads a packed job, or says what is wrong with the bytes.
    pub(crate) fn read(packed: &[u8]) -> Result<Self, String> {
        let mut reader = Reader::new(packed);
        let values = reader.array()?;
        let lane = u8::try_from(reader.integer()?).ok().and_then(Lane::from_index).ok_or("no such lane")?;
        let fields: Vec<Vec<u8>> =
            (1..values).map(|_| reader.bytes().map(<[u8]>::to_vec)).collect::<Result<_, String>>()?;
        let error = fields.chunks_exact(2).find(|field| field[0] == b"error");
        let error = error.map(|field| String::from_utf8_lossy(&field[1]).into_owned());
        let entry = Entry::decode("", "", fields.iter().cloned().map(Value::BulkString).collect());
        Ok(Self { lane, entry, error, fields })
    }
}

fn pack_array(lane: Lane, fields: u32, packed: &[u8]) -> Vec<u8> {
    let mut array = Vec::with_capacity(packed.len() + 8);
    msgpack::array(&mut array, fields + 1);
    msgpack::integer(&mut array, i64::from(lane.index()));
    array.extend_from_slice(packed);
    array
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use uuid::Uuid;

    use super::*;

    proptest! {
        #[test]
        fn what_is_packed_is_read_back(body: Vec<u8>, id: u128, run: u32, at_ms in 0..1_000_000_000_000_000_i64, error: Option<String>, lane in 0..4_u8) {
            let lane = Lane::from_index(lane).expect("a lane");
            let entry = Entry { run, ..Entry::new("k", body, Uuid::from_u128(id), at_ms) };
            let read = Unpacked::read(&Stored { lane, entry: &entry, error: error.as_deref() }.pack()).expect("a job");
            prop_assert_eq!((read.lane, read.entry, read.error), (lane, Ok(entry), error));
        }

        #[test]
        fn no_garbage_panics(bytes: Vec<u8>) {
            let _ = Unpacked::read(&bytes);
        }
    }
}

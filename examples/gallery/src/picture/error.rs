use std::io;

/// Why a file can't be shown. The messages are for the person who added the photo.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PictureError {
    /// The file is none of the formats that are read here.
    #[error("not a picture that can be read: the content is no JPEG, PNG or WebP")]
    NotAPicture,

    /// The file is larger than [`Limits::bytes`](super::Limits::bytes).
    #[error("the file has {bytes} bytes; at most {limit} are accepted")]
    TooManyBytes {
        /// What the file has.
        bytes: u64,
        /// What is accepted.
        limit: u64,
    },

    /// The picture claims more pixels than [`Limits::pixels`](super::Limits::pixels).
    #[error(
        "too large: {width} x {height} pixels are {} megapixels; at most {} are accepted",
        megapixels(*.width, *.height),
        .limit / 1_000_000
    )]
    TooManyPixels {
        /// Claimed width in pixels.
        width: u32,
        /// Claimed height in pixels.
        height: u32,
        /// Accepted number of pixels.
        limit: u64,
    },

    /// Decoding would need more memory than [`Limits::memory`](super::Limits::memory).
    #[error("too large: the picture unpacks to {needed} bytes; at most {limit} are accepted")]
    TooMuchMemory {
        /// What the decoded picture takes, in bytes.
        needed: u64,
        /// What it may take, in bytes.
        limit: u64,
    },

    /// The file starts like a picture and isn't a whole one.
    #[error("the file is damaged: {0}")]
    Damaged(String),

    /// The decoder itself gave up.
    #[error("the file is damaged: the decoder failed on it")]
    DecoderPanicked,

    /// The machine's fault, not the photo's: worth another attempt.
    #[error("the photo can't be read from disk: {0}")]
    Io(io::Error),
}

// By hand: the message has the cause in it, and a chain of causes would say it twice.
impl From<io::Error> for PictureError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl PictureError {
    /// Whether another attempt at the same file must end the same way.
    pub fn is_final(&self) -> bool {
        !matches!(self, Self::Io(_))
    }
}

fn megapixels(width: u32, height: u32) -> u64 {
    u64::from(width) * u64::from(height) / 1_000_000
}

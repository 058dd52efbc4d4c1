//! ISO/IEC 7816-4: commands, answers, status words, data objects and file paths, in bytes. Pure.

mod apdu;
mod capability;
mod exchange;
mod path;
mod status_word;
pub mod tlv;

pub use apdu::{
    Command, Length, MAX_EXTENDED, MAX_SHORT, MalformedCommand, MalformedResponse, Response,
};
pub use capability::CardCapabilities;
pub use exchange::{Exchange, Followed};
pub use path::{FileId, PathError, file_path};
pub use status_word::StatusWord;

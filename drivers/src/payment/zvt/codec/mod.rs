//! The ZVT codec: bytes in, values out, and back; for both ends of the line.
//!
//! Pure and synchronous: no I/O, no clock, no state beyond the two incremental decoders. Total: any
//! input gives a value or an error, never a panic, and no allocation exceeds what was received.
//! Cardholder data is reduced while it is decoded ([`pan`]).
//!
//! Layers, from the wire up: [`frame`] (serial only) -> [`apdu`] -> [`command`] -> [`fields`] -> [`bmp`] ->
//! [`tlv`] and [`charset`]. [`result`] and [`status`] say what the codes mean to a clerk.
//!
//! Source: VdTH, ZVT-Protokoll PA00P015 rev. 13.08 (commands, bitmaps, tables) and PA00P016
//! (transport).

pub mod amount;
pub mod apdu;
pub mod bcd;
pub mod bmp;
pub mod charset;
pub mod command;
pub mod completion;
pub mod fields;
pub mod frame;
pub mod opaque;
pub mod pan;
pub mod receipt;
pub mod registration;
pub mod result;
pub mod status;
pub mod tlv;
pub mod totals;

/// Why a value cannot be put on the wire. Nothing was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EncodeError {
    /// The value does not fit the length form of its field.
    #[error("field {tag:02X}: {len} bytes do not fit")]
    TooLong {
        /// BMP number or TLV tag.
        tag: u32,
        /// Length of the value in bytes.
        len: usize,
    },
    /// Containers are nested deeper than [`tlv::MAX_DEPTH`].
    #[error("TLV containers are nested too deeply")]
    TooDeep,
    /// A field needs another one before it (such as BMPs of 06 00 the currency).
    #[error("{0} must be given before what follows it")]
    Missing(&'static str),
    /// The peer would read other values from these bytes.
    #[error("{0} would be misread by the peer")]
    Ambiguous(&'static str),
}

//! `kofferctl card`.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};
use koffer_proto::class::card_terminal::{
    self, CardProtocol, FileOffset, FilePath, PinFormat, PinLength, PinReference, StatusWordPattern,
};
use koffer_proto::{Blob, Segment};

use crate::ctl::typed;

/// A card terminal and what its card is to do.
#[derive(Debug, Args)]
pub(in crate::ctl) struct Card {
    /// The card terminal, or a role
    pub(in crate::ctl) device: Segment,
    #[command(subcommand)]
    pub(in crate::ctl) command: CardCommand,
}

/// What a card terminal can do.
#[derive(Debug, Subcommand)]
pub(in crate::ctl) enum CardCommand {
    /// Power the card and keep it for the calls that follow
    Connect {
        /// Only this protocol
        #[arg(long)]
        protocol: Option<ProtocolWord>,
    },
    /// Read a file
    Read {
        #[command(flatten)]
        file: CardFile,
        /// How many bytes [default: to the end]
        #[arg(long, value_name = "N", value_parser = typed::parse_offset)]
        length: Option<FileOffset>,
        /// Write them to this file, which only you can read, instead of showing them
        #[arg(long, value_name = "FILE")]
        to: Option<PathBuf>,
    },
    /// Write a file and read it back
    Write {
        #[command(flatten)]
        file: CardFile,
        /// The bytes, in hexadecimal digits
        #[arg(value_name = "HEX", value_parser = typed::parse_hex, required_unless_present = "from")]
        content: Option<Blob>,
        /// The bytes are in this file; - for stdin
        #[arg(long, value_name = "FILE|-", conflicts_with = "content")]
        from: Option<PathBuf>,
    },
    /// Send APDUs in order, stopping at the first status word that is not accepted
    Transmit {
        /// Each in hexadecimal digits; with status words of its own behind =
        #[arg(value_name = "APDU[=SW,SW]", required = true, value_parser = typed::parse_apdu)]
        apdus: Vec<Apdu>,
        /// Status words that let the others go on, x for any digit [default: 9000]
        #[arg(long, value_name = "SW,SW", value_delimiter = ',', value_parser = typed::parse_status_word)]
        accept: Vec<StatusWordPattern>,
    },
    /// Have a PIN typed on the reader's pad and verified
    VerifyPin(Pin),
    /// Have an old and a new PIN typed on the reader's pad, and the PIN changed
    ChangePin(Pin),
    /// Let go of the card
    Disconnect {
        /// What becomes of it
        #[arg(long, default_value = "reset")]
        then: DispositionWord,
    },
}

/// Where a file is.
#[derive(Debug, Args)]
pub(in crate::ctl) struct CardFile {
    /// The file: its identifier, or a path of identifiers such as 3f00/0101
    #[arg(long, visible_alias = "file-id", value_name = "ID/ID", value_parser = typed::parse_file_path)]
    pub(in crate::ctl) path: FilePath,
    /// The application to select first, in hexadecimal digits
    #[arg(long, value_name = "HEX", value_parser = typed::parse_hex)]
    pub(in crate::ctl) aid: Option<Blob>,
    /// From where in the file [default: its beginning]
    #[arg(long, value_name = "N", value_parser = typed::parse_offset)]
    pub(in crate::ctl) offset: Option<FileOffset>,
}

/// One command of a batch.
#[derive(Debug, Clone)]
pub(in crate::ctl) struct Apdu {
    pub(in crate::ctl) apdu: Blob,
    /// What it accepts instead of what the others do.
    pub(in crate::ctl) accept: Vec<StatusWordPattern>,
}

/// Which PIN.
#[derive(Debug, Args)]
pub(in crate::ctl) struct Pin {
    /// Its number on the card (P2 of VERIFY): 129 or 0x81
    #[arg(long, value_parser = typed::parse_byte)]
    reference: u8,
    /// How it is put into the command
    #[arg(long, default_value = "ascii")]
    format: PinFormatWord,
    /// The fewest digits
    #[arg(long, default_value = "4", value_parser = typed::parse_pin_length)]
    min: PinLength,
    /// The most digits
    #[arg(long, default_value = "8", value_parser = typed::parse_pin_length)]
    max: PinLength,
}

impl From<Pin> for PinReference {
    fn from(pin: Pin) -> Self {
        Self {
            reference: pin.reference,
            format: match pin.format {
                PinFormatWord::Ascii => PinFormat::Ascii,
                PinFormatWord::Bcd => PinFormat::Bcd,
                PinFormatWord::Iso9564Format2 => PinFormat::Iso9564Format2,
            },
            min_length: pin.min,
            max_length: pin.max,
        }
    }
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub(in crate::ctl) enum ProtocolWord {
    T0,
    T1,
}

impl From<ProtocolWord> for CardProtocol {
    fn from(word: ProtocolWord) -> Self {
        match word {
            ProtocolWord::T0 => Self::T0,
            ProtocolWord::T1 => Self::T1,
        }
    }
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum PinFormatWord {
    /// One ASCII digit per byte
    Ascii,
    /// Two digits per byte
    Bcd,
    /// Format 2 PIN block (ISO 9564-1)
    #[value(name = "iso9564-format2")]
    Iso9564Format2,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub(in crate::ctl) enum DispositionWord {
    /// It stays as it is
    Leave,
    /// It is reset
    Reset,
    /// Its power is cut
    Unpower,
    /// It comes out, where the reader can do that
    Eject,
}

impl From<DispositionWord> for card_terminal::Disposition {
    fn from(word: DispositionWord) -> Self {
        match word {
            DispositionWord::Leave => Self::Leave,
            DispositionWord::Reset => Self::Reset,
            DispositionWord::Unpower => Self::Unpower,
            DispositionWord::Eject => Self::Eject,
        }
    }
}

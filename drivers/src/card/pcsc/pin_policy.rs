//! PINs are typed on the reader's pad, never sent through the gateway. A batch is read before its
//! first command is sent; what carries a PIN in the clear, or may wrap a command that does, is
//! refused (docs/decisions/0025). Pure.

use crate::card::iso7816::{Command, tlv};

/// ENVELOPE: a command, whole or in pieces.
const ENVELOPE: u8 = 0xC2;
/// ENVELOPE with data objects.
const ENVELOPE_OBJECTS: u8 = 0xC3;
/// Command to perform (ISO/IEC 7816-4, the interindustry data objects).
const COMMAND_TO_PERFORM: u32 = 0x52;
/// Commands of this class are for the reader (PC/SC part 3, 3.2.2).
const READER: u8 = 0xFF;
/// A command's header; it names the instruction.
const HEADER: usize = 4;

/// Why a batch does not go to the card.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Objection {
    /// The command carries a PIN in the clear.
    PlainPin,
    /// The command may wrap another one, which cannot be read here.
    Hidden,
}

/// Reads a batch: the index of the first command that must not be sent, and why.
///
/// Commands in an ENVELOPE are read like any other. Pieces of one command are put together across
/// the batch and have to end in it. The first piece names the instruction, so that no later call
/// makes another command of what the card holds; each piece that may stand alone is read alone.
pub fn check(commands: &[Command]) -> Result<(), (usize, Objection)> {
    let mut open: Option<Pieces> = None;
    for (index, command) in commands.iter().enumerate() {
        let in_pieces = command.ins == ENVELOPE && command.cla != READER && !is_encrypted(command);
        if !in_pieces {
            if let Some(pieces) = open {
                return Err((pieces.begins, Objection::Hidden));
            }
            alone(command).map_err(|why| (index, why))?;
        } else if open.is_some() || is_chained(command) || !command.data.is_empty() {
            let mut pieces = open.take().unwrap_or_else(|| Pieces::begin(index));
            pieces.add(command).map_err(|why| (index, why))?;
            if pieces.end_with(command) {
                pieces.read().map_err(|why| (pieces.begins, why))?;
            } else {
                open = Some(pieces);
            }
        }
    }
    open.map_or(Ok(()), |pieces| Err((pieces.begins, Objection::Hidden)))
}

/// Whether the second command may be another piece of what the first one carries. Then 9000 alone
/// leads from the first to the second: a card that refused a piece takes the next for a beginning.
pub fn may_continue(command: &Command, next: &Command) -> bool {
    let wraps = |command: &Command| matches!(command.ins, ENVELOPE | ENVELOPE_OBJECTS);
    wraps(command) && wraps(next)
}

/// A command in ENVELOPEs, as far as it came.
struct Pieces {
    /// The index of the first.
    begins: usize,
    /// How long each is.
    lengths: Vec<usize>,
    chained: bool,
    bytes: Vec<u8>,
}

impl Pieces {
    fn begin(index: usize) -> Self {
        Self {
            begins: index,
            lengths: Vec::new(),
            chained: false,
            bytes: Vec::new(),
        }
    }

    fn add(&mut self, piece: &Command) -> Result<(), Objection> {
        if let Ok(inner) = Command::parse(&piece.data) {
            alone(&inner)?;
        }
        self.lengths.push(piece.data.len());
        self.chained |= is_chained(piece);
        self.bytes.extend_from_slice(&piece.data);
        Ok(())
    }

    /// A chain ends with the first command outside of it. Pieces without the chaining bit end when
    /// the command is whole, or with an empty ENVELOPE (ISO/IEC 7816-3, 12.2).
    fn end_with(&self, piece: &Command) -> bool {
        let ends = self.chained || piece.data.is_empty() || Command::parse(&self.bytes).is_ok();
        ends && !is_chained(piece)
    }

    fn read(&self) -> Result<(), Objection> {
        let inner = Command::parse(&self.bytes).map_err(|_| Objection::Hidden)?;
        enveloped(&inner)?;
        let begins_in_first = self.lengths.first().is_some_and(|first| *first >= HEADER);
        if self.lengths.len() > 1 && (takes_pin(&inner) || !begins_in_first) {
            return Err(Objection::Hidden);
        }
        Ok(())
    }
}

/// A command that is sent by itself, or stands alone in an ENVELOPE.
fn alone(command: &Command) -> Result<(), Objection> {
    let objects = tlv::objects(&command.data).unwrap_or_default();
    let performs = |tag: u32| tag == COMMAND_TO_PERFORM;
    match command.ins {
        _ if command.data.is_empty() || is_encrypted(command) => Ok(()),
        _ if takes_pin(command) => Err(Objection::PlainPin),
        // A storage card's data and keys. Anything else may be handed on to the card, unread.
        0x82 | 0x86 | 0x88 | 0xB0 | 0xB1 | 0xD6 if command.cla == READER => Ok(()),
        _ if command.cla == READER => Err(Objection::Hidden),
        ENVELOPE_OBJECTS if is_chained(command) || objects.is_empty() => Err(Objection::Hidden),
        ENVELOPE_OBJECTS => objects.iter().try_for_each(|object| {
            let inner = Command::parse(object.value).map_err(|_| Objection::Hidden)?;
            let read = enveloped(&inner);
            if performs(object.tag) {
                read
            } else {
                Err(Objection::Hidden)
            }
        }),
        ENVELOPE => Err(Objection::Hidden),
        // A terminal's PERFORM VERIFICATION and MODIFY VERIFICATION DATA (CT-BCS, SICCT).
        0x18 | 0x19 if objects.iter().any(|object| performs(object.tag)) => Err(Objection::Hidden),
        _ => Ok(()),
    }
}

/// A command in an ENVELOPE. One that takes a PIN is not begun there without it: the PIN could
/// follow.
fn enveloped(inner: &Command) -> Result<(), Objection> {
    let wraps = matches!(inner.ins, ENVELOPE | ENVELOPE_OBJECTS);
    let begins = takes_pin(inner) && inner.data.is_empty();
    if wraps || begins || inner.cla == READER {
        return Err(Objection::Hidden);
    }
    alone(inner)
}

/// VERIFY, CHANGE REFERENCE DATA, DISABLE and ENABLE VERIFICATION REQUIREMENT, RESET RETRY COUNTER
/// and their BER-TLV twins (ISO/IEC 7816-4, 11.6), in any class: cards older than the standard,
/// and readers, use the same numbers.
fn takes_pin(command: &Command) -> bool {
    matches!(command.ins, 0x20 | 0x21 | 0x24..=0x29 | 0x2C | 0x2D)
}

/// The chaining bit of an interindustry class (ISO/IEC 7816-4, 5.4.1); proprietary ones follow it.
fn is_chained(command: &Command) -> bool {
    command.cla & 0x10 != 0
}

/// Whether the data is what secure messaging makes of it: ciphered, with a checksum, and nothing
/// beside it that could hold a PIN (ISO/IEC 7816-4, 10.2). The class alone proves nothing: a card
/// may take no notice of it. BSI TR-03110 sets its bits in proprietary classes too (8C).
fn is_encrypted(command: &Command) -> bool {
    let proprietary = matches!(command.cla, 0x80..=0xBF) && command.cla & 0x0C != 0;
    if !command.is_secured() && !proprietary {
        return false;
    }
    let Some(objects) = tlv::objects(&command.data) else {
        return false;
    };
    let of = |tags: std::ops::RangeInclusive<u32>| {
        let mut lengths = objects.iter().filter(|object| tags.contains(&object.tag));
        lengths.any(|object| !object.value.is_empty())
    };
    of(0x82..=0x87)
        && of(0x8E..=0x8E)
        && objects.iter().all(|object| match object.tag {
            0x82..=0x87 => true,
            // Header, checksum, expected length.
            0x89 => object.value.len() == HEADER,
            0x8E => object.value.len() <= 16,
            0x96 | 0x97 => object.value.len() <= 3,
            _ => false,
        })
}

#[cfg(test)]
mod tests;

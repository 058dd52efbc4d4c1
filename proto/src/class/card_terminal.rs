//! Chip card terminals (PC/SC), the *Änderungsterminal* among them.

use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

use super::empty;
use crate::{
    Blob, OutOfBounds, Sha256,
    bound::{bounded_number, bounded_text},
    operation::operations,
};

operations! {
    CardTerminal, locked_while_unresolved: false, content: content_bytes;
    /// Powers the card and takes it exclusively; needs a claim.
    Connect(ConnectParams) -> Connected = "connect", None, 60 s;
    /// Sends a batch of APDUs in order, stopping at the first status word that is not accepted.
    Transmit(TransmitParams) -> Transmitted = "transmit", Once, 120 s, confidential;
    /// Reads a file (ISO 7816-4).
    Read(ReadParams) -> FileContent = "read", None, 60 s, confidential;
    /// Updates a file (ISO 7816-4) and reads it back.
    Write(WriteParams) -> Written = "write", Once, 120 s;
    /// Verifies a PIN that is typed on the reader's own pad.
    VerifyPin(VerifyPinParams) -> PinVerified = "verify-pin", Repeatable, 120 s;
    /// Changes a PIN; old and new are typed on the reader's own pad.
    ChangePin(ChangePinParams) -> PinChanged = "change-pin", Repeatable, 180 s;
    /// Runs PACE in the reader.
    Pace(PaceParams) -> PaceDone = "pace", Repeatable, 120 s, confidential;
    /// Reads an electronic travel or identity document (ICAO 9303).
    ReadDocument(ReadDocumentParams) -> DocumentRead = "read-document", None, 120 s, confidential;
    /// Lets go of the card.
    Disconnect(DisconnectParams) -> Disconnected = "disconnect", None, 30 s;
}

/// Files and data groups.
fn content_bytes(response: &Response) -> usize {
    match response {
        Response::Read(file) => file.content.len(),
        Response::ReadDocument(document) => document
            .groups
            .iter()
            .map(|group| group.content.len())
            .sum(),
        Response::Connect(_)
        | Response::Transmit(_)
        | Response::Write(_)
        | Response::VerifyPin(_)
        | Response::ChangePin(_)
        | Response::Pace(_)
        | Response::Disconnect(_) => 0,
    }
}

/// The transmission protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[expect(missing_docs, reason = "ISO 7816-3's own names")]
pub enum CardProtocol {
    T0,
    T1,
}

/// Parameters of `connect`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ConnectParams {
    /// Only this protocol; whatever card and reader agree on unless said otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub protocol: Option<CardProtocol>,
}

/// Result of `connect`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Connected {
    /// The card's answer to reset.
    pub atr: Blob,
    /// The protocol in use.
    pub protocol: CardProtocol,
}

/// A pattern of status words: four hexadecimal digits, `x` for any, e.g. `9000`, `61xx`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct StatusWordPattern {
    mask: u16,
    value: u16,
}

impl StatusWordPattern {
    /// Success: `9000`.
    pub const SUCCESS: Self = Self {
        mask: 0xffff,
        value: 0x9000,
    };

    /// Whether `status_word` fits.
    pub fn accepts(&self, status_word: u16) -> bool {
        status_word & self.mask == self.value
    }
}

impl TryFrom<String> for StatusWordPattern {
    type Error = OutOfBounds;

    fn try_from(text: String) -> Result<Self, OutOfBounds> {
        let mut pattern = Self { mask: 0, value: 0 };
        let form = OutOfBounds::Form("four hexadecimal digits, x for any, such as 9000 or 61xx");
        if text.len() != 4 {
            return Err(form);
        }
        for c in text.chars() {
            let digit = c.to_digit(16).and_then(|digit| u16::try_from(digit).ok());
            let (mask, digit) = match (c, digit) {
                ('x' | 'X', _) => (0, 0),
                (_, Some(digit)) => (0xf, digit),
                _ => return Err(form),
            };
            pattern.mask = pattern.mask << 4 | mask;
            pattern.value = pattern.value << 4 | digit;
        }
        Ok(pattern)
    }
}

impl From<StatusWordPattern> for String {
    fn from(pattern: StatusWordPattern) -> Self {
        pattern.to_string()
    }
}

impl fmt::Display for StatusWordPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for shift in [12, 8, 4, 0] {
            match self.mask >> shift & 0xf {
                0 => f.write_str("x")?,
                _ => write!(f, "{:x}", self.value >> shift & 0xf)?,
            }
        }
        Ok(())
    }
}

impl JsonSchema for StatusWordPattern {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        "StatusWordPattern".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "pattern": "^[0-9a-fA-FxX]{4}$" })
    }
}

/// One command of a batch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Command {
    /// The command APDU, short or extended (ISO 7816-4).
    pub apdu: Blob,
    /// The status words that let the batch go on; `9000` unless said otherwise.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub accept: Vec<StatusWordPattern>,
}

/// Parameters of `transmit`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TransmitParams {
    /// In this order.
    #[schemars(length(min = 1, max = 256))]
    #[serde(deserialize_with = "crate::bound::list::<_, _, 1, 256>")]
    pub commands: Vec<Command>,
}

/// One answer of a card.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CommandResponse {
    /// The data without the status word.
    pub data: Blob,
    /// The status word, four hexadecimal digits.
    pub status_word: String,
}

/// Result of `transmit`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Transmitted {
    /// As many as commands, or fewer where one was not accepted; that one is the last.
    pub responses: Vec<CommandResponse>,
    /// Whether every command was sent and accepted.
    pub complete: bool,
}

bounded_text! {
    /// A path of file identifiers from the root or the application, e.g. `3f00/0101` or `0101`.
    FilePath in 4..=64;
}

bounded_number! {
    /// A position or length in a file: what 15-bit offsets reach (ISO 7816-4).
    FileOffset(u16) in 0..=32_767;
}

/// Where a file is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct FileAddress {
    /// The application identifier to select first, 5 to 16 bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub application: Option<Blob>,
    /// The path from there.
    pub path: FilePath,
}

/// Parameters of `read`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ReadParams {
    /// Which file.
    pub file: FileAddress,
    /// From where; the beginning unless said otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub offset: Option<FileOffset>,
    /// How many bytes; to the end unless said otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub length: Option<FileOffset>,
}

/// Result of `read`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct FileContent {
    /// What it holds.
    pub content: Blob,
    /// Its SHA-256.
    pub sha256: Sha256,
}

/// Parameters of `write`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct WriteParams {
    /// Which file.
    pub file: FileAddress,
    /// From where; the beginning unless said otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub offset: Option<FileOffset>,
    /// What.
    pub content: Blob,
}

/// Result of `write`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Written {
    /// How many bytes.
    pub bytes: u32,
    /// The SHA-256 of what was read back; equal to that of what was sent.
    pub sha256: Sha256,
}

/// How a PIN is put into the command.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum PinFormat {
    /// One ASCII digit per byte.
    Ascii,
    /// Two digits per byte.
    Bcd,
    /// Format 2 PIN block (ISO 9564-1).
    Iso9564Format2,
}

bounded_number! {
    /// A number of PIN digits.
    PinLength(u8) in 4..=16;
}

/// Which PIN, and its form.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PinReference {
    /// The qualifier of the reference data (P2 of VERIFY).
    pub reference: u8,
    /// Its form.
    pub format: PinFormat,
    /// The fewest digits.
    pub min_length: PinLength,
    /// The most digits.
    pub max_length: PinLength,
}

/// Parameters of `verify-pin`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct VerifyPinParams {
    /// Which PIN.
    pub pin: PinReference,
}

/// Result of `verify-pin`; a wrong PIN is `declined` with the tries left.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PinVerified {
    /// The status word, four hexadecimal digits.
    pub status_word: String,
}

/// Parameters of `change-pin`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ChangePinParams {
    /// Which PIN.
    pub pin: PinReference,
}

/// Result of `change-pin`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PinChanged {
    /// The status word, four hexadecimal digits.
    pub status_word: String,
}

/// Which secret PACE uses (BSI TR-03110-3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum PacePassword {
    /// From the machine readable zone.
    Mrz,
    /// The card access number.
    Can,
    /// The PIN; typed on the pad.
    Pin,
    /// The PUK; typed on the pad.
    Puk,
}

bounded_text! {
    /// A card access number: it is printed on the card, so it may come from the app.
    CardAccessNumber in 6..=6;
}

/// Parameters of `pace`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PaceParams {
    /// Which secret.
    pub password: PacePassword,
    /// The card access number, where `password` is `can` and it is not typed on the pad.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub can: Option<CardAccessNumber>,
    /// The certificate holder authorisation template.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub chat: Option<Blob>,
    /// The certificate description.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub certificate_description: Option<Blob>,
}

/// Result of `pace`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PaceDone {
    /// The status word of MSE:Set AT, four hexadecimal digits.
    pub status_word: String,
    /// EF.CardAccess.
    pub card_access: Blob,
    /// The certification authority reference.
    pub car: Blob,
    /// The previous one; empty where there is none.
    pub previous_car: Blob,
    /// The card's ephemeral identifier (ID_ICC).
    pub id_icc: Blob,
}

/// What opens a document.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum DocumentAccess {
    /// The card access number (PACE).
    Can(CardAccessNumber),
    /// The machine readable zone, its lines separated by a space (BAC or PACE).
    Mrz(MrzText),
}

bounded_text! {
    /// A machine readable zone's lines, separated by a space.
    MrzText in 24..=100;
}

bounded_number! {
    /// The number of a data group.
    DataGroup(u8) in 1..=16;
}

/// Parameters of `read-document`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ReadDocumentParams {
    /// What opens it.
    pub access: DocumentAccess,
    /// Which data groups.
    #[schemars(length(min = 1, max = 16))]
    #[serde(deserialize_with = "crate::bound::list::<_, _, 1, 16>")]
    pub groups: Vec<DataGroup>,
}

/// One data group.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DataGroupContent {
    /// Its number.
    pub group: DataGroup,
    /// What it holds.
    pub content: Blob,
    /// Whether its digest is the one in EF.SOD.
    pub digest_matches: bool,
}

/// Result of `read-document`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DocumentRead {
    /// The document security object.
    pub security_object: Blob,
    /// What was asked for and is there.
    pub groups: Vec<DataGroupContent>,
}

/// What becomes of the card.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[expect(missing_docs, reason = "PC/SC's own names")]
pub enum Disposition {
    Leave,
    #[default]
    Reset,
    Unpower,
    Eject,
}

/// Parameters of `disconnect`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DisconnectParams {
    /// What becomes of the card.
    #[serde(default)]
    pub disposition: Disposition,
}

empty! {
    /// Result of `disconnect`.
    Disconnected;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_word_pattern_accepts_what_it_shows() {
        let pattern = |text: &str| StatusWordPattern::try_from(text.to_owned());
        assert!(pattern("9000").unwrap().accepts(0x9000));
        assert_eq!(pattern("9000").unwrap(), StatusWordPattern::SUCCESS);
        assert!(pattern("61xx").unwrap().accepts(0x61ff));
        assert!(!pattern("61xx").unwrap().accepts(0x6200));
        assert_eq!(pattern("63CX").unwrap().to_string(), "63cx");
        for text in ["", "900", "90000", "90g0", "ä00"] {
            assert!(pattern(text).is_err(), "{text}");
        }
    }
}

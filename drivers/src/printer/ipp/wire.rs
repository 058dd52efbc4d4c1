//! Questions and answers as bytes (RFC 8010), on the crate `ipp`.

use std::io::Cursor;

use bytes::{Bytes, BytesMut};
use ipp::{
    IppHeader,
    attribute::{IppAttribute, IppAttributeGroup, IppAttributes},
    model::{DelimiterTag, IppVersion},
    parser::IppParser,
    value::IppValue,
};

/// The operations that are used (RFC 8011, 5.4.15; PWG 5100.13).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(i16)]
pub(super) enum Operation {
    CreateJob = 0x05,
    SendDocument = 0x06,
    CancelJob = 0x08,
    GetJobAttributes = 0x09,
    GetJobs = 0x0A,
    GetPrinterAttributes = 0x0B,
    IdentifyPrinter = 0x3C,
}

/// Collections in collections that are read. Nothing that is asked for has more than three; the
/// parser's values are dropped recursively, and a hostile printer shall not choose how deep.
const DEEPEST: usize = 16;

/// What came is no IPP answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("no IPP answer: {0}")]
pub(super) struct Unreadable(String);

/// A question in the making.
pub(super) struct Question {
    operation: Operation,
    attributes: IppAttributes,
}

impl Question {
    /// A question to the printer at `uri`, asked as `user`.
    pub(super) fn new(operation: Operation, uri: &str, user: &str) -> Self {
        Self::about(operation, uri, None, user)
    }

    /// A question about one job.
    pub(super) fn of_job(operation: Operation, uri: &str, job: i32, user: &str) -> Self {
        Self::about(operation, uri, Some(job), user)
    }

    fn about(operation: Operation, uri: &str, job: Option<i32>, user: &str) -> Self {
        let mut question = Self {
            operation,
            attributes: IppAttributes::new(),
        };
        // The first four stand in this order (RFC 8011, 4.1.4 and 4.1.5).
        question.put_text("attributes-charset", "utf-8", IppValue::new_charset);
        question.put_text(
            "attributes-natural-language",
            "en",
            IppValue::new_natural_language,
        );
        question.put_text("printer-uri", uri, IppValue::new_uri);
        if let Some(job) = job {
            question.put("job-id", IppValue::Integer(job));
        }
        question.put_text(
            "requesting-user-name",
            user,
            IppValue::new_name_without_language,
        );
        question
    }

    /// Limits the answer to these attributes.
    pub(super) fn wanting(mut self, names: &[&str]) -> Self {
        let keywords = names
            .iter()
            .filter_map(|name| IppValue::new_keyword(*name).ok());
        self.put("requested-attributes", IppValue::Array(keywords.collect()));
        self
    }

    pub(super) fn name(mut self, attribute: &str, value: &str) -> Self {
        self.put_text(attribute, value, IppValue::new_name_without_language);
        self
    }

    pub(super) fn keyword(mut self, attribute: &str, value: &str) -> Self {
        self.put_text(attribute, value, IppValue::new_keyword);
        self
    }

    pub(super) fn mime(mut self, attribute: &str, value: &str) -> Self {
        self.put_text(attribute, value, IppValue::new_mime_media_type);
        self
    }

    pub(super) fn flag(mut self, attribute: &str, value: bool) -> Self {
        self.put(attribute, IppValue::Boolean(value));
        self
    }

    pub(super) fn number(mut self, attribute: &str, value: i32) -> Self {
        self.put(attribute, IppValue::Integer(value));
        self
    }

    /// A job template attribute that is a keyword.
    pub(super) fn template_keyword(mut self, attribute: &str, value: &str) -> Self {
        if let Ok(value) = IppValue::new_keyword(value) {
            self.put_in(DelimiterTag::JobAttributes, attribute, value);
        }
        self
    }

    /// A job template attribute that is a number.
    pub(super) fn template_number(mut self, attribute: &str, value: i32) -> Self {
        self.put_in(
            DelimiterTag::JobAttributes,
            attribute,
            IppValue::Integer(value),
        );
        self
    }

    fn put_text<E>(
        &mut self,
        attribute: &str,
        text: &str,
        make: impl Fn(String) -> Result<IppValue, E>,
    ) {
        // Too long for its syntax: left out. Every text of ours is bounded well below.
        if let Ok(value) = make(text.to_owned()) {
            self.put(attribute, value);
        }
    }

    fn put(&mut self, attribute: &str, value: IppValue) {
        self.put_in(DelimiterTag::OperationAttributes, attribute, value);
    }

    fn put_in(&mut self, group: DelimiterTag, attribute: &str, value: IppValue) {
        if let Ok(attribute) = IppAttribute::with_name(attribute, value) {
            self.attributes.add(group, attribute);
        }
    }

    /// The bytes, without a document.
    pub(super) fn encode(&self) -> Bytes {
        self.encode_with(&[])
    }

    /// The bytes, followed by a document.
    pub(super) fn encode_with(&self, document: &[u8]) -> Bytes {
        let header = IppHeader::new(IppVersion(0x0200), self.operation as i16, 1).to_bytes();
        let attributes = self.attributes.to_bytes();
        let mut bytes = BytesMut::with_capacity(header.len() + attributes.len() + document.len());
        bytes.extend_from_slice(&header);
        bytes.extend_from_slice(&attributes);
        bytes.extend_from_slice(document);
        bytes.freeze()
    }
}

/// An IPP `status-code` (RFC 8011, appendix B).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct StatusCode(pub(super) u16);

impl StatusCode {
    pub(super) const SUBSTITUTED: Self = Self(0x0001);
    /// The printer does not speak this version of IPP.
    pub(super) const VERSION: Self = Self(0x0503);
    /// The printer is switched off for jobs.
    pub(super) const DEACTIVATED: Self = Self(0x050A);

    pub(super) fn is_success(self) -> bool {
        self.0 < 0x0100
    }

    /// The printer will take the same request later.
    pub(super) fn is_busy(self) -> bool {
        matches!(self.0, 0x0502 | 0x0505 | 0x0506 | 0x0507 | 0x050B)
    }

    /// The printer wants to know who asks, or does not allow it (forbidden, not authenticated,
    /// not authorised).
    pub(super) fn is_denied(self) -> bool {
        matches!(self.0, 0x0401..=0x0403)
    }

    /// The printer says that it cannot print this document, and why.
    pub(super) fn document_trouble(self) -> Option<&'static str> {
        match self.0 {
            0x040A => Some("unsupported-document-format"),
            0x040F => Some("unsupported-compression"),
            0x0410 => Some("compression-error"),
            0x0411 => Some("document-format-error"),
            0x0412 => Some("document-access-error"),
            0x0418 => Some("document-password-error"),
            0x0419 => Some("document-permission-error"),
            0x041A => Some("document-security-error"),
            0x041B => Some("document-unprintable-error"),
            _ => None,
        }
    }

    /// The printer does not do what was asked, and would not later.
    pub(super) fn is_unsupported(self) -> bool {
        matches!(
            self.0,
            0x040A | 0x040B | 0x040E | 0x040F | 0x0501 | 0x0503 | 0x0509
        )
    }

    /// The printer does not know what was asked for.
    pub(super) fn is_gone(self) -> bool {
        matches!(self.0, 0x0406 | 0x0407)
    }
}

/// What a printer answered.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: StatusCode,
    attributes: IppAttributes,
}

impl Answer {
    /// Reads an answer, whatever the bytes are.
    pub(super) fn read(bytes: Bytes) -> Result<Self, Unreadable> {
        let attributes = bytes
            .get(8..)
            .ok_or_else(|| Unreadable("too short".to_owned()))?;
        check_shape(attributes)?;
        let parser = IppParser::new(ipp::reader::IppReader::new(Cursor::new(bytes)));
        let (header, attributes, _) = parser
            .parse_parts()
            .map_err(|e| Unreadable(e.to_string()))?;
        Ok(Self {
            status: StatusCode(header.operation_or_status.cast_unsigned()),
            attributes,
        })
    }

    /// The printer's attributes.
    pub(super) fn printer(&self) -> Option<Attributes<'_>> {
        self.groups(DelimiterTag::PrinterAttributes).next()
    }

    /// The attributes of each job.
    pub(super) fn jobs(&self) -> impl Iterator<Item = Attributes<'_>> {
        self.groups(DelimiterTag::JobAttributes)
    }

    /// Names of the attributes that the printer ignored or changed.
    pub(super) fn unsupported(&self) -> Vec<String> {
        let groups = self
            .attributes
            .groups_of(DelimiterTag::UnsupportedAttributes);
        groups
            .flat_map(IppAttributeGroup::attributes)
            .map(|attribute| attribute.name().to_string())
            .collect()
    }

    fn groups(&self, tag: DelimiterTag) -> impl Iterator<Item = Attributes<'_>> {
        self.attributes.groups_of(tag).map(Attributes)
    }
}

/// Walks over the attributes for what the parser takes on trust: how deep collections nest (RFC
/// 8010, 3.1.6), and that a text with its language holds both (3.9); `ipp` 8.0.0 would panic.
fn check_shape(mut bytes: &[u8]) -> Result<(), Unreadable> {
    const BEGIN: u8 = 0x34;
    const TEXT_WITH_LANGUAGE: u8 = 0x35;
    const NAME_WITH_LANGUAGE: u8 = 0x36;
    const END: u8 = 0x37;
    const FIRST_VALUE: u8 = 0x10;
    let mut depth = 0_usize;
    while let Some((&tag, rest)) = bytes.split_first() {
        bytes = rest;
        match tag {
            BEGIN => depth += 1,
            END => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth > DEEPEST {
            return Err(Unreadable("collections nest too deep".to_owned()));
        }
        if tag == 0x03 {
            break;
        }
        if tag >= FIRST_VALUE {
            let (Some(_name), Some(mut value)) = (counted(&mut bytes), counted(&mut bytes)) else {
                // Cut off: the parser says so.
                return Ok(());
            };
            let with_language = matches!(tag, TEXT_WITH_LANGUAGE | NAME_WITH_LANGUAGE);
            let mut both = || counted(&mut value).and_then(|_| counted(&mut value));
            if with_language && both().is_none() {
                let why = "a text with its language is shorter than it says";
                return Err(Unreadable(why.to_owned()));
            }
        }
    }
    Ok(())
}

/// Takes bytes with their two-byte length before them.
fn counted<'a>(bytes: &mut &'a [u8]) -> Option<&'a [u8]> {
    let (length, rest) = bytes.split_first_chunk()?;
    let (counted, rest) = rest.split_at_checked(u16::from_be_bytes(*length).into())?;
    *bytes = rest;
    Some(counted)
}

/// One group of attributes. What is missing or of another syntax is `None`: printers leave out
/// what they must not, and one attribute less is no reason not to print.
#[derive(Clone, Copy)]
pub(super) struct Attributes<'a>(&'a IppAttributeGroup);

impl<'a> Attributes<'a> {
    fn values(self, name: &str) -> impl Iterator<Item = &'a IppValue> {
        let value = self.0.get(name).map(IppAttribute::value);
        let (one, many) = match value {
            Some(IppValue::Array(values)) => (None, values.as_slice()),
            one => (one, [].as_slice()),
        };
        one.into_iter().chain(many)
    }

    pub(super) fn int(self, name: &str) -> Option<i32> {
        self.values(name).find_map(|value| match value {
            IppValue::Integer(number) | IppValue::Enum(number) => Some(*number),
            _ => None,
        })
    }

    /// A count; negative ones mean that the printer does not know.
    pub(super) fn count(self, name: &str) -> Option<u32> {
        self.int(name).and_then(|number| u32::try_from(number).ok())
    }

    pub(super) fn ints(self, name: &str) -> Vec<i32> {
        let ints = self.values(name).filter_map(|value| match value {
            IppValue::Integer(number) | IppValue::Enum(number) => Some(*number),
            _ => None,
        });
        ints.collect()
    }

    /// The upper end of a range, or a single number.
    pub(super) fn highest(self, name: &str) -> Option<u32> {
        let highest = self.values(name).filter_map(|value| match value {
            IppValue::Integer(number) => Some(*number),
            IppValue::RangeOfInteger { max, .. } => Some(*max),
            _ => None,
        });
        highest.max().and_then(|number| u32::try_from(number).ok())
    }

    pub(super) fn flag(self, name: &str) -> Option<bool> {
        self.values(name).find_map(|value| match value {
            IppValue::Boolean(flag) => Some(*flag),
            _ => None,
        })
    }

    /// Whether the printer says that there is no such value yet.
    pub(super) fn has_no_value(self, name: &str) -> bool {
        self.values(name)
            .any(|value| matches!(value, IppValue::NoValue))
    }

    pub(super) fn text(self, name: &str) -> Option<String> {
        self.texts(name).into_iter().find(|text| !text.is_empty())
    }

    /// Octet strings that hold ASCII.
    pub(super) fn octets(self, name: &str) -> Vec<String> {
        let octets = self.values(name).filter_map(|value| match value {
            IppValue::OctetString(bytes) => Some(String::from_utf8_lossy(bytes).into_owned()),
            _ => None,
        });
        octets.collect()
    }

    pub(super) fn texts(self, name: &str) -> Vec<String> {
        let texts = self.values(name).filter_map(|value| match value {
            IppValue::TextWithLanguage { text, .. } => Some(text.to_string()),
            IppValue::NameWithLanguage { name, .. } => Some(name.to_string()),
            IppValue::TextWithoutLanguage(_)
            | IppValue::NameWithoutLanguage(_)
            | IppValue::Uri(_)
            | IppValue::Keyword(_)
            | IppValue::MimeMediaType(_) => Some(value.to_string()),
            _ => None,
        });
        texts.collect()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A Get-Jobs answer with one job, by hand.
    const ANSWER: &str = "0200 0000 00000001 01 47 0012 617474726962757465732d63686172736574 0005 7574662d38 \
        02 21 0006 6a6f622d6964 0004 00000007 \
        42 0008 6a6f622d6e616d65 0003 612f62 \
        23 0009 6a6f622d7374617465 0004 00000005 \
        44 0011 6a6f622d73746174652d726561736f6e73 0001 61 44 0000 0001 62 \
        13 0012 74696d652d61742d70726f63657373696e67 0000 03";

    fn hex(text: &str) -> Bytes {
        let digits: Vec<u8> = text.bytes().filter(u8::is_ascii_hexdigit).collect();
        let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16);
        digits.chunks(2).map(|pair| byte(pair).unwrap()).collect()
    }

    #[test]
    fn an_answer_is_read_by_its_attributes() {
        let answer = Answer::read(hex(ANSWER)).unwrap();
        assert!(answer.status.is_success());
        let job = answer.jobs().next().unwrap();
        assert_eq!(job.int("job-id"), Some(7));
        assert_eq!(job.text("job-name").as_deref(), Some("a/b"));
        assert_eq!(job.texts("job-state-reasons"), ["a", "b"]);
        assert!(job.has_no_value("time-at-processing"));
        assert!(!job.has_no_value("job-id"));
        assert_eq!(job.int("job-impressions"), None);
    }

    #[test]
    fn a_question_begins_with_charset_language_and_target() {
        let bytes = Question::of_job(Operation::SendDocument, "ipp://h/p", 9, "koffer")
            .flag("last-document", true)
            .encode_with(b"%PDF");
        let text = String::from_utf8_lossy(&bytes);
        let places = [
            "charset",
            "natural",
            "printer-uri",
            "job-id",
            "requesting",
            "last-doc",
        ]
        .map(|name| text.find(name).unwrap());
        assert!(places.is_sorted(), "{places:?}");
        assert_eq!(bytes.get(..8), Some(&[2, 0, 0, 6, 0, 0, 0, 1][..]));
        assert!(bytes.ends_with(b"\x03%PDF"));
    }

    #[test]
    fn an_answer_cut_anywhere_is_refused() {
        let whole = hex(ANSWER);
        for end in 0..whole.len() {
            assert!(Answer::read(whole.slice(..end)).is_err(), "{end}");
        }
    }

    #[test]
    fn a_bottomless_collection_is_refused() {
        let mut bytes = vec![2, 0, 0, 0, 0, 0, 0, 1, 4];
        bytes.extend(b"\x34\0\x01a\0\0".iter());
        for _ in 0..100_000 {
            bytes.extend(b"\x4a\0\0\0\x01a\x34\0\0\0\0".iter());
        }
        assert!(Answer::read(bytes.into()).is_err());
    }

    #[test]
    fn an_answer_with_any_byte_changed_is_read_or_refused() {
        let whole = hex(ANSWER);
        for at in 0..whole.len() {
            for byte in 0..=u8::MAX {
                let mut bytes = whole.to_vec();
                bytes[at] = byte;
                let _ = Answer::read(bytes.into());
            }
        }
    }

    proptest! {
        #[test]
        fn any_text_with_its_language_is_read_or_refused(
            tag in 0x35_u8..=0x36, value in proptest::collection::vec(0_u8..8, 0..12),
        ) {
            let mut bytes = vec![2, 0, 0, 0, 0, 0, 0, 1, 4, tag, 0, 1, b'a', 0];
            bytes.push(u8::try_from(value.len()).unwrap());
            bytes.extend(value);
            bytes.push(3);
            let _ = Answer::read(bytes.into());
        }

        #[test]
        fn any_bytes_are_read_or_refused(tail in proptest::collection::vec(any::<u8>(), 0..400)) {
            let _ = Answer::read(tail.clone().into());
            let mut framed = vec![2, 0, 0, 0, 0, 0, 0, 1, 4];
            framed.extend(tail);
            let _ = Answer::read(framed.into());
        }
    }
}

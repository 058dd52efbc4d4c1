//! IPP as bytes (RFC 8010), as much as a printer needs of it.

/// The operations that the printer knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "RFC 8011, 5.4.15")]
pub enum Operation {
    CreateJob,
    SendDocument,
    CancelJob,
    GetJobAttributes,
    GetJobs,
    GetPrinterAttributes,
}

impl Operation {
    /// All of them, with their codes.
    pub const ALL: [(Self, u16); 6] = [
        (Self::CreateJob, 0x05),
        (Self::SendDocument, 0x06),
        (Self::CancelJob, 0x08),
        (Self::GetJobAttributes, 0x09),
        (Self::GetJobs, 0x0A),
        (Self::GetPrinterAttributes, 0x0B),
    ];

    fn of(code: u16) -> Option<Self> {
        let known = Self::ALL.into_iter().find(|(_, known)| *known == code);
        known.map(|(operation, _)| operation)
    }
}

/// A value of an attribute.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "RFC 8010, 3.5.2")]
pub enum Value {
    Integer(i32),
    Enum(i32),
    Boolean(bool),
    Range(i32, i32),
    NoValue,
    Text(String),
    Name(String),
    Keyword(String),
    Uri(String),
    Mime(String),
    /// Any other syntax, as its bytes.
    Other(u8, Vec<u8>),
}

/// A named attribute.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attribute {
    /// Its name.
    pub name: String,
    /// Its values.
    pub values: Vec<Value>,
}

impl Attribute {
    /// An attribute with these values.
    pub fn new(name: &str, values: impl IntoIterator<Item = Value>) -> Self {
        Self {
            name: name.to_owned(),
            values: values.into_iter().collect(),
        }
    }

    /// An attribute of keywords.
    pub fn keywords(name: &str, keywords: &[&str]) -> Self {
        let keywords = keywords.iter().map(|k| Value::Keyword((*k).to_owned()));
        Self::new(name, keywords)
    }
}

/// What was asked.
#[derive(Debug, Clone)]
pub struct Request {
    /// The version of IPP.
    pub version: u16,
    /// What to do.
    pub operation: Operation,
    id: [u8; 4],
    attributes: Vec<Attribute>,
    /// What follows the attributes.
    pub document: Vec<u8>,
}

impl Request {
    /// Reads a request; `None` where it is none.
    pub(super) fn read(bytes: &[u8]) -> Option<Self> {
        let (head, mut rest) = bytes.split_first_chunk::<8>()?;
        let [v0, v1, o0, o1, id @ ..] = *head;
        let mut attributes: Vec<Attribute> = Vec::new();
        loop {
            let (&tag, after) = rest.split_first()?;
            rest = after;
            match tag {
                0x03 => break,
                0x00..=0x0F => continue,
                _ => {}
            }
            let name = String::from_utf8_lossy(counted(&mut rest)?).into_owned();
            let value = value(tag, counted(&mut rest)?);
            match attributes.last_mut() {
                Some(last) if name.is_empty() => last.values.push(value),
                _ => attributes.push(Attribute::new(&name, [value])),
            }
        }
        Some(Self {
            version: u16::from_be_bytes([v0, v1]),
            operation: Operation::of(u16::from_be_bytes([o0, o1]))?,
            id,
            attributes,
            document: rest.to_vec(),
        })
    }

    /// The first value of an attribute.
    pub fn value(&self, name: &str) -> Option<&Value> {
        let found = self.attributes.iter().find(|a| a.name == name);
        found.and_then(|attribute| attribute.values.first())
    }

    /// A text, name or keyword.
    pub fn text(&self, name: &str) -> Option<&str> {
        match self.value(name)? {
            Value::Text(text) | Value::Name(text) | Value::Keyword(text) => Some(text),
            _ => None,
        }
    }

    /// An integer.
    pub fn integer(&self, name: &str) -> Option<i32> {
        match self.value(name)? {
            Value::Integer(number) => Some(*number),
            _ => None,
        }
    }

    /// The answer to it: status, then groups of attributes with their tags.
    pub(super) fn answer(
        &self,
        version: u16,
        status: u16,
        groups: &[(u8, Vec<Attribute>)],
    ) -> Vec<u8> {
        let mut bytes = Vec::new();
        bytes.extend(version.to_be_bytes());
        bytes.extend(status.to_be_bytes());
        bytes.extend(self.id);
        bytes.push(0x01);
        put(&mut bytes, "attributes-charset", 0x47, b"utf-8");
        put(&mut bytes, "attributes-natural-language", 0x48, b"en");
        for (tag, attributes) in groups {
            bytes.push(*tag);
            for attribute in attributes {
                let mut name = attribute.name.as_str();
                for value in &attribute.values {
                    let (tag, value) = encode(value);
                    put(&mut bytes, name, tag, &value);
                    name = "";
                }
            }
        }
        bytes.push(0x03);
        bytes
    }
}

fn counted<'a>(bytes: &mut &'a [u8]) -> Option<&'a [u8]> {
    let (length, rest) = bytes.split_first_chunk()?;
    let (counted, rest) = rest.split_at_checked(u16::from_be_bytes(*length).into())?;
    *bytes = rest;
    Some(counted)
}

fn put(bytes: &mut Vec<u8>, name: &str, tag: u8, value: &[u8]) {
    let length = |length: usize| u16::try_from(length).unwrap_or(u16::MAX).to_be_bytes();
    bytes.push(tag);
    bytes.extend(length(name.len()));
    bytes.extend(name.as_bytes());
    bytes.extend(length(value.len()));
    bytes.extend(value);
}

fn value(tag: u8, bytes: &[u8]) -> Value {
    let text = || String::from_utf8_lossy(bytes).into_owned();
    let number = bytes.first_chunk().map(|four| i32::from_be_bytes(*four));
    match (tag, number) {
        (0x21, Some(number)) => Value::Integer(number),
        (0x23, Some(number)) => Value::Enum(number),
        (0x22, _) => Value::Boolean(bytes == [1]),
        (0x41, _) => Value::Text(text()),
        (0x42, _) => Value::Name(text()),
        (0x44, _) => Value::Keyword(text()),
        (0x45, _) => Value::Uri(text()),
        (0x49, _) => Value::Mime(text()),
        _ => Value::Other(tag, bytes.to_vec()),
    }
}

fn encode(value: &Value) -> (u8, Vec<u8>) {
    let text = |text: &String| text.as_bytes().to_vec();
    match value {
        Value::Integer(number) => (0x21, number.to_be_bytes().to_vec()),
        Value::Enum(number) => (0x23, number.to_be_bytes().to_vec()),
        Value::Boolean(flag) => (0x22, vec![u8::from(*flag)]),
        Value::Range(low, high) => (0x33, [low.to_be_bytes(), high.to_be_bytes()].concat()),
        Value::NoValue => (0x13, Vec::new()),
        Value::Text(value) => (0x41, text(value)),
        Value::Name(value) => (0x42, text(value)),
        Value::Keyword(value) => (0x44, text(value)),
        Value::Uri(value) => (0x45, text(value)),
        Value::Mime(value) => (0x49, text(value)),
        Value::Other(tag, bytes) => (*tag, bytes.clone()),
    }
}

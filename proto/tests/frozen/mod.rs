//! Reads `wire_v1.txt`: the messages of version 1 as they stand on the wire, for ever.

/// The file.
pub(crate) const TEXT: &str = include_str!("../wire_v1.txt");

/// One frozen message.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Entry<'a> {
    /// `<class>.<operation>.params|result` or `envelope.<kind>`, and `.<variant>` where there
    /// are several.
    pub(crate) name: &'a str,
    /// The payload in JSON.
    pub(crate) json: &'a str,
    /// The payload in CBOR, in hexadecimal; `None` while the entry is new.
    pub(crate) hex: Option<&'a str>,
}

/// Every frozen message. Entries are paragraphs of two or three lines: name, JSON, CBOR.
pub(crate) fn entries() -> impl Iterator<Item = Entry<'static>> {
    TEXT.split("\n\n").filter_map(|paragraph| {
        let mut lines = paragraph.lines().filter(|line| !line.starts_with('#'));
        Some(Entry {
            name: lines.next()?,
            json: lines.next()?,
            hex: lines.next(),
        })
    })
}

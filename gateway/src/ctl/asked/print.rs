//! The call of `kofferctl print`.

use koffer_proto::Blob;
use koffer_proto::class::document_printer::{Document, DocumentFormat, PrintParams};

use super::{Content, bytes};
use crate::ctl::args::Print;
use crate::ctl::texts;
use crate::ctl::trouble::Trouble;

/// Within so many bytes a PDF says that it is one; some programs write something before it.
const PDF_HEAD: usize = 1024;

pub(super) fn print(print: Print) -> Result<Content, Trouble> {
    let content = bytes(&print.file)?;
    let format = format(&content)
        .ok_or_else(|| Trouble::Usage(texts::no_document(&print.file.display())))?;
    let content = Blob::from(content);
    let params = PrintParams {
        document: Document {
            format,
            sha256: content.sha256(),
            content,
        },
        copies: print.copies,
        sides: print.sides.into(),
        media: print.media,
        colour: match (print.colour, print.grey) {
            (true, _) => Some(true),
            (_, true) => Some(false),
            _ => None,
        },
    };
    Content::cbor(print.device, "print", &params)
}

/// What a document is, by its first bytes: names lie.
fn format(content: &[u8]) -> Option<DocumentFormat> {
    let head = content.get(..PDF_HEAD).unwrap_or(content);
    if content.starts_with(b"\xff\xd8\xff") {
        Some(DocumentFormat::Jpeg)
    } else if content.starts_with(b"RaS2") {
        // PWG 5102.4, 4.2: the synchronization word.
        Some(DocumentFormat::PwgRaster)
    } else if head.windows(5).any(|five| five == b"%PDF-") {
        Some(DocumentFormat::Pdf)
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_document_is_what_it_begins_with() {
        let long = [&[b' '; 1100][..], b"%PDF-1.7"].concat();
        for (content, expected) in [
            (&b"%PDF-1.7\n"[..], Some(DocumentFormat::Pdf)),
            (b"\r\n\r\n%PDF-1.4", Some(DocumentFormat::Pdf)),
            (b"\xff\xd8\xff\xe0\0\x10JFIF", Some(DocumentFormat::Jpeg)),
            (b"RaS2PwgRaster\0", Some(DocumentFormat::PwgRaster)),
            (b"RaS3", None),
            (b"PK\x03\x04", None),
            (b"", None),
            (&long, None),
        ] {
            assert_eq!(format(content), expected, "{content:?}");
        }
    }
}

//! What a printer can, and whether it can what is asked.

use koffer_proto::{
    PrinterCapabilities, Text,
    class::document_printer::{Copies, Media, PrintParams, Sides},
};

use super::snapshot::Printer;

/// Something that this printer does not do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Unsupported {
    /// The field of the call.
    pub(super) field: &'static str,
    /// What to do.
    pub(super) text: Text,
}

/// What goes into the printer's description.
pub(super) fn capabilities(printer: &Printer) -> PrinterCapabilities {
    PrinterCapabilities {
        formats: printer.formats.clone(),
        media: printer.media.clone(),
        media_ready: printer.media_ready.clone(),
        sides: if printer.sides.is_empty() {
            vec![Sides::OneSided.as_str().to_owned()]
        } else {
            printer.sides.clone()
        },
        copies_max: printer.copies_max.unwrap_or(1).max(1),
        colour: printer.colour,
    }
}

/// Checks a call against what the printer says it can; the first that does not fit.
pub(super) fn check(printer: &Printer, params: &PrintParams) -> Result<(), Unsupported> {
    let can = capabilities(printer);
    let listed = |list: &[String], value: &str| list.iter().any(|entry| entry == value);
    let format = params.document.format.as_str();
    if !listed(&can.formats, format) {
        return Err(refusal(
            "document.format",
            format!(
                "Dieser Drucker druckt kein {format}. Er kann: {}.",
                can.formats.join(", ")
            ),
            format!(
                "This printer does not print {format}. It takes: {}.",
                can.formats.join(", ")
            ),
        ));
    }
    if !listed(&can.sides, params.sides.as_str()) {
        return Err(refusal(
            "sides",
            format!(
                "Dieser Drucker druckt nicht beidseitig ({}).",
                params.sides.as_str()
            ),
            format!(
                "This printer does not print on both sides ({}).",
                params.sides.as_str()
            ),
        ));
    }
    let copies = copies(params);
    if u32::from(copies) > can.copies_max {
        return Err(refusal(
            "copies",
            format!(
                "Dieser Drucker druckt höchstens {} Exemplare auf einmal, nicht {copies}.",
                can.copies_max
            ),
            format!(
                "This printer prints at most {} copies at once, not {copies}.",
                can.copies_max
            ),
        ));
    }
    if let Some(media) = params.media.as_ref().map(Media::as_str)
        && !listed(&can.media, media)
    {
        return Err(refusal(
            "media",
            format!("Dieser Drucker hat kein Papier {media}."),
            format!("This printer has no paper {media}."),
        ));
    }
    if params.colour == Some(true) && !can.colour {
        return Err(refusal(
            "colour",
            "Dieser Drucker druckt nicht in Farbe.",
            "This printer does not print in colour.",
        ));
    }
    Ok(())
}

/// Whether `sides` may be sent: only where the printer names it. A printer without the attribute
/// prints on one side.
pub(super) fn names_sides(printer: &Printer, sides: Sides) -> bool {
    printer.sides.iter().any(|named| named == sides.as_str())
}

/// `copies` for a call, where it asks for them and the printer names them.
pub(super) fn copies_to_send(printer: &Printer, params: &PrintParams) -> Option<u16> {
    printer.copies_max?;
    params.copies.map(Copies::get)
}

/// How many copies are asked for.
pub(super) fn copies(params: &PrintParams) -> u16 {
    params.copies.map_or(1, Copies::get)
}

/// `print-color-mode` for a call, where it asks for one and the printer tells them apart.
pub(super) fn colour_mode(printer: &Printer, params: &PrintParams) -> Option<&'static str> {
    let mode = if params.colour? {
        "color"
    } else {
        "monochrome"
    };
    let known = printer.colour_modes.iter().any(|known| known == mode);
    known.then_some(mode)
}

fn refusal(field: &'static str, de: impl Into<String>, en: impl Into<String>) -> Unsupported {
    Unsupported {
        field,
        text: Text::new(de, en),
    }
}

#[cfg(test)]
mod tests {
    use koffer_proto::{
        Blob, Identity,
        class::document_printer::{Document, DocumentFormat, PrinterState},
    };

    use super::*;
    use crate::printer::ipp::snapshot::Mood;

    fn printer() -> Printer {
        let list = |texts: &[&str]| texts.iter().map(|t| (*t).to_owned()).collect::<Vec<_>>();
        Printer {
            identity: Identity::default(),
            uuid: None,
            mood: Mood {
                state: PrinterState::Idle,
                accepting: true,
                reasons: vec![],
                trays_empty: false,
                up: None,
            },
            formats: list(&["application/pdf"]),
            media: list(&["iso_a4_210x297mm"]),
            media_ready: vec![],
            sides: list(&["one-sided"]),
            copies_max: Some(5),
            colour: false,
            colour_modes: list(&["monochrome"]),
            operations: vec![],
            supplies: vec![],
            is_queue: false,
        }
    }

    fn params() -> PrintParams {
        let content = Blob::from(b"%PDF".to_vec());
        PrintParams {
            document: Document {
                format: DocumentFormat::Pdf,
                sha256: content.sha256(),
                content,
            },
            copies: None,
            sides: Sides::OneSided,
            media: None,
            colour: None,
        }
    }

    #[test]
    fn what_the_printer_cannot_is_refused_by_its_field() {
        let changed = |change: fn(&mut PrintParams)| {
            let mut params = params();
            change(&mut params);
            check(&printer(), &params).map_err(|refusal| refusal.field)
        };
        assert_eq!(changed(|_| {}), Ok(()));
        assert_eq!(
            changed(|p| p.document.format = DocumentFormat::Jpeg),
            Err("document.format")
        );
        assert_eq!(changed(|p| p.sides = Sides::TwoSidedLongEdge), Err("sides"));
        assert_eq!(
            changed(|p| p.copies = Some(Copies::try_from(6).unwrap())),
            Err("copies")
        );
        assert_eq!(
            changed(|p| p.media = Some("iso_a3_297x420mm".to_owned().try_into().unwrap())),
            Err("media")
        );
        assert_eq!(
            changed(|p| p.media = Some("iso_a4_210x297mm".to_owned().try_into().unwrap())),
            Ok(())
        );
        assert_eq!(changed(|p| p.colour = Some(true)), Err("colour"));
        assert_eq!(changed(|p| p.colour = Some(false)), Ok(()));
    }

    #[test]
    fn nothing_is_sent_that_the_printer_does_not_name() {
        let one_copy = PrintParams {
            copies: Some(Copies::MIN),
            ..params()
        };
        assert!(names_sides(&printer(), Sides::OneSided));
        assert!(!names_sides(&printer(), Sides::TwoSidedLongEdge));
        assert_eq!(copies_to_send(&printer(), &one_copy), Some(1));
        assert_eq!(copies_to_send(&printer(), &params()), None);
        let bare = Printer {
            sides: vec![],
            copies_max: None,
            ..printer()
        };
        assert_eq!(check(&bare, &one_copy), Ok(()));
        assert!(!names_sides(&bare, Sides::OneSided));
        assert_eq!(copies_to_send(&bare, &one_copy), None);
    }

    #[test]
    fn a_colour_mode_is_sent_only_where_the_printer_knows_it() {
        let mut params = params();
        assert_eq!(colour_mode(&printer(), &params), None);
        params.colour = Some(false);
        assert_eq!(colour_mode(&printer(), &params), Some("monochrome"));
        params.colour = Some(true);
        assert_eq!(colour_mode(&printer(), &params), None);
    }
}

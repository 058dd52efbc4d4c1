//! Writes the form that the demo prints: `cargo run -p koffer-fixtures --example form`. Two pages
//! of plain PDF (ISO 32000-1) with the fonts that every reader has; a test holds that
//! `hw-fixtures/documents/anschrift.pdf` is what this writes.

use std::fmt::Write;
use std::path::PathBuf;

/// What there is to fill in, and how it is filled in. The name is that of the specimen of a German
/// identity card.
const FIELDS: [(&str, &str); 8] = [
    ("Familienname", "Mustermann"),
    ("Vornamen", "Erika"),
    ("Geburtsdatum", "12.08.1964"),
    ("Ausweisnummer", "T22000129"),
    ("Bisherige Anschrift", "Heidestraße 17, 51147 Köln"),
    ("Neue Anschrift", "Marktplatz 1, 01234 Beispielstadt"),
    ("Einzugsdatum", "01.03.2026"),
    ("Aktenzeichen", "PA-2026-00417"),
];

const NOTES: [&str; 7] = [
    "Die Anschrift wird im Melderegister und im Chip des Ausweises geändert. Auf dem",
    "Ausweis selbst bringt das Mobile Bürgerbüro einen Aufkleber an.",
    "",
    "Rechtsgrundlage: § 17 Bundesmeldegesetz.",
    "",
    "Sie können jederzeit Auskunft darüber verlangen, was über Sie gespeichert ist",
    "(Artikel 15 Datenschutz-Grundverordnung).",
];

fn main() -> std::io::Result<()> {
    std::fs::write(path(), form())
}

fn path() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("documents/anschrift.pdf")
}

/// The whole file.
fn form() -> Vec<u8> {
    let pages = [application(), notes()];
    let mut objects = vec![
        "<< /Type /Catalog /Pages 2 0 R /Lang (de-DE) >>".to_owned(),
        "<< /Type /Pages /Kids [6 0 R 8 0 R] /Count 2 >>".to_owned(),
        font("Helvetica"),
        font("Helvetica-Bold"),
        "<< /Title (Änderung der Anschrift) /Creator (koffer) >>".to_owned(),
    ];
    for content in pages {
        let stream = objects.len() + 2;
        objects.push(format!(
            "<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] \
             /Resources << /Font << /F1 3 0 R /F2 4 0 R >> >> /Contents {stream} 0 R >>"
        ));
        // Every character is one byte in the file.
        let length = content.chars().count();
        objects.push(format!(
            "<< /Length {length} >>\nstream\n{content}\nendstream"
        ));
    }
    file(&objects)
}

fn font(name: &str) -> String {
    format!("<< /Type /Font /Subtype /Type1 /BaseFont /{name} /Encoding /WinAnsiEncoding >>")
}

/// Objects, their table and its end (ISO 32000-1, 7.5).
fn file(objects: &[String]) -> Vec<u8> {
    let mut text = "%PDF-1.4\n%âãÏÓ\n".to_owned();
    let mut table = "0000000000 65535 f \n".to_owned();
    for (number, object) in (1..).zip(objects) {
        let at = text.chars().count();
        writeln!(table, "{at:010} 00000 n ").ok();
        writeln!(text, "{number} 0 obj\n{object}\nendobj").ok();
    }
    let (at, size) = (text.chars().count(), objects.len() + 1);
    write!(
        text,
        "xref\n0 {size}\n{table}trailer\n<< /Size {size} /Root 1 0 R /Info 5 0 R >>\n\
         startxref\n{at}\n%%EOF\n"
    )
    .ok();
    latin(&text)
}

/// One byte a character: WinAnsi is Latin-1 for all that is written here.
fn latin(text: &str) -> Vec<u8> {
    let byte = |c: char| u8::try_from(u32::from(c)).unwrap_or(b'?');
    text.chars().map(byte).collect()
}

fn application() -> String {
    let mut page = head();
    page += &words(60, 700, 16, "F2", "Änderung der Anschrift");
    page += &words(60, 680, 10, "F1", "Antrag an die Meldebehörde");
    let mut y = 636;
    for (name, value) in FIELDS {
        page += &words(60, y + 20, 8, "F1", name);
        writeln!(page, "0.6 G 0.5 w 60 {} 475 22 re S 0 G", y - 6).ok();
        page += &words(68, y + 1, 11, "F2", value);
        y -= 44;
    }
    page += &words(
        60,
        250,
        10,
        "F1",
        "Ich versichere, dass meine Angaben stimmen.",
    );
    page += "0.6 G 0.5 w 60 180 m 260 180 l 335 180 m 535 180 l S 0 G\n";
    page += &words(60, 168, 8, "F1", "Ort, Datum");
    page += &words(335, 168, 8, "F1", "Unterschrift");
    page + &foot(1)
}

fn notes() -> String {
    let mut page = head();
    page += &words(60, 700, 16, "F2", "Hinweise zu Ihrem Antrag");
    for (line, text) in (0..).zip(NOTES) {
        page += &words(60, 664 - 16 * line, 11, "F1", text);
    }
    page + &foot(2)
}

fn head() -> String {
    let mut page = "0.09 0.27 0.48 rg 0 772 595 70 re f 1 g\n".to_owned();
    page += &words(60, 810, 16, "F2", "Beispielstadt");
    page += &words(60, 790, 10, "F1", "Bürgeramt · Mobiles Bürgerbüro");
    page += "0 g\n";
    page
}

fn foot(number: u8) -> String {
    words(
        60,
        50,
        8,
        "F1",
        &format!("Vordruck MB-17 · Seite {number} von 2"),
    )
}

/// A line of text (ISO 32000-1, 9.4).
fn words(x: i32, y: i32, size: u8, font: &str, text: &str) -> String {
    let escaped = text.replace('(', "\\(").replace(')', "\\)");
    format!("BT /{font} {size} Tf {x} {y} Td ({escaped}) Tj ET\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_that_is_kept_is_the_one_that_this_writes() {
        let remedy = "cargo run -p koffer-fixtures --example form";
        assert!(std::fs::read(path()).unwrap() == form(), "{remedy}");
    }

    #[test]
    fn every_object_is_where_the_table_says() {
        let form = form();
        let text: String = form.iter().copied().map(char::from).collect();
        let table = text.split("xref\n").nth(1).unwrap();
        let places: Vec<usize> = table
            .lines()
            .filter_map(|line| line.strip_suffix(" 00000 n "))
            .map(|place| place.parse().unwrap())
            .collect();
        assert_eq!(places.len(), 9);
        for (number, place) in (1..).zip(places) {
            let expected = format!("{number} 0 obj\n");
            assert!(form[place..].starts_with(expected.as_bytes()), "{number}");
        }
        for stream in text.split("/Length ").skip(1) {
            let (length, rest) = stream.split_once(" >>\nstream\n").unwrap();
            let end = rest.find("\nendstream").unwrap();
            let content: usize = rest[..end].chars().count();
            assert_eq!(length.parse(), Ok(content));
        }
    }
}

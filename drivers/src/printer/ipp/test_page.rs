//! The page that an interactive self-test prints: one A4 page of PDF, made here.

use std::fmt::Write as _;

/// A page with these lines; characters outside ASCII become `?`.
pub(super) fn pdf(lines: &[String]) -> Vec<u8> {
    let mut content = String::from("BT /F1 14 Tf 20 TL 72 760 Td\n");
    for line in lines {
        let mut shown = String::new();
        for letter in line.chars() {
            match letter {
                '(' | ')' | '\\' => shown.extend(['\\', letter]),
                ' '..='~' => shown.push(letter),
                _ => shown.push('?'),
            }
        }
        // Writing to a String cannot fail.
        let _ = writeln!(content, "({shown}) Tj T*");
    }
    content.push_str("ET\n36 36 523 770 re S");
    let objects = [
        "<< /Type /Catalog /Pages 2 0 R >>".to_owned(),
        "<< /Type /Pages /Kids [3 0 R] /Count 1 >>".to_owned(),
        "<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] /Contents 4 0 R \
         /Resources << /Font << /F1 5 0 R >> >> >>"
            .to_owned(),
        format!(
            "<< /Length {} >>\nstream\n{content}\nendstream",
            content.len()
        ),
        "<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>".to_owned(),
    ];
    let mut file = String::from("%PDF-1.4\n");
    let mut offsets = Vec::new();
    for (number, object) in (1..).zip(&objects) {
        offsets.push(file.len());
        let _ = write!(file, "{number} 0 obj\n{object}\nendobj\n");
    }
    let table = file.len();
    let size = objects.len() + 1;
    let _ = write!(file, "xref\n0 {size}\n0000000000 65535 f \n");
    for offset in offsets {
        let _ = writeln!(file, "{offset:010} 00000 n ");
    }
    let _ = write!(
        file,
        "trailer\n<< /Size {size} /Root 1 0 R >>\nstartxref\n{table}\n%%EOF\n"
    );
    file.into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_of_the_page_points_at_its_objects() {
        let file = String::from_utf8(pdf(&["a (b) \\ ü".to_owned()])).unwrap();
        assert!(file.contains("(a \\(b\\) \\\\ ?) Tj"), "{file}");
        let (_, table) = file.rsplit_once("startxref\n").unwrap();
        let table: usize = table.lines().next().unwrap().parse().unwrap();
        let entries = file.get(table..).unwrap().lines().skip(3).take(5);
        for (number, entry) in (1..).zip(entries) {
            let offset: usize = entry.get(..10).unwrap().parse().unwrap();
            let object = format!("{number} 0 obj");
            assert!(file.get(offset..).unwrap().starts_with(&object), "{entry}");
        }
    }
}

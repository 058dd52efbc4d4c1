//! File paths (ISO/IEC 7816-4, 7.1): two-byte identifiers, parted by slashes.

/// A file identifier.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct FileId(pub u16);

/// A text that is no path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a path is file identifiers of four hexadecimal digits, parted by /")]
pub struct PathError;

/// Reads a path such as `3f00/0101`.
pub fn file_path(text: &str) -> Result<Vec<FileId>, PathError> {
    text.split('/')
        .map(|id| {
            if id.len() == 4 && id.bytes().all(|b| b.is_ascii_hexdigit()) {
                u16::from_str_radix(id, 16)
                    .map(FileId)
                    .map_err(|_| PathError)
            } else {
                Err(PathError)
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_read_or_refused() {
        assert_eq!(
            file_path("3F00/0101"),
            Ok(vec![FileId(0x3F00), FileId(0x0101)])
        );
        assert_eq!(file_path("011c"), Ok(vec![FileId(0x011C)]));
        for text in ["", "/0101", "0101/", "3f00//0101", "101", "+101", "01011"] {
            assert_eq!(file_path(text), Err(PathError), "{text}");
        }
    }
}

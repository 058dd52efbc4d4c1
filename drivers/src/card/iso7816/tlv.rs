//! BER-TLV data objects as cards use them (ISO/IEC 7816-4, 5.2.2): tags of one to three bytes,
//! lengths of up to three bytes.

/// One data object.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Object<'a> {
    /// Its tag, first byte highest: 0x62, 0x7F4C.
    pub tag: u32,
    /// Its value.
    pub value: &'a [u8],
}

impl<'a> Object<'a> {
    /// Reads the first object, and gives what follows it. `None` where the bytes are none.
    pub fn first(bytes: &'a [u8]) -> Option<(Self, &'a [u8])> {
        let (&first, mut rest) = bytes.split_first()?;
        let mut tag = u32::from(first);
        if first & 0x1F == 0x1F {
            loop {
                let (&next, more) = rest.split_first()?;
                rest = more;
                tag = tag << 8 | u32::from(next);
                if next & 0x80 == 0 {
                    break;
                }
                if tag > 0xFFFF {
                    return None;
                }
            }
        }
        let (&length, mut rest) = rest.split_first()?;
        let length = match length {
            0..=0x7F => usize::from(length),
            0x81..=0x83 => {
                let (digits, more) = rest.split_at_checked(usize::from(length & 0x0F))?;
                rest = more;
                digits
                    .iter()
                    .fold(0, |length, digit| length << 8 | usize::from(*digit))
            }
            _ => return None,
        };
        let (value, rest) = rest.split_at_checked(length)?;
        Some((Self { tag, value }, rest))
    }
}

/// Every object of `bytes`; `None` unless they are objects to the last byte.
pub fn objects(mut bytes: &[u8]) -> Option<Vec<Object<'_>>> {
    let mut objects = Vec::new();
    while !bytes.is_empty() {
        let (object, rest) = Object::first(bytes)?;
        objects.push(object);
        bytes = rest;
    }
    Some(objects)
}

/// How long a transparent file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FileSize {
    /// So many bytes.
    pub bytes: u32,
    /// Whether these are its data (80) and nothing else; structural information may be among them
    /// (81).
    pub exact: bool,
}

/// The size of a transparent file as its control parameters say (tag 62 or 6F; 80, else 81).
pub fn file_size(control: &[u8]) -> Option<FileSize> {
    let (template, _) = Object::first(control)?;
    if !matches!(template.tag, 0x62 | 0x6F) {
        return None;
    }
    let mut rest = template.value;
    let (mut data, mut total) = (None, None);
    while let Some((object, more)) = Object::first(rest) {
        let number = (object.value.len() <= 4 && !object.value.is_empty()).then(|| {
            object
                .value
                .iter()
                .fold(0, |number, byte| number << 8 | u32::from(*byte))
        });
        match object.tag {
            0x80 => data = data.or(number),
            0x81 => total = total.or(number),
            _ => {}
        }
        rest = more;
    }
    let sized = |exact| move |bytes| FileSize { bytes, exact };
    data.map(sized(true)).or(total.map(sized(false)))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_files_size_is_found_in_its_control_parameters() {
        let sized = |bytes, exact| Some(FileSize { bytes, exact });
        let both = [0x6F, 7, 0x81, 1, 9, 0x80, 2, 1, 0];
        assert_eq!(file_size(&both), sized(256, true));
        assert_eq!(
            file_size(&[0x6F, 7, 0x82, 1, 1, 0x81, 2, 0, 9]),
            sized(9, false)
        );
        assert_eq!(file_size(&[0x62, 3, 0x82, 1, 1]), None);
        assert_eq!(file_size(&[0x61, 4, 0x80, 2, 1, 0]), None);
        assert_eq!(file_size(&[]), None);
    }

    #[test]
    fn long_tags_and_lengths_are_read() {
        let bytes = [&[0x7F, 0x4C, 0x81, 0x80][..], &[5; 128], &[0x80, 0]].concat();
        let tags: Vec<_> = objects(&bytes).unwrap().iter().map(|o| o.tag).collect();
        assert_eq!(tags, [0x7F4C, 0x80]);
        assert!(objects(&[0x80, 0x80]).is_none());
        assert!(objects(&[0x80, 0x84, 0, 0, 0, 0]).is_none());
        assert!(objects(&[0x1F]).is_none());
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            let _ = file_size(&bytes);
            if let Some(objects) = objects(&bytes) {
                let values: usize = objects.iter().map(|o| o.value.len()).sum();
                prop_assert!(values <= bytes.len());
            }
        }
    }
}

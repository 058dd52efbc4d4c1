//! Hex in, value out; and the promises that hold for every container.

use super::*;
use proptest::prelude::*;

fn encoded(container: &Container) -> Vec<u8> {
    let mut out = Vec::new();
    container.write(&mut out).unwrap();
    out
}

pub(in super::super) fn containers() -> impl Strategy<Value = Container> {
    let tags = [
        0x01, 0x12, 0x40, 0x42, 0x1F07, 0x1F10, 0x1F80, 0xFF01, 0x5F_81_01,
    ];
    let leaf = (
        proptest::sample::select(tags.to_vec()),
        proptest::collection::vec(any::<u8>(), 0..200),
    )
        .prop_map(|(tag, value)| Tlv::primitive(Tag::new(tag).unwrap(), &value).unwrap());
    let tree = leaf.prop_recursive(4, 20, 4, |inner| {
        let tags = [0x25_u32, 0x60, 0xE4, 0x3F07];
        (
            proptest::sample::select(tags.to_vec()),
            proptest::collection::vec(inner, 0..4),
        )
            .prop_map(|(tag, items)| Tlv::constructed(Tag::new(tag).unwrap(), items).unwrap())
    });
    proptest::collection::vec(tree, 0..4).prop_map(Container)
}

#[test]
fn tags_have_one_to_three_bytes() {
    for tag in [0x07, 0x1F07, 0x1F80, 0x5F_81_01, 0xFF01] {
        assert_eq!(Tag::new(tag).map(Tag::number), Some(tag));
    }
    for wrong in [0x1F, 0x0707, 0x5F81, 0x5F_81_81, 0x1_5F_81_01] {
        assert_eq!(Tag::new(wrong), None, "{wrong:X}");
    }
}

#[test]
fn lengths_take_one_to_three_bytes() {
    for (len, bytes) in [
        (0, vec![0]),
        (127, vec![0x7F]),
        (128, vec![0x81, 0x80]),
        (255, vec![0x81, 0xFF]),
        (256, vec![0x82, 1, 0]),
        (65535, vec![0x82, 0xFF, 0xFF]),
    ] {
        let mut out = Vec::new();
        write_length(0, len, &mut out).unwrap();
        assert_eq!(out, bytes);
        assert_eq!(read_length(&mut Reader(&bytes)), Some(len));
    }
    assert!(write_length(0, 65536, &mut Vec::new()).is_err());
    for reserved in [[0x80, 0, 0, 0], [0x83, 0, 0, 1]] {
        assert_eq!(read_length(&mut Reader(&reserved)), None);
    }
}

#[test]
fn the_containers_of_the_specification_are_read() {
    let texts = [
        0x24, 0x0D, 0x07, 0x0B, 0x30, 0x30, 0x20, 0x41, 0x70, 0x70, 0x72, 0x6F, 0x76,
    ];
    let texts = [texts.as_slice(), &[0x65, 0x64]].concat();
    let container = Container::decode(&texts).unwrap();
    assert_eq!(
        container.display_lines()[0].decode(Charset::Cp437),
        "00 Approved"
    );

    let registration = [
        0x26, 0x04, 0x0A, 0x02, 0x06, 0xD3, 0x27, 0x03, 0x14, 0x01, 0xFE,
    ];
    let container = Container::decode(&registration).unwrap();
    assert_eq!(container.permitted_commands(), [Control(0x06, 0xD3)]);
    assert_eq!(container.charset(), Some(Charset::Utf8));
    let rebuilt = Container::default()
        .permit(&[Control(0x06, 0xD3)])
        .with_items(
            Tag::CHARSETS,
            vec![Tlv::primitive(Tag::CHARSET, &[0xFE]).unwrap()],
        );
    assert_eq!(rebuilt, container);
    assert_eq!(encoded(&container)[1..], registration);
}

#[test]
fn an_undecided_list_of_sets_agrees_to_none() {
    let two = [0x27, 0x06, 0x14, 0x01, 0xFE, 0x14, 0x01, 0xFF];
    assert_eq!(Container::decode(&two).unwrap().charset(), None);
    assert_eq!(
        Container::default().with(Tag::CHARSET, &[0x01]).charset(),
        Some(Charset::Latin1)
    );
}

#[test]
fn track_data_and_card_numbers_do_not_pass() {
    let track = [
        &[0x1F, 0x09, 0x08],
        [0x41, 0x11, 0x11, 0x11, 0x11, 0x11, 0x11, 0x11].as_slice(),
    ];
    let line = [&[0x25, 0x12, 0x07, 0x10], b"4111111111111111".as_slice()];
    let container = Container::decode(&[track.concat(), line.concat()].concat()).unwrap();
    assert_eq!(container.0[0].value(), b"");
    assert_eq!(container.0[1].items()[0].value(), b"************1111");
    assert!(!format!("{container:?}").contains("1111"));
}

#[test]
fn what_runs_past_its_end_is_refused_and_deep_nesting_is_cut() {
    for bytes in [
        &[0x07][..],
        &[0x07, 0x02, 0x41],
        &[0x1F],
        &[0x07, 0x83, 0, 0, 0],
    ] {
        assert_eq!(Container::decode(bytes), Err(TlvError));
    }
    let mut deep = vec![];
    for _ in 0..60 {
        let len = u8::try_from(deep.len()).unwrap();
        deep = [vec![0x25, len], deep].concat();
    }
    let container = Container::decode(&deep).unwrap();
    assert!(encoded(&container).len() < 2 * MAX_DEPTH + 4);
    let deeper =
        Container(vec![(0..9).fold(
            Tlv::constructed(Tag(0x25), vec![]).unwrap(),
            |inner, _| Tlv::constructed(Tag(0x25), vec![inner]).unwrap(),
        )]);
    assert_eq!(deeper.write(&mut Vec::new()), Err(EncodeError::TooDeep));
}

proptest! {
    #[test]
    fn a_container_survives_the_wire(container in containers()) {
        let bytes = encoded(&container);
        let mut reader = Reader(&bytes);
        prop_assert_eq!(read_length(&mut reader), Some(reader.0.len()));
        prop_assert_eq!(Container::decode(reader.0), Ok(container));
    }

    #[test]
    fn any_bytes_are_survived(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        if let Ok(container) = Container::decode(&bytes) {
            let again = encoded(&container);
            let mut reader = Reader(&again);
            read_length(&mut reader);
            prop_assert_eq!(Container::decode(reader.0), Ok(container));
        }
    }
}

//! Hex in, value out; and the promises that hold for every field.

use super::super::charset::Charset;
use super::super::tlv::tests::containers;
use super::super::totals::Totals;
use super::*;
use proptest::collection::vec;
use proptest::prelude::*;

fn encoded(fields: &Fields) -> Vec<u8> {
    let mut out = Vec::new();
    fields.encode(&mut out).unwrap();
    out
}

fn text() -> impl Strategy<Value = Text> {
    "[A-Za-zäöü€ ]{0,40}".prop_map(|text| Text::new(&text, Charset::Cp437))
}

fn bcd<const N: usize>() -> impl Strategy<Value = Bcd<N>> {
    any::<[u8; N]>().prop_map(Bcd::from_bytes)
}

pub(in super::super) fn fields() -> impl Strategy<Value = Fields> {
    let byte = any::<u8>();
    let plain = prop_oneof![
        byte.prop_map(Bmp::Timeout),
        byte.prop_map(Bmp::Service),
        byte.prop_map(Bmp::Type),
        byte.prop_map(Bmp::Result),
        byte.prop_map(Bmp::CardType),
        byte.prop_map(Bmp::NetworkCardType),
        byte.prop_map(Bmp::HostResult),
        (0..=Amount::MAX_MINOR).prop_map(|minor| Bmp::Amount(Amount::from_minor(minor).unwrap())),
    ];
    let numbers = prop_oneof![
        bcd().prop_map(Bmp::Trace),
        bcd().prop_map(Bmp::Time),
        bcd().prop_map(Bmp::Date),
        bcd().prop_map(Bmp::Expiry),
        bcd().prop_map(Bmp::CardSequence),
        bcd().prop_map(Bmp::TerminalId),
        bcd().prop_map(Bmp::OriginalTrace),
        bcd().prop_map(Bmp::Currency),
        bcd().prop_map(Bmp::Receipt),
        bcd().prop_map(Bmp::Turnover),
        bcd().prop_map(Bmp::FullDate),
        bcd().prop_map(|digits| Bmp::Password(Password(digits))),
    ];
    let bytes = prop_oneof![
        vec(any::<u8>(), 0..99).prop_map(|pan| Bmp::Pan(MaskedPan::from_packed(&pan))),
        any::<[u8; 15]>().prop_map(Bmp::Vu),
        any::<[u8; 8]>().prop_map(Bmp::Authorisation),
        text().prop_map(Bmp::Additional),
        text().prop_map(Bmp::CardName),
        vec(any::<u8>(), 0..300).prop_map(|totals| Bmp::Totals(totals.into())),
        proptest::sample::select(&[0x23, 0x24, 0x3A, 0xA7][..])
            .prop_map(|tag| Bmp::Withheld(Withheld(tag))),
        any::<[u8; 4]>().prop_map(|value| Bmp::Other(Other::new(0x70, &value).unwrap())),
        containers().prop_map(Bmp::Tlv),
    ];
    vec(prop_oneof![plain, numbers, bytes], 0..8).prop_map(Fields)
}

#[test]
fn the_fields_of_a_payment_are_read() {
    // Made up after chapter 3.1.1; the order is not the table's.
    let body = [
        &[
            0x27, 0x00, 0x04, 0, 0, 0, 0, 0x37, 0x80, 0x49, 0x09, 0x78, 0x0C, 0x12, 0x03, 0x59,
        ][..],
        &[
            0x0D, 0x11, 0x22, 0x22, 0xF0, 0xF8, 0x41, 0x11, 0xEE, 0xEE, 0xEE, 0xEE, 0x47, 0x11,
        ],
        &[
            0x87, 0x02, 0x31, 0x17, 0x00, 0x01, 0x3B, b'7', b'5', b'0', b'0', b'7', b'1', 0, 0,
        ],
        &[
            0x0B, 0x00, 0x10, 0x77, 0x19, 0x70, 0x29, 0x68, 0x00, 0x01, 0x23, 0x0E, 0x28, 0x12,
        ],
        &[0x8A, 0x05, 0x8C, 0x01, 0x8B, 0xF0, 0xF9],
        b"girocard\0",
        &[0x2A],
        b"455600123456   ",
        &[
            0x3C, 0xF0, 0xF0, 0xF2, b'O', b'K', 0x88, 0x00, 0x04, 0x56, 0xA0, 0x07, 0x06, 0x00,
        ],
    ]
    .concat();
    let fields = Fields::decode(&body).unwrap();
    assert_eq!(fields.result(), Some(0));
    assert_eq!(fields.amount().map(Amount::minor), Some(3780));
    assert_eq!(fields.currency(), Some(super::super::bcd::EUR));
    assert_eq!(fields.pan().unwrap().to_string(), "************4711");
    assert_eq!(fields.receipt().and_then(Bcd::value), Some(231));
    assert_eq!(fields.trace().and_then(Bcd::value), Some(1077));
    assert_eq!(fields.terminal_id().unwrap().to_string(), "68000123");
    assert_eq!(fields.date().unwrap().to_string(), "1122");
    assert_eq!(fields.authorisation().as_deref(), Some("750071"));
    assert_eq!(fields.vu().as_deref(), Some("455600123456"));
    assert_eq!(
        fields.card_name().unwrap().decode(Charset::Cp437),
        "girocard"
    );
    assert_eq!(fields.original_trace(), None);
    assert_eq!(fields.tlv(), Some(Container::default()));
    for secret in ["4711", "4111", "455600123456"] {
        let shown = format!("{:?}", Fields::decode(&body[16..30]).unwrap());
        assert!(secret == "4711" || !shown.contains(secret));
    }
}

#[test]
fn an_unknown_field_is_named_and_kept_and_what_came_before_it_too() {
    let error = Fields::decode(&[0x27, 0x6C, 0xC9, 0x01, 0x02]).unwrap_err();
    assert_eq!((error.fault, error.tag), (Fault::Unknown, 0xC9));
    assert_eq!(error.raw.bytes(), [0xC9, 0x01, 0x02]);
    assert_eq!(error.before.result(), Some(0x6C));
}

#[test]
fn malformed_fields_say_what_is_wrong() {
    for (body, fault) in [
        (&[0x04, 0, 0, 0, 0, 0x37][..], Fault::Truncated),
        (&[0x04, 0, 0, 0, 0, 0x37, 0xA0], Fault::NotDecimal),
        (&[0x22, 0xF0, 0xF2, 0x41], Fault::Truncated),
        (&[0x22, 0x00, 0x02, 0x41, 0x11], Fault::Length),
        (&[0x3C, 0xF0, 0xFA, 0xF0], Fault::Length),
        (&[0x06, 0x05, 0x07, 0x01], Fault::Truncated),
        (&[0x06, 0x02, 0x07, 0x01], Fault::Tlv),
        (&[0x06, 0x80], Fault::Tlv),
    ] {
        assert_eq!(
            Fields::decode(body).unwrap_err().fault,
            fault,
            "{body:02X?}"
        );
    }
}

#[test]
fn tracks_are_not_kept() {
    let body = [
        0x23, 0xF0, 0xF3, 0x41, 0x11, 0xD2, 0x3A, 0x12, 0x3F, 0x27, 0x00,
    ];
    let fields = Fields::decode(&body).unwrap();
    assert_eq!(
        encoded(&fields),
        [0x23, 0xF0, 0xF0, 0x3A, 0xFF, 0xFF, 0x27, 0x00]
    );
}

#[test]
fn values_that_do_not_fit_their_field_are_refused() {
    let long = Text::new(&"x".repeat(100), Charset::Cp437);
    let name = Fields::default().with(Bmp::CardName(long));
    assert_eq!(
        name.encode(&mut Vec::new()),
        Err(EncodeError::TooLong {
            tag: 0x8B,
            len: 100
        })
    );
    assert_eq!(Other::new(0x04, &[0; 6]), None);
    assert_eq!(Other::new(0xC9, &[0]), None);
    assert_eq!(Other::new(0xF0, &[7]).map(|other| other.tag()), Some(0xF0));
}

#[test]
fn totals_of_an_end_of_day_are_read_and_written() {
    let mut groups = [(0, Amount::from_minor(0).unwrap()); 7];
    groups[0] = (3, Amount::from_minor(12_345).unwrap());
    let [first, last] = [233, 234].map(|number| Bcd::from_value(number).unwrap());
    let totals = Totals {
        first,
        last,
        groups,
    };
    let bytes = encoded(&Fields(vec![totals.to_bmp()]));
    assert_eq!(bytes[..4], [0x60, 0xF0, 0xF5, 0xF3]);
    assert_eq!(Fields::decode(&bytes).unwrap().totals(), Some(totals));
    assert_eq!(Totals::decode(&[0; 52]), None);
}

proptest! {
    #[test]
    fn fields_survive_the_wire(fields in fields()) {
        prop_assert_eq!(Fields::decode(&encoded(&fields)), Ok(fields));
    }

    #[test]
    fn any_body_is_survived(body in vec(any::<u8>(), 0..300)) {
        if let Ok(fields) = Fields::decode(&body) {
            prop_assert_eq!(Fields::decode(&encoded(&fields)), Ok(fields));
        }
    }

    #[test]
    fn a_body_cut_anywhere_is_refused_or_ends_between_two_fields(
        fields in fields(), cut in any::<proptest::sample::Index>()
    ) {
        let bytes = encoded(&fields);
        let cut = cut.index(bytes.len() + 1);
        let before = match Fields::decode(&bytes[..cut]) {
            Ok(read) => read,
            Err(error) => error.before,
        };
        prop_assert_eq!(&before.0[..], &fields.0[..before.0.len()]);
    }
}

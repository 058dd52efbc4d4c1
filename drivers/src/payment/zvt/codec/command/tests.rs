//! Hex in, value out; and the promises that hold for every command.

use proptest::prelude::*;

use super::super::bcd::{EUR, NO_RECEIPT};
use super::super::bmp::{Fault, tests::fields};
use super::super::charset::Charset;
use super::super::registration::ConfigByte;
use super::super::result::TerminalStatus;
use super::super::tlv::Tag;
use super::*;

fn apdu(hex: &str) -> Apdu {
    let digits: Vec<u8> = hex.bytes().filter(u8::is_ascii_hexdigit).collect();
    let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap();
    Apdu::from_bytes(&digits.chunks(2).map(byte).collect::<Vec<_>>()).unwrap()
}

fn password(digits: u64) -> Password {
    Password(Bcd::from_value(digits).unwrap())
}

fn cents(minor: u64) -> Amount {
    Amount::from_minor(minor).unwrap()
}

fn receipt(number: u64) -> Bmp {
    Bmp::Receipt(Bcd::from_value(number).unwrap())
}

fn of(bmps: &[Bmp]) -> Fields {
    Fields(bmps.to_vec())
}

fn both_ways(hex: &str, command: &Command) {
    assert_eq!(Command::decode(apdu(hex)).as_ref(), Ok(command), "{hex}");
    assert_eq!(command.encode(), Ok(apdu(hex)), "{hex}");
}

#[test]
fn payments_have_the_bytes_of_the_specification() {
    let eur = Bmp::Currency(EUR);
    let permitted = Container::default().permit(&[control::PRINT_BLOCK]);
    let registration = Registration {
        password: password(0),
        config: ConfigByte(0x9E),
        currency: Some(EUR),
        fields: of(&[Bmp::Tlv(
            permitted.with(Tag::new(0x1F73).unwrap(), &[0, 0, 0]),
        )]),
    };
    let bare = Registration {
        password: password(123_456),
        config: ConfigByte(0xDE),
        currency: Some(EUR),
        fields: Fields::default(),
    };
    for (hex, command) in [
        (
            "0600 14 000000 9E 0978 06 0C 26 04 0A 02 06D3 1F73 03 000000",
            Command::Registration(registration),
        ),
        ("0600 06 123456 DE 0978", Command::Registration(bare)),
        (
            "0601 07 04 000000000190",
            Command::Authorisation(of(&[Bmp::Amount(cents(190))])),
        ),
        (
            "0601 0C 04 000000003780 49 0978 19 40",
            Command::pay(cents(3780), EUR),
        ),
        ("0602 00", Command::LogOff(Fields::default())),
        (
            "0620 05 000000 03 03",
            Command::repeat_last_result(password(0)),
        ),
        (
            "0622 0C 19 40 49 0978 04 000000002500",
            Command::PreAuthorisation(of(&[
                Bmp::Type(0x40),
                eur.clone(),
                Bmp::Amount(cents(2500)),
            ])),
        ),
        (
            "0623 03 87 FFFF",
            Command::PartialReversal(of(&[Bmp::Receipt(NO_RECEIPT)])),
        ),
        (
            "0624 0A 87 0231 04 000000001250",
            Command::BookTotal(of(&[receipt(231), Bmp::Amount(cents(1250))])),
        ),
        (
            "0625 08 19 40 87 0231 49 0978",
            Command::PreAuthorisationReversal(of(&[Bmp::Type(0x40), receipt(231), eur.clone()])),
        ),
        (
            "0630 06 000000 87 0231",
            Command::reverse(password(0), Bcd::from_value(231).unwrap()),
        ),
        (
            "0631 0A 000000 04 000000000500",
            Command::Refund(password(0), of(&[Bmp::Amount(cents(500))])),
        ),
    ] {
        both_ways(hex, &command);
    }
}

#[test]
fn administration_has_the_bytes_of_the_specification() {
    for (hex, command) in [
        (
            "0610 03 123456",
            Command::TurnoverTotals(password(123_456), Fields::default()),
        ),
        (
            "0650 03 123456",
            Command::EndOfDay(password(123_456), Fields::default()),
        ),
        (
            "0670 05 06 03 1B 01 02",
            Command::Diagnosis(of(&[Bmp::Tlv(
                Container::default().with(Tag::DIAGNOSIS, &[2]),
            )])),
        ),
        (
            "0691 0B 000000 AA 261122 0C 120359",
            Command::SetDateAndTime(
                password(0),
                of(&[
                    Bmp::FullDate(Bcd::from_value(261_122).unwrap()),
                    Bmp::Time(Bcd::from_value(120_359).unwrap()),
                ]),
            ),
        ),
        (
            "0693 03 123456",
            Command::Initialisation(password(123_456), Fields::default()),
        ),
        ("06B0 00", Command::AbortRequest(Fields::default())),
        ("0501 00", Command::StatusEnquiry(None, Fields::default())),
        (
            "0501 05 000000 03 02",
            Command::StatusEnquiry(
                Some(password(0)),
                of(&[Bmp::Service(service::NO_SOFTWARE_VERSION)]),
            ),
        ),
        ("0830 01 01", Command::SelectLanguage(1, Fields::default())),
        ("8000 00", Command::Ack),
        ("8483 00", Command::Nack(NACK_UNKNOWN, Opaque::default())),
        (
            "849D 07 04 000000000100",
            Command::Nack(0x9D, vec![0x04, 0, 0, 0, 0, 0x01, 0x00].into()),
        ),
    ] {
        both_ways(hex, &command);
    }
}

#[test]
fn messages_of_the_terminal_are_read_and_written_alike() {
    let text = |text: &str| Text::new(text, Charset::Cp437);
    let status = |code, minutes: Option<u8>| Command::IntermediateStatus {
        code,
        timeout: minutes.map(|byte| Bcd::from_bytes([byte])),
        fields: Fields::default(),
    };
    let abort = |result, currency, fields: &[Bmp]| Command::Abort {
        result: ResultCode(result),
        currency,
        fields: of(fields),
    };
    for (hex, command) in [
        ("04FF 01 17", status(0x17, None)),
        ("04FF 02 0A 03", status(0x0A, Some(0x03))),
        (
            "040F 02 27 6C",
            Command::StatusInformation(of(&[Bmp::Result(0x6C)])),
        ),
        ("06D1 01 00", Command::PrintLine(Attribute(0), text(""))),
        (
            "06D1 06 40 53756D6D65",
            Command::PrintLine(Attribute(0x40), text("Summe")),
        ),
        (
            "060F 00",
            Command::Completion(Completion::Fields(Fields::default())),
        ),
        (
            "060F 0B F0F0F7 322E31342E3135 00",
            Command::Completion(Completion::Status {
                software: Some(text("2.14.15")),
                status: TerminalStatus(0),
                fields: Fields::default(),
            }),
        ),
        (
            "060F 01 9C",
            Command::Completion(Completion::Status {
                software: None,
                status: TerminalStatus(0x9C),
                fields: Fields::default(),
            }),
        ),
        (
            "060F 0A 19 10 29 52523535 49 0978",
            Command::Completion(Completion::Fields(of(&[
                Bmp::Type(0x10),
                Bmp::TerminalId(Bcd::from_value(52_523_535).unwrap()),
                Bmp::Currency(EUR),
            ]))),
        ),
        ("061E 01 6C", abort(0x6C, None, &[])),
        ("061E 03 6F 0978", abort(0x6F, Some(EUR), &[])),
        (
            "061E 04 6F 49 0978",
            abort(0x6F, None, &[Bmp::Currency(EUR)]),
        ),
        (
            "061E 04 B8 87 FFFF",
            abort(0xB8, None, &[Bmp::Receipt(NO_RECEIPT)]),
        ),
    ] {
        both_ways(hex, &command);
    }
}

#[test]
fn an_acknowledgement_with_a_body_is_still_one() {
    assert_eq!(Command::decode(apdu("8000 02 0600")), Ok(Command::Ack));
    assert!(Command::decode(apdu("8400 00")).unwrap().is_positive());
    assert!(!Command::decode(apdu("849C 00")).unwrap().is_positive());
}

#[test]
fn unknown_commands_keep_their_bytes_and_unknown_fields_are_errors() {
    let vendor = apdu("0FA1 02 0001");
    assert_eq!(
        Command::decode(vendor.clone()),
        Ok(Command::Unknown(vendor))
    );
    let Err(DecodeError::Field(error)) = Command::decode(apdu("040F 05 27 00 C9 01 02")) else {
        panic!("the field C9 does not exist");
    };
    assert_eq!((error.fault, error.tag), (Fault::Unknown, 0xC9));
}

#[test]
fn what_has_a_fixed_place_must_be_there() {
    for hex in [
        "0600 03 000000",
        "0600 05 000000 86 09",
        "0650 02 0000",
        "0501 01 00",
        "04FF 00",
        "06D1 00",
        "061E 00",
        "0830 00",
        "061E 02 6F 09",
    ] {
        assert_eq!(
            Command::decode(apdu(hex)),
            Err(DecodeError::Truncated),
            "{hex}"
        );
    }
    let without_password = Command::StatusEnquiry(None, of(&[Bmp::Service(2)]));
    assert_eq!(
        without_password.encode(),
        Err(EncodeError::Missing("password"))
    );
}

#[test]
fn nothing_secret_is_shown() {
    let payment = Command::decode(apdu("0630 0E 123456 22 F0F8 4111111111111111")).unwrap();
    let line = Command::decode(apdu("06D1 11 00 34313131313131313131313131313131")).unwrap();
    let shown = format!("{payment:?} {line:?} {:?}", apdu("0650 03 123456"));
    assert!(!shown.contains("123456") && !shown.contains("4111") && shown.contains("*1111"));
    let Command::PrintLine(_, text) = line else {
        panic!("a line was sent")
    };
    assert_eq!(text.decode(Charset::Cp437), "************1111");
}

fn commands() -> impl Strategy<Value = Command> {
    let pass = || any::<[u8; 3]>().prop_map(|bytes| Password(Bcd::from_bytes(bytes)));
    let text = || "[A-Za-zäöüß ]{0,40}".prop_map(|text| Text::new(&text, Charset::Cp437));
    let by_fields = prop_oneof![
        fields().prop_map(Command::Authorisation),
        fields().prop_map(Command::LogOff),
        fields().prop_map(Command::PreAuthorisation),
        fields().prop_map(Command::PartialReversal),
        fields().prop_map(Command::BookTotal),
        fields().prop_map(Command::PreAuthorisationReversal),
        fields().prop_map(Command::Diagnosis),
        fields().prop_map(Command::AbortRequest),
        fields().prop_map(Command::StatusInformation),
        fields().prop_map(Command::PrintBlock),
        fields().prop_map(|fields| Command::Completion(Completion::Fields(fields))),
    ];
    let by_password = prop_oneof![
        (pass(), fields()).prop_map(|(p, f)| Command::RepeatReceipt(p, f)),
        (pass(), fields()).prop_map(|(p, f)| Command::Reversal(p, f)),
        (pass(), fields()).prop_map(|(p, f)| Command::Refund(p, f)),
        (pass(), fields()).prop_map(|(p, f)| Command::EndOfDay(p, f)),
        (pass(), fields()).prop_map(|(p, f)| Command::TurnoverTotals(p, f)),
        (pass(), fields()).prop_map(|(p, f)| Command::SetDateAndTime(p, f)),
        (pass(), fields()).prop_map(|(p, f)| Command::Initialisation(p, f)),
        (proptest::option::of(pass()), fields()).prop_map(|(p, f)| Command::StatusEnquiry(p, f)),
    ];
    let others = prop_oneof![
        (
            pass(),
            any::<u8>(),
            proptest::option::of(Just(EUR)),
            fields()
        )
            .prop_map(|(password, config, currency, fields)| {
                let config = ConfigByte(config);
                Command::Registration(Registration {
                    password,
                    config,
                    currency,
                    fields,
                })
            }),
        (any::<u8>(), fields()).prop_map(|(code, f)| Command::SelectLanguage(code, f)),
        (any::<u8>(), proptest::option::of(any::<u8>()), fields()).prop_map(
            |(code, minutes, fields)| Command::IntermediateStatus {
                code,
                timeout: minutes.map(|byte| Bcd::from_bytes([byte])),
                fields
            }
        ),
        (any::<u8>(), text()).prop_map(|(at, text)| Command::PrintLine(Attribute(at), text)),
        (proptest::option::of(text()), any::<u8>(), fields()).prop_map(
            |(software, code, fields)| Command::Completion(Completion::Status {
                software,
                status: TerminalStatus(code),
                fields
            })
        ),
        (any::<u8>(), proptest::option::of(Just(EUR)), fields()).prop_map(
            |(code, currency, fields)| Command::Abort {
                result: ResultCode(code),
                currency,
                fields
            }
        ),
        Just(Command::Ack),
        any::<u8>().prop_map(|code| Command::Nack(code, Opaque::default())),
    ];
    prop_oneof![by_fields, by_password, others]
}

proptest! {
    #[test]
    fn a_command_survives_the_wire_or_is_not_sent(command in commands()) {
        if let Ok(apdu) = command.encode() {
            let again = Apdu::from_bytes(&apdu.to_bytes());
            prop_assert_eq!(Command::decode(again.unwrap()), Ok(command));
        }
    }

    #[test]
    fn any_body_of_any_command_is_survived(
        which in proptest::sample::select(&[
            (0x06, 0x00), (0x06, 0x01), (0x06, 0x20), (0x05, 0x01), (0x04, 0xFF), (0x04, 0x0F),
            (0x06, 0xD1), (0x06, 0xD3), (0x06, 0x0F), (0x06, 0x1E), (0x84, 0x83), (0x0F, 0xA1),
        ][..]),
        body in proptest::collection::vec(any::<u8>(), 0..200)
    ) {
        let apdu = Apdu::new(Control(which.0, which.1), body).unwrap();
        if let Ok(command) = Command::decode(apdu) {
            let again = command.encode();
            prop_assert!(again.is_ok(), "{:?}: {:?}", command, again);
            prop_assert_eq!(Command::decode(again.unwrap()), Ok(command));
        }
    }
}

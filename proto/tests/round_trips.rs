//! Whatever can be said arrives as it was said, in both encodings.

use koffer_proto::{
    Amount, Class, Completion, ContentType, Detail, DeviceId, Effect, Failure, Outcome, Progress,
    ProgressEvent, Request, Segment, Status,
    class::{
        card_terminal::{Command, StatusWordPattern, TransmitParams},
        payment::{Align, PayParams, Receipt, ReceiptCopy, ReceiptLine, Transaction},
        receipt_printer::{Block, PrintParams},
    },
};
use proptest::{collection::vec, option, prelude::*};
use serde_json::Value;

fn segment() -> impl Strategy<Value = Segment> {
    "[a-z0-9][a-z0-9-]{0,63}".prop_filter_map("a name", |name| name.parse().ok())
}

fn amount() -> impl Strategy<Value = Amount> {
    (1..=999_999_999_999_u64).prop_filter_map("an amount", |cents| Amount::euro_cents(cents).ok())
}

/// A text that a bounded type takes.
fn text<T: TryFrom<String> + std::fmt::Debug>(max: usize) -> impl Strategy<Value = T> {
    vec(any::<char>(), 1..=max).prop_filter_map("a text within bounds", |text| {
        let text: String = text.into_iter().filter(|c| !c.is_control()).collect();
        T::try_from(text).ok()
    })
}

/// What a device may have shown; no fractions, which JSON rounds.
fn evidence() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<String>().prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 16, 4, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..4).prop_map(Value::from),
            vec((any::<String>(), inner), 0..4).prop_map(|entries| entries.into_iter().collect()),
        ]
    })
    // A null stands for nothing said.
    .prop_filter("something", |value| !value.is_null())
}

fn detail() -> impl Strategy<Value = Detail> {
    (
        option::of(any::<String>()),
        option::of(any::<String>()),
        vec(any::<String>(), 0..3),
        option::of(segment()),
        option::of(any::<u64>()),
        option::of(evidence()),
    )
        .prop_map(|(field, cause, reasons, client, number, evidence)| Detail {
            device_code: field.clone(),
            field,
            cause,
            reasons,
            claimed_by: client.map(Into::into),
            retry_after_ms: number,
            completed: number.map(|n| n / 2),
            evidence,
        })
}

fn failure() -> impl Strategy<Value = Failure> {
    let status = proptest::sample::select(Status::ALL.as_slice());
    let effect = proptest::sample::select(Effect::ALL.as_slice());
    (status, effect, any::<String>(), detail()).prop_filter_map(
        "a failure",
        |(status, effect, message, detail)| {
            let failure = match status {
                Status::Ok => return None,
                Status::OutcomeUnknown => Failure::outcome_unknown(message),
                _ => Failure::unfinished(status, effect, message),
            };
            Some(failure.with(detail))
        },
    )
}

fn receipt() -> impl Strategy<Value = Receipt> {
    (any::<bool>(), vec(any::<String>(), 0..4)).prop_map(|(signature_required, lines)| Receipt {
        copy: ReceiptCopy::Customer,
        signature_required,
        lines: lines
            .into_iter()
            .map(|text| ReceiptLine {
                text,
                align: Align::default(),
                double_width: signature_required,
                double_height: false,
            })
            .collect(),
    })
}

fn transaction() -> impl Strategy<Value = Transaction> {
    (
        any::<u16>(),
        any::<u32>(),
        option::of(amount()),
        option::of(any::<String>()),
        vec(receipt(), 0..3),
    )
        .prop_map(|(receipt, trace, amount, word, receipts)| Transaction {
            receipt: Some(receipt),
            trace: Some(trace),
            terminal: word.clone().unwrap_or_default(),
            amount,
            card: word.clone(),
            pan: None,
            authorisation: word.clone(),
            merchant: None,
            terminal_time: word,
            recovered: receipts.is_empty(),
            receipts,
        })
}

fn completion() -> impl Strategy<Value = Completion<Transaction>> {
    let outcome = prop_oneof![
        transaction().prop_map(Outcome::Ok),
        failure().prop_map(Outcome::Failed),
    ];
    let ignored = vec(text(64), 0..3);
    (option::of(segment()), outcome, ignored).prop_map(|(device, outcome, ignored)| Completion {
        device: device.map(DeviceId::from),
        outcome,
        ignored,
    })
}

fn request() -> impl Strategy<Value = (Class, Request)> {
    let pay = (amount(), option::of(text(64)))
        .prop_map(|(amount, reference)| (Class::Payment, PayParams { amount, reference }.into()));
    let block = prop_oneof![
        text(200).prop_map(|text| Block::Text {
            text,
            align: Align::default(),
            bold: true,
            underline: false,
            double_width: false,
            double_height: true,
        }),
        text(1000).prop_map(|data| Block::Qr {
            data,
            module_size: None
        }),
        vec(any::<u8>(), 0..5000).prop_map(|content| Block::Image {
            content: content.into()
        }),
    ];
    let print =
        vec(block, 1..5).prop_map(|blocks| (Class::ReceiptPrinter, PrintParams { blocks }.into()));
    let command =
        (vec(any::<u8>(), 0..300), vec("[0-9a-fx]{4}", 0..3)).prop_map(|(apdu, accept)| Command {
            apdu: apdu.into(),
            accept: accept
                .into_iter()
                .filter_map(|pattern| StatusWordPattern::try_from(pattern).ok())
                .collect(),
        });
    let transmit = vec(command, 1..5)
        .prop_map(|commands| (Class::CardTerminal, TransmitParams { commands }.into()));
    prop_oneof![pay, print, transmit]
}

proptest! {
    #[test]
    fn a_completion_arrives_as_it_was_sent(completion in completion()) {
        for encoding in ContentType::ALL {
            let payload = encoding.encode(&completion).unwrap();
            let read: Completion<Transaction> = encoding.decode(&payload).unwrap();
            prop_assert_eq!(&read, &completion, "{}", encoding);
            prop_assert!(read.status().allows(read.effect()));
        }
    }

    #[test]
    fn a_request_arrives_as_it_was_sent_and_keeps_its_digest((class, request) in request()) {
        let target: Segment = "device".parse().unwrap();
        for encoding in ContentType::ALL {
            let payload = encoding.encode(&request).unwrap();
            let read = Request::decode(class, request.spec().name, encoding, &payload).unwrap();
            prop_assert_eq!(read.digest(&target).unwrap(), request.digest(&target).unwrap());
            prop_assert_eq!(&read, &request, "{}", encoding);
        }
    }

    #[test]
    fn content_in_progress_arrives_as_it_was_sent(seq: u32, image in vec(any::<u8>(), 0..9000)) {
        let progress = Progress { seq, event: ProgressEvent::Preview { image: image.into() } };
        for encoding in ContentType::ALL {
            let payload = encoding.encode(&progress).unwrap();
            prop_assert_eq!(encoding.decode::<Progress>(&payload).unwrap(), progress.clone());
        }
    }
}

#[test]
fn a_list_outside_its_bounds_is_refused_by_its_field() {
    for (class, operation, params, field) in [
        (
            Class::ReceiptPrinter,
            "print",
            r#"{"blocks": []}"#,
            "blocks",
        ),
        (
            Class::Fingerprint,
            "capture",
            r#"{"fingers": []}"#,
            "fingers",
        ),
        (
            Class::CardTerminal,
            "transmit",
            r#"{"commands": []}"#,
            "commands",
        ),
    ] {
        let error = Request::decode(class, operation, ContentType::Json, params.as_bytes());
        let error = error.unwrap_err().to_string();
        assert!(
            error.starts_with(&format!("field {field}: must have 1 to")),
            "{error}"
        );
    }
}

#[test]
fn cbor_of_indefinite_length_is_read() {
    // {_ "amount": {_ "cents": 5, "currency": (_ "E", "UR")}}
    let payload = b"\xbffamount\xbfecents\x05hcurrency\x7faEbUR\xff\xff\xff";
    let read = Request::decode(Class::Payment, "pay", ContentType::Cbor, payload).unwrap();
    let (amount, reference) = (Amount::euro_cents(5).unwrap(), None);
    assert_eq!(read, PayParams { amount, reference }.into());
}

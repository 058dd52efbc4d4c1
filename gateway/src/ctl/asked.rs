//! From a command to the call that it means.

mod card;
mod print;

use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::Duration;

use koffer_proto::class::{any_device, gateway, payment};
use koffer_proto::{
    Amount, CallId, Class, ContentType, DeviceId, EffectKind, OperationSpec, Segment,
};
use serde::Serialize;
use serde_json::{Value, json};

use super::args::{Command, Level, Money, Options, Steer};
use super::texts;
use super::trouble::Trouble;

/// How long an operation may take that this version does not know.
const STRANGE_OPERATION: Duration = Duration::from_mins(2);

/// A call to be made.
#[derive(Debug, Clone)]
pub(super) struct Asked {
    /// A device, a role or the gateway.
    pub(super) target: Segment,
    pub(super) operation: Segment,
    pub(super) payload: Vec<u8>,
    pub(super) encoding: ContentType,
    /// The deadline, in whole seconds from now.
    pub(super) timeout: Duration,
    /// What it does to the world; the worst for what this version does not know.
    pub(super) effect: EffectKind,
    pub(super) claim: Option<String>,
    pub(super) id: CallId,
    /// The content that is answered goes to this file.
    pub(super) save_to: Option<PathBuf>,
}

impl Asked {
    /// The call of a command; `None` for commands that make none.
    pub(super) fn from_command(
        command: Command,
        options: &Options,
    ) -> Result<Option<Self>, Trouble> {
        let claim = match &command {
            Command::Release { token, .. } => Some(token.clone()),
            _ => options.claim.clone(),
        };
        let Some(content) = Content::of(command)? else {
            return Ok(None);
        };
        let (longest, effect) = known(&content.target, &content.operation);
        Ok(Some(Self {
            target: content.target,
            operation: content.operation,
            payload: content.payload,
            encoding: content.encoding,
            timeout: options.timeout.unwrap_or(longest),
            effect,
            claim,
            id: options.call_id.clone().map_or_else(random_id, Ok)?,
            save_to: content.save_to,
        }))
    }

    /// A call of the gateway itself.
    pub(super) fn gateway<T: Serialize>(
        operation: &'static str,
        params: &T,
    ) -> Result<Self, Trouble> {
        let (target, operation) = (segment(DeviceId::GATEWAY), segment(operation));
        let (timeout, effect) = known(&target, &operation);
        Ok(Self {
            target,
            operation,
            payload: encoded(ContentType::Json, params)?,
            encoding: ContentType::Json,
            timeout,
            effect,
            claim: None,
            id: random_id()?,
            save_to: None,
        })
    }

    /// The cancellation of this call.
    pub(super) fn cancelling(&self) -> Result<Self, Trouble> {
        let params = gateway::CancelParams {
            call: self.id.clone(),
            client: None,
        };
        Self::gateway("cancel", &params)
    }

    /// Whether it must not happen twice.
    pub(super) fn is_once(&self) -> bool {
        self.effect == EffectKind::Once
    }
}

/// What a call asks of whom.
struct Content {
    target: Segment,
    operation: Segment,
    payload: Vec<u8>,
    encoding: ContentType,
    save_to: Option<PathBuf>,
}

impl Content {
    fn of(command: Command) -> Result<Option<Self>, Trouble> {
        let content = match command {
            Command::Devices { unbound: true } => {
                Self::gateway("attached", &gateway::AttachedParams { unbound: true })?
            }
            Command::Devices { unbound: false }
            | Command::Device { .. }
            | Command::Watch { .. }
            | Command::Journal(_)
            | Command::Resolve(_)
            | Command::Completions { .. } => {
                return Ok(None);
            }
            Command::Call {
                device,
                operation,
                params,
                cbor,
            } => Self::generic(device, operation, params.as_deref(), cbor)?,
            Command::Print(document) => print::print(document)?,
            Command::Card(command) => card::card(command)?,
            Command::Pay(money) => Self::money("pay", money)?,
            Command::Refund(money) => Self::money("refund", money)?,
            Command::Reverse {
                device,
                receipt,
                amount,
                currency,
            } => {
                let params = payment::ReverseParams {
                    receipt: payment::ReceiptNumber::try_from(u64::from(receipt))
                        .map_err(|error| Trouble::Usage(texts::option(&"RECEIPT", &error)))?,
                    amount: amount.map(|cents| Amount { cents, currency }),
                };
                Self::json(device, "reverse", &params)?
            }
            Command::Claim {
                device,
                lease,
                take_over,
            } => {
                let lease = u64::try_from(lease.as_millis()).unwrap_or(u64::MAX);
                let params = any_device::ClaimParams {
                    lease_ms: any_device::LeaseMs::try_from(lease)
                        .map_err(|error| Trouble::Usage(texts::option(&"--lease (ms)", &error)))?,
                    take_over,
                };
                Self::json(device, "claim", &params)?
            }
            Command::SelfTest { device, level } => {
                let level = match level {
                    Level::Internal => any_device::SelfTestLevel::Internal,
                    Level::External => any_device::SelfTestLevel::External,
                    Level::Interactive => any_device::SelfTestLevel::Interactive,
                };
                Self::json(device, "self-test", &any_device::SelfTestParams { level })?
            }
            Command::Release { device, .. } => Self::json(device, "release", &json!({}))?,
            Command::EndOfDay { device } => Self::json(device, "end-of-day", &json!({}))?,
            Command::Status { device } => Self::json(device, "status", &json!({}))?,
            Command::Receipt { device } => Self::json(device, "receipt", &json!({}))?,
            Command::Reset { device } => Self::json(device, "reset", &json!({}))?,
            Command::Calls => Self::gateway("calls", &json!({}))?,
            Command::Diagnose => Self::gateway("diagnose", &json!({}))?,
            Command::Cancel { id, client } => {
                Self::gateway("cancel", &gateway::CancelParams { call: id, client })?
            }
            Command::Signal { id, command } => {
                let command = match command {
                    Steer::Continue => gateway::SignalCommand::Continue,
                    Steer::Discard => gateway::SignalCommand::Discard,
                    Steer::Finish => gateway::SignalCommand::Finish,
                    Steer::Confirm => gateway::SignalCommand::Confirm,
                    Steer::Retry => gateway::SignalCommand::Retry,
                };
                Self::gateway("signal", &gateway::SignalParams { call: id, command })?
            }
            // A later gateway may have classes that this version does not know.
            Command::Schema { class, operation } => {
                Self::gateway("schema", &json!({"class": class, "operation": operation}))?
            }
        };
        Ok(Some(content))
    }

    fn json<T: Serialize>(
        target: Segment,
        operation: &'static str,
        params: &T,
    ) -> Result<Self, Trouble> {
        Self::typed(target, operation, params, ContentType::Json)
    }

    /// For documents: bytes take a third more in JSON.
    fn cbor<T: Serialize>(
        target: Segment,
        operation: &'static str,
        params: &T,
    ) -> Result<Self, Trouble> {
        Self::typed(target, operation, params, ContentType::Cbor)
    }

    fn typed<T: Serialize>(
        target: Segment,
        operation: &'static str,
        params: &T,
        encoding: ContentType,
    ) -> Result<Self, Trouble> {
        Ok(Self {
            target,
            operation: segment(operation),
            payload: encoded(encoding, params)?,
            encoding,
            save_to: None,
        })
    }

    fn gateway<T: Serialize>(operation: &'static str, params: &T) -> Result<Self, Trouble> {
        Self::json(segment(DeviceId::GATEWAY), operation, params)
    }

    fn money(operation: &'static str, money: Money) -> Result<Self, Trouble> {
        let amount = Amount {
            cents: money.amount,
            currency: money.currency,
        };
        let reference = money
            .reference
            .map(payment::Reference::try_from)
            .transpose()
            .map_err(|error| Trouble::Usage(texts::option(&"--reference", &error)))?;
        // A refund's parameters are the same.
        let params = payment::PayParams { amount, reference };
        Self::json(money.device, operation, &params)
    }

    fn generic(
        target: Segment,
        operation: Segment,
        params: Option<&str>,
        cbor: bool,
    ) -> Result<Self, Trouble> {
        let told = |error: &dyn std::fmt::Display| Trouble::Usage(texts::params(error));
        let text = given(params)?;
        let json = ContentType::Json;
        let (payload, encoding) = if cbor {
            let value: Value = json.decode(text.as_bytes()).map_err(|error| told(&error))?;
            (encoded(ContentType::Cbor, &value)?, ContentType::Cbor)
        } else {
            json.decode::<serde::de::IgnoredAny>(text.as_bytes())
                .map_err(|error| told(&error))?;
            // Sent to the letter: a repeated call must be the same call.
            (text.into_bytes(), json)
        };
        Ok(Self {
            target,
            operation,
            payload,
            encoding,
            save_to: None,
        })
    }
}

/// What the contract says of an operation, whatever the device's class: the longest and the most
/// serious of all operations of that name.
fn known(target: &Segment, operation: &Segment) -> (Duration, EffectKind) {
    let is_gateway = target.as_str() == DeviceId::GATEWAY;
    let candidates: Vec<&OperationSpec> = Class::ALL
        .iter()
        .filter(|class| (**class == Class::Gateway) == is_gateway)
        .flat_map(|class| class.own_operations())
        .filter(|spec| spec.name == operation.as_str())
        .collect();
    let longest = candidates.iter().map(|spec| spec.max_duration).max();
    let worst = candidates
        .iter()
        .map(|spec| spec.effect)
        .max_by_key(|effect| match effect {
            EffectKind::None => 0,
            EffectKind::Repeatable => 1,
            EffectKind::Once => 2,
        });
    (
        longest.unwrap_or(STRANGE_OPERATION),
        worst.unwrap_or(EffectKind::Once),
    )
}

/// The parameters as text: given, from a file, or from stdin.
fn given(params: Option<&str>) -> Result<String, Trouble> {
    let told =
        |name: &str, error: std::io::Error| Trouble::Usage(texts::params_file(&name, &error));
    let text = match params {
        None => "{}".to_owned(),
        Some("-") => {
            let mut text = String::new();
            std::io::stdin()
                .read_to_string(&mut text)
                .map_err(|error| told("stdin", error))?;
            text
        }
        Some(text) => match text.strip_prefix('@') {
            Some(file) => std::fs::read_to_string(file).map_err(|error| told(file, error))?,
            None => text.to_owned(),
        },
    };
    Ok(text.trim().to_owned())
}

/// The content of a file, or of stdin (`-`).
fn bytes(path: &Path) -> Result<Vec<u8>, Trouble> {
    let content = if path == Path::new("-") {
        let mut content = Vec::new();
        let read = std::io::stdin().read_to_end(&mut content);
        read.map(|_| content)
    } else {
        std::fs::read(path)
    };
    content.map_err(|error| Trouble::Usage(texts::unreadable_file(&path.display(), &error)))
}

fn encoded<T: Serialize>(encoding: ContentType, params: &T) -> Result<Vec<u8>, Trouble> {
    encoding
        .encode(params)
        .map_err(|error| Trouble::Usage(texts::params(&error)))
}

/// A name that stands in this file.
fn segment(name: &'static str) -> Segment {
    name.parse()
        .unwrap_or_else(|_| unreachable!("{name} is a topic segment"))
}

/// Sixteen hexadecimal digits that nobody used before.
fn random_id() -> Result<CallId, Trouble> {
    let random = getrandom::u64().map_err(|error| Trouble::Usage(texts::random(&error)))?;
    CallId::new(format!("{random:016x}"))
        .map_err(|error| Trouble::Usage(texts::option(&"--call", &error)))
}

#[cfg(test)]
mod tests {
    use clap::Parser;
    use koffer_proto::class::document_printer::{self, DocumentFormat};

    use super::super::args::Line;
    use super::*;

    fn asked(words: &[&str]) -> Result<Asked, Trouble> {
        let line = Line::try_parse_from(["kofferctl"].iter().chain(words)).unwrap();
        Asked::from_command(line.command, &line.options).map(Option::unwrap)
    }

    fn payload(words: &[&str]) -> Value {
        serde_json::from_slice(&asked(words).unwrap().payload).unwrap()
    }

    #[test]
    fn money_commands_send_what_the_contract_says() {
        assert_eq!(
            payload(&["pay", "ec", "37,80", "--reference", "PA-1"]),
            json!({"amount": {"cents": 3780, "currency": "EUR"}, "reference": "PA-1"})
        );
        assert_eq!(
            payload(&["refund", "ec", "5"]),
            json!({"amount": {"cents": 500, "currency": "EUR"}})
        );
        assert_eq!(payload(&["reverse", "ec", "231"]), json!({"receipt": 231}));
        assert!(asked(&["reverse", "ec", "0"]).is_err());
        assert!(asked(&["claim", "ec", "--lease", "2h"]).is_err());
    }

    #[test]
    fn a_document_goes_as_it_is_with_its_digest() {
        let form = "../hw-fixtures/documents/anschrift.pdf";
        let words = ["print", "a4", form, "--copies", "2", "--sides", "long-edge"];
        let asked = asked(&words).unwrap();
        let params: document_printer::PrintParams = asked.encoding.decode(&asked.payload).unwrap();
        let content = std::fs::read(form).unwrap();
        assert_eq!(params.document.format, DocumentFormat::Pdf);
        assert_eq!(params.document.sha256, koffer_proto::Sha256::of(&content));
        assert!(params.document.content.as_bytes() == content);
        assert_eq!(params.copies.map(document_printer::Copies::get), Some(2));
        assert_eq!(params.sides, document_printer::Sides::TwoSidedLongEdge);
        assert!(Line::try_parse_from(["kofferctl", "print", "a4", form, "--copies", "0"]).is_err());
    }

    #[test]
    fn what_is_no_document_or_not_there_is_not_sent() {
        for file in ["Cargo.toml", "/nowhere/at-all.pdf"] {
            let Err(Trouble::Usage(text)) = asked(&["print", "a4", file]) else {
                unreachable!("{file} was sent");
            };
            assert!(text.en.contains(file), "{text:?}");
        }
    }

    #[test]
    fn card_commands_take_hexadecimal_digits_and_status_words() {
        let sent = payload(&[
            "card",
            "c1",
            "transmit",
            "00A4000C020101",
            "00 b0 00 00 00=9000,62xx",
            "--accept",
            "61xx",
        ]);
        assert_eq!(
            sent,
            json!({"commands": [
                {"apdu": "AKQADAIBAQ==", "accept": ["61xx"]},
                {"apdu": "ALAAAAA=", "accept": ["9000", "62xx"]},
            ]})
        );
        assert_eq!(
            payload(&[
                "card",
                "c1",
                "write",
                "--file-id",
                "0101",
                "--offset",
                "4",
                "c0:ff:ee"
            ]),
            json!({"file": {"path": "0101"}, "offset": 4, "content": "wP/u"})
        );
        let read = [
            "card",
            "c1",
            "read",
            "--path",
            "3f00/0101",
            "--aid",
            "a000000077",
            "--to",
            "x",
        ];
        assert_eq!(
            payload(&read),
            json!({"file": {"application": "oAAAAHc=", "path": "3f00/0101"}})
        );
        let saved = asked(&read).unwrap().save_to;
        assert_eq!(saved.as_deref(), Some(Path::new("x")));
        for wrong in [
            &["card", "c1", "transmit", "00a"][..],
            &["card", "c1", "transmit", "00a4=90"],
            &["card", "c1", "write", "--path", "0101"],
            &["card", "c1", "write", "--path", "0101", "00", "--from", "x"],
            &["card", "c1", "read"],
            &["card", "c1", "read", "--path", "01"],
        ] {
            let words = ["kofferctl"].iter().chain(wrong);
            assert!(Line::try_parse_from(words).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn every_typed_command_is_a_request_of_the_contract() {
        let form = "../hw-fixtures/documents/anschrift.pdf";
        for (class, words) in [
            (Class::DocumentPrinter, &["print", "a4", form, "--grey"][..]),
            (
                Class::CardTerminal,
                &["card", "c1", "connect", "--protocol", "t1"],
            ),
            (
                Class::CardTerminal,
                &["card", "c1", "read", "--path", "0101"],
            ),
            (
                Class::CardTerminal,
                &["card", "c1", "write", "--path", "0101", "00"],
            ),
            (
                Class::CardTerminal,
                &["card", "c1", "transmit", "00a4000c020101"],
            ),
            (
                Class::CardTerminal,
                &["card", "c1", "verify-pin", "--reference", "0x81"],
            ),
            (
                Class::CardTerminal,
                &[
                    "card",
                    "c1",
                    "change-pin",
                    "--reference",
                    "1",
                    "--format",
                    "bcd",
                ],
            ),
            (
                Class::CardTerminal,
                &["card", "c1", "disconnect", "--then", "eject"],
            ),
            (Class::Payment, &["pay", "ec", "1", "--reference", "x"]),
            (Class::Payment, &["refund", "ec", "1"]),
            (Class::Payment, &["reverse", "ec", "1", "--amount", "2,50"]),
            (Class::Payment, &["end-of-day", "ec"]),
            (Class::Payment, &["status", "ec"]),
            (Class::Payment, &["receipt", "ec"]),
            (Class::Payment, &["claim", "ec", "--take-over"]),
            (Class::Payment, &["release", "ec", "token"]),
            (Class::Payment, &["self-test", "ec", "external"]),
            (Class::Payment, &["reset", "ec"]),
            (Class::Gateway, &["cancel", "x", "--client", "ws-1"]),
            (Class::Gateway, &["signal", "x", "finish"]),
            (Class::Gateway, &["calls"]),
            (Class::Gateway, &["diagnose"]),
            (Class::Gateway, &["devices", "--unbound"]),
            (Class::Gateway, &["schema", "payment", "pay"]),
        ] {
            let asked = asked(words).unwrap();
            let request = koffer_proto::Request::decode(
                class,
                asked.operation.as_str(),
                asked.encoding,
                &asked.payload,
            );
            assert!(request.is_ok(), "{words:?}: {request:?}");
            let spec = request.unwrap().spec();
            assert_eq!(asked.effect, spec.effect, "{words:?}");
            assert!(asked.timeout >= spec.max_duration, "{words:?}");
        }
    }

    #[test]
    fn what_this_version_does_not_know_is_treated_as_if_it_must_not_happen_twice() {
        assert!(asked(&["call", "x", "levitate"]).unwrap().is_once());
        assert!(asked(&["call", "x", "print"]).unwrap().is_once());
        assert!(!asked(&["call", "x", "status"]).unwrap().is_once());
        assert!(!asked(&["call", "gateway", "resolve"]).unwrap().is_once());
    }

    #[test]
    fn parameters_are_sent_to_the_letter_or_as_cbor() {
        let text = r#"{"b": 1,  "a": 2}"#;
        let call = asked(&["call", "x", "y", text]).unwrap();
        assert_eq!(call.payload, text.as_bytes());
        let call = asked(&["call", "x", "y", r#"{"a": 2}"#, "--cbor"]).unwrap();
        assert_eq!(call.payload, b"\xa1aa\x02");
        assert!(asked(&["call", "x", "y", "{"]).is_err());
        assert!(asked(&["call", "x", "y", "@/nowhere/at-all"]).is_err());
    }
}

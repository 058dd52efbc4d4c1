//! Operations: what can be called, with which effect, for how long.

use std::{fmt, time::Duration};

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::{
    ContentType, DecodeError, Sha256,
    class::{
        any_device, card_terminal, document_printer, fingerprint, gateway, payment, position,
        power, reader, receipt_printer, scanner, signature_pad, uplink,
    },
    encoding,
};

/// What an operation does to the world.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum EffectKind {
    /// Nothing: it asks.
    None,
    /// Something that may happen again: a capture, a scan.
    Repeatable,
    /// Something that must not happen twice: money, paper, a chip.
    Once,
}

/// One operation of the contract.
#[derive(Debug)]
pub struct OperationSpec {
    /// Its class.
    pub class: Class,
    /// Its name in the topic.
    pub name: &'static str,
    /// What it does to the world.
    pub effect: EffectKind,
    /// The longest it may take.
    pub max_duration: Duration,
    /// Whether its answers carry biometric or document content.
    pub confidential: bool,
    /// One sentence for people.
    pub summary: &'static str,
    /// The schema of its parameters.
    pub params: fn(&mut SchemaGenerator) -> Schema,
    /// The schema of its result.
    pub result: fn(&mut SchemaGenerator) -> Schema,
}

/// An operation is its class and its name.
impl PartialEq for OperationSpec {
    fn eq(&self, other: &Self) -> bool {
        (self.class, self.name) == (other.class, other.name)
    }
}

impl Eq for OperationSpec {}

impl OperationSpec {
    /// The URN of the parameters' schema, as descriptions name it.
    pub fn params_urn(&self) -> String {
        format!("urn:koffer:1:{}:{}:params", self.class, self.name)
    }

    /// The URN of the result's schema.
    pub fn result_urn(&self) -> String {
        format!("urn:koffer:1:{}:{}:result", self.class, self.name)
    }
}

/// An operation known at compile time: implemented by its parameters.
pub trait Operation: Serialize + DeserializeOwned {
    /// What it answers.
    type Result: Serialize + DeserializeOwned;
    /// Its place in the contract.
    const SPEC: &'static OperationSpec;
}

/// Why a call's payload is no request.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DecodeRequestError {
    /// The class has no operation of that name.
    #[error("a {class} has no operation {operation:?}; it has {known}")]
    NoSuchOperation {
        /// The class that was asked.
        class: Class,
        /// What it was asked for.
        operation: String,
        /// What it has.
        known: String,
    },
    /// The parameters do not fit.
    #[error(transparent)]
    Params(#[from] DecodeError),
}

/// Defines the operations of one class: their enum of requests and of responses, their specs,
/// the [`Operation`] of each parameter type, and what holds for the class as a whole.
macro_rules! operations {
    (
        $class:ident, locked_while_unresolved: $locked:literal, content: $content:expr;
        $(
            #[doc = $summary:literal]
            $op:ident($params:ty) -> $result:ty
                = $name:literal, $effect:ident, $seconds:literal s $(, $confidential:ident)?;
        )*
    ) => {
        /// A call of one of the class's operations.
        #[derive(Debug, Clone, PartialEq, serde::Serialize)]
        #[serde(untagged)]
        pub enum Request {
            $(#[doc = $summary] $op($params),)*
        }

        /// The result of one of the class's operations.
        #[derive(Debug, Clone, PartialEq, serde::Serialize)]
        #[serde(untagged)]
        pub enum Response {
            $(#[doc = $summary] $op($result),)*
        }

        /// Whether a device of the class takes nothing that must not happen twice while an outcome
        /// is unresolved.
        pub(crate) const LOCKED_WHILE_UNRESOLVED: bool = $locked;

        /// Bytes of files, pictures and documents in an answer.
        pub(crate) const CONTENT_BYTES: fn(&Response) -> usize = $content;

        /// The class's operations.
        pub const OPERATIONS: &[$crate::OperationSpec] = &[$($crate::OperationSpec {
            class: $crate::Class::$class,
            name: $name,
            effect: $crate::EffectKind::$effect,
            max_duration: std::time::Duration::from_secs($seconds),
            confidential: $crate::operation::operations!(@confidential $($confidential)?),
            summary: $summary.trim_ascii(),
            params: schemars::SchemaGenerator::root_schema_for::<$params>
                as fn(&mut schemars::SchemaGenerator) -> schemars::Schema,
            result: schemars::SchemaGenerator::root_schema_for::<$result>
                as fn(&mut schemars::SchemaGenerator) -> schemars::Schema,
        }),*];

        $crate::operation::operations!(@index 0; $($op($params) -> $result,)*);

        impl Request {
            /// The operation's place in the contract.
            pub fn spec(&self) -> &'static $crate::OperationSpec {
                match self {
                    $(Self::$op(_) => <$params as $crate::Operation>::SPEC,)*
                }
            }

            /// Reads the parameters of the operation `name`, with the fields that it passes over;
            /// `None` where the class has none of that name.
            pub(crate) fn decode(
                name: &str,
                encoding: $crate::ContentType,
                payload: &[u8],
            ) -> Option<Result<(Self, Vec<String>), $crate::DecodeError>> {
                match name {
                    $($name => {
                        let read = encoding.decode_noting(payload);
                        Some(read.map(|(params, ignored)| (Self::$op(params), ignored)))
                    })*
                    _ => None,
                }
            }
        }

        impl Response {
            /// Reads the result of the operation `name`; `None` where the class has none of
            /// that name.
            pub(crate) fn decode(
                name: &str,
                encoding: $crate::ContentType,
                payload: &[u8],
            ) -> Option<Result<Self, $crate::DecodeError>> {
                match name {
                    $($name => Some(encoding.decode(payload).map(Self::$op)),)*
                    _ => None,
                }
            }
        }

        $(
            impl From<$params> for $crate::Request {
                fn from(params: $params) -> Self {
                    $crate::Request::$class(Request::$op(params))
                }
            }
        )*
    };
    (@confidential) => { false };
    (@confidential confidential) => { true };
    (@index $index:expr; $op:ident($params:ty) -> $result:ty, $($rest:tt)*) => {
        impl $crate::Operation for $params {
            type Result = $result;
            const SPEC: &'static $crate::OperationSpec = &OPERATIONS[$index];
        }
        $crate::operation::operations!(@index $index + 1; $($rest)*);
    };
    (@index $index:expr;) => {};
}
pub(crate) use operations;

/// Defines the classes: their names, and the enums that span all of them.
macro_rules! classes {
    ($($(#[$doc:meta])* $class:ident = $name:literal in $module:ident;)*) => {
        /// A device class: which operations a device has.
        #[derive(
            Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash,
            Serialize, Deserialize, JsonSchema,
        )]
        #[serde(rename_all = "kebab-case")]
        pub enum Class {
            $($(#[$doc])* $class,)*
        }

        impl Class {
            /// Every class, in the order of the contract.
            pub const ALL: &[Self] = &[$(Self::$class),*];

            /// The name on the wire.
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$class => $name,)*
                }
            }

            /// Whether a device of this class takes nothing that must not happen twice while it
            /// is not known what became of an earlier call.
            pub fn is_locked_while_unresolved(self) -> bool {
                match self {
                    $(Self::$class => $module::LOCKED_WHILE_UNRESOLVED,)*
                }
            }

            /// The operations that are this class's own.
            pub fn own_operations(self) -> &'static [OperationSpec] {
                match self {
                    $(Self::$class => $module::OPERATIONS,)*
                }
            }
        }

        /// A call of any operation of any class.
        #[derive(Debug, Clone, PartialEq, Serialize)]
        #[serde(untagged)]
        pub enum Request {
            $($(#[$doc])* $class($module::Request),)*
        }

        /// The result of any operation of any class.
        #[derive(Debug, Clone, PartialEq, Serialize)]
        #[serde(untagged)]
        pub enum Response {
            $($(#[$doc])* $class($module::Response),)*
        }

        $(
            impl From<$module::Response> for Response {
                fn from(response: $module::Response) -> Self {
                    Self::$class(response)
                }
            }
        )*

        impl Response {
            /// Bytes of files, pictures and documents in it: they decide how it travels.
            pub fn content_bytes(&self) -> usize {
                match self {
                    $(Self::$class(response) => $module::CONTENT_BYTES(response),)*
                }
            }

            fn decode_own(
                class: Class,
                name: &str,
                encoding: ContentType,
                payload: &[u8],
            ) -> Option<Result<Self, DecodeError>> {
                match class {
                    $(Class::$class => $module::Response::decode(name, encoding, payload)
                        .map(|response| response.map(Self::$class)),)*
                }
            }
        }

        impl Request {
            /// The operation's place in the contract.
            pub fn spec(&self) -> &'static OperationSpec {
                match self {
                    $(Self::$class(request) => request.spec(),)*
                }
            }

            fn decode_own(
                class: Class,
                name: &str,
                encoding: ContentType,
                payload: &[u8],
            ) -> Option<Result<(Self, Vec<String>), DecodeError>> {
                match class {
                    $(Class::$class => $module::Request::decode(name, encoding, payload)
                        .map(|read| read.map(|(request, ignored)| (Self::$class(request), ignored))),)*
                }
            }
        }
    };
}

classes! {
    /// What every device can do.
    AnyDevice = "any-device" in any_device;
    /// The gateway itself.
    Gateway = "gateway" in gateway;
    /// A card payment terminal.
    Payment = "payment" in payment;
    /// A printer for documents.
    DocumentPrinter = "document-printer" in document_printer;
    /// A printer for receipts.
    ReceiptPrinter = "receipt-printer" in receipt_printer;
    /// A chip card terminal.
    CardTerminal = "card-terminal" in card_terminal;
    /// A fingerprint sensor.
    Fingerprint = "fingerprint" in fingerprint;
    /// A signature pad.
    SignaturePad = "signature-pad" in signature_pad;
    /// A document scanner.
    Scanner = "scanner" in scanner;
    /// A reader of MRZs and barcodes.
    Reader = "reader" in reader;
    /// A modem or other way to the outside.
    Uplink = "uplink" in uplink;
    /// A position receiver.
    Position = "position" in position;
    /// A power supply or battery.
    Power = "power" in power;
}

impl Class {
    /// Every operation of a device of this class: its own, and what every device can do.
    pub fn operations(self) -> impl Iterator<Item = &'static OperationSpec> {
        self.lineage().flat_map(Self::own_operations)
    }

    /// The classes whose operations a device of this class has: its own before every device's.
    fn lineage(self) -> impl Iterator<Item = Self> {
        let every_device = match self {
            Self::AnyDevice | Self::Gateway => None,
            _ => Some(Self::AnyDevice),
        };
        std::iter::once(self).chain(every_device)
    }

    /// The operation `name` of a device of this class.
    pub fn operation(self, name: &str) -> Option<&'static OperationSpec> {
        self.operations().find(|spec| spec.name == name)
    }
}

impl fmt::Display for Class {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Request {
    /// Reads a call's payload.
    pub fn decode(
        class: Class,
        operation: &str,
        encoding: ContentType,
        payload: &[u8],
    ) -> Result<Self, DecodeRequestError> {
        Self::decode_noting(class, operation, encoding, payload).map(|(request, _)| request)
    }

    /// As [`Request::decode`], with the paths of the fields that version 1 does not know.
    pub fn decode_noting(
        class: Class,
        operation: &str,
        encoding: ContentType,
        payload: &[u8],
    ) -> Result<(Self, Vec<String>), DecodeRequestError> {
        class
            .lineage()
            .find_map(|class| Self::decode_own(class, operation, encoding, payload))
            .ok_or_else(|| {
                let known: Vec<_> = class.operations().map(|spec| spec.name).collect();
                DecodeRequestError::NoSuchOperation {
                    class,
                    operation: operation.to_owned(),
                    known: known.join(", "),
                }
            })?
            .map_err(DecodeRequestError::Params)
    }

    /// The SHA-256 of the call's canonical content: where it goes, what it asks for, and its
    /// parameters in CBOR in the order of their definition. The same call in JSON and in CBOR
    /// has the same digest; fields that version 1 does not know do not count.
    pub fn digest(&self, target: &crate::Segment) -> Result<Sha256, crate::EncodeError> {
        encoding::digest_cbor(&(target, self.spec().name, self))
    }
}

impl Response {
    /// Reads the result of an operation; `None` where the class has none of that name.
    pub fn decode(
        class: Class,
        operation: &str,
        encoding: ContentType,
        payload: &[u8],
    ) -> Option<Result<Self, DecodeError>> {
        class
            .lineage()
            .find_map(|class| Self::decode_own(class, operation, encoding, payload))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_operation_is_a_topic_segment_and_has_its_sentence() {
        for class in Class::ALL {
            let mut names: Vec<_> = class.operations().map(|spec| spec.name).collect();
            for spec in class.own_operations() {
                assert_eq!(spec.class, *class);
                assert!(spec.name.parse::<crate::Segment>().is_ok(), "{}", spec.name);
                assert!(spec.summary.ends_with('.'), "{class} {}", spec.name);
                assert!(!spec.max_duration.is_zero(), "{class} {}", spec.name);
            }
            names.sort_unstable();
            let all = names.len();
            names.dedup();
            assert_eq!(names.len(), all, "{class} has two operations of one name");
        }
    }

    #[test]
    fn the_digest_of_a_call_is_that_of_its_cbor() {
        // One document, and one flattened value whose number of fields is known only at its end.
        let content = crate::Blob::from(vec![7; 100_000]);
        let printed = document_printer::PrintParams {
            document: document_printer::Document {
                format: document_printer::DocumentFormat::Pdf,
                sha256: content.sha256(),
                content,
            },
            copies: None,
            sides: document_printer::Sides::default(),
            media: None,
            colour: None,
        };
        let calls = [
            Request::from(printed),
            Request::from(any_device::ResetParams {}),
        ];
        for call in calls {
            let target = "printer-1".parse().unwrap();
            let content = (&target, call.spec().name, &call);
            let content = ContentType::Cbor.encode(&content).unwrap();
            assert_eq!(call.digest(&target), Ok(Sha256::of(&content)));
        }
    }

    #[test]
    fn what_must_not_happen_twice_is_what_the_contract_says() {
        let once: Vec<_> = Class::ALL
            .iter()
            .flat_map(|class| class.own_operations())
            .filter(|spec| spec.effect == EffectKind::Once)
            .map(|spec| format!("{} {}", spec.class, spec.name))
            .collect();
        assert_eq!(
            once,
            [
                "payment pay",
                "payment reverse",
                "payment refund",
                "payment end-of-day",
                "document-printer print",
                "receipt-printer print",
                "receipt-printer open-drawer",
                "card-terminal transmit",
                "card-terminal write",
            ]
        );
    }

    #[test]
    fn the_same_call_has_one_digest_in_both_encodings() {
        let params = serde_json::json!({
            "reference": "PA-2026-00417", "unknown": 1,
            "amount": {"currency": "EUR", "cents": 3780},
        });
        let target = "ec-terminal".parse().unwrap();
        let digest = |encoding: ContentType, params: &serde_json::Value| {
            let payload = encoding.encode(params).unwrap();
            Request::decode(Class::Payment, "pay", encoding, &payload)
                .unwrap()
                .digest(&target)
                .unwrap()
        };
        let json = digest(ContentType::Json, &params);
        assert_eq!(json, digest(ContentType::Cbor, &params));
        let other = serde_json::json!({"amount": {"currency": "EUR", "cents": 3781}});
        assert_ne!(json, digest(ContentType::Json, &other));
    }

    #[test]
    fn an_unknown_operation_is_answered_with_the_known_ones() {
        let error = Request::decode(Class::Power, "explode", ContentType::Json, b"").unwrap_err();
        assert_eq!(
            error.to_string(),
            "a power has no operation \"explode\"; it has status, claim, release, self-test, \
             identify, reset"
        );
    }
}

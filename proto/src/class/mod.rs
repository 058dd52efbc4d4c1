//! The device classes: operations, their parameters and results.
//!
//! One file per class. Parameters carry their bounds in their types, so that what decodes can be
//! started. Every field that is optional on the wire is left out, not null, where it is absent.

pub mod any_device;
pub mod card_terminal;
pub mod document_printer;
pub mod fingerprint;
pub mod gateway;
pub mod payment;
pub mod position;
pub mod power;
pub mod reader;
pub mod receipt_printer;
pub mod scanner;
pub mod signature_pad;
pub mod uplink;

/// Defines parameters or results without fields: `{}` on the wire.
macro_rules! empty {
    ($($(#[$doc:meta])* $name:ident;)*) => {$(
        $(#[$doc])*
        #[derive(
            Debug, Clone, Default, PartialEq, Eq,
            serde::Serialize, serde::Deserialize, schemars::JsonSchema,
        )]
        pub struct $name {}
    )*};
}
pub(crate) use empty;

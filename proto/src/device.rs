//! What a device is and how it is: the retained documents, and events.

use std::collections::BTreeMap;

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Class, Currency, DeviceId, EffectKind, OperationSpec, Segment, Text};

/// `<root>/dev/<device>`: what a device is. Retained, JSON.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Description {
    /// Which operations it has.
    pub class: Class,
    /// The driver that serves it, e.g. `zvt`.
    pub driver: String,
    /// What the device says it is.
    #[serde(flatten)]
    pub identity: Identity,
    /// How it is connected.
    pub connection: Connection,
    /// What it can do, with the effect and limits of each.
    pub operations: BTreeMap<String, OperationDescription>,
    /// What the class leaves open, e.g. paper formats.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub capabilities: Option<Capabilities>,
    /// Of the gateway: its roles.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub roles: BTreeMap<Segment, RoleDescription>,
}

/// A role: a name that stands for the first of some devices that is ready and able.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RoleDescription {
    /// In the order in which they are tried: each stands in for those before it.
    pub devices: Vec<DeviceId>,
    /// The first that does its work now; absent where none does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub serves: Option<DeviceId>,
}

/// What a device says it is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Identity {
    /// The maker.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub vendor: Option<String>,
    /// The model.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// The serial number, or what stands for it (a terminal id).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub serial: Option<String>,
    /// The version of its software.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub firmware: Option<String>,
}

/// How a device is connected.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Connection {
    /// A TCP endpoint.
    Tcp {
        /// `host:port`.
        address: String,
    },
    /// A serial line.
    Serial {
        /// The device node or its stable link.
        path: String,
    },
    /// A USB device.
    Usb {
        /// Bus and port path, e.g. `1-1.4`.
        port: String,
        /// Vendor id, four hexadecimal digits.
        vid: String,
        /// Product id, four hexadecimal digits.
        pid: String,
    },
    /// A PC/SC reader.
    Pcsc {
        /// The reader's name.
        reader: String,
    },
    /// A URL, e.g. of an IPP printer.
    Url {
        /// The URL, without credentials.
        url: String,
    },
    /// Another process.
    Process {
        /// Its name.
        name: String,
    },
    /// Inside the gateway.
    Internal,
}

impl Connection {
    /// Where the gateway reaches the device, in one word; `None` for what is inside the gateway.
    pub fn address(&self) -> Option<String> {
        Some(match self {
            Self::Tcp { address } => address.clone(),
            Self::Serial { path } => path.clone(),
            Self::Usb { port, vid, pid } => format!("usb {port} {vid}:{pid}"),
            Self::Pcsc { reader } => reader.clone(),
            Self::Url { url } => url.clone(),
            Self::Process { name } => name.clone(),
            Self::Internal => return None,
        })
    }
}

/// What an app needs to know to call one operation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct OperationDescription {
    /// What it does to the world.
    pub effect: EffectKind,
    /// The longest it may take; a longer message expiry counts as this.
    pub max_duration_ms: u64,
    /// Whether its answers carry biometric or document content (QoS 0, kept 120 s at most).
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub confidential: bool,
    /// The JSON Schema of its parameters: a URN that `gateway/schema` resolves.
    pub schema: String,
}

impl From<&OperationSpec> for OperationDescription {
    fn from(spec: &OperationSpec) -> Self {
        Self {
            effect: spec.effect,
            max_duration_ms: u64::try_from(spec.max_duration.as_millis()).unwrap_or(u64::MAX),
            confidential: spec.confidential,
            schema: spec.params_urn(),
        }
    }
}

/// What a class leaves open and a device settles.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Capabilities {
    /// A payment terminal.
    Payment(PaymentCapabilities),
    /// A document printer.
    DocumentPrinter(PrinterCapabilities),
    /// A card terminal.
    CardTerminal(CardTerminalCapabilities),
}

/// What a payment terminal settles.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PaymentCapabilities {
    /// The currencies it takes.
    pub currencies: Vec<Currency>,
    /// Whether receipts come to the app (`true`) or out of the terminal's own printer.
    pub receipts_to_app: bool,
}

/// What a document printer settles. Keywords are IPP's.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PrinterCapabilities {
    /// MIME types it takes.
    pub formats: Vec<String>,
    /// PWG media names it supports.
    pub media: Vec<String>,
    /// PWG media names that lie in its trays.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub media_ready: Vec<String>,
    /// `one-sided`, `two-sided-long-edge`, `two-sided-short-edge`.
    pub sides: Vec<String>,
    /// The most copies in one job.
    pub copies_max: u32,
    /// Whether it prints colour.
    pub colour: bool,
}

/// What a card terminal settles.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CardTerminalCapabilities {
    /// A PIN can be verified on its own pad.
    pub verify_pin: bool,
    /// A PIN can be changed on its own pad.
    pub change_pin: bool,
    /// It runs PACE itself.
    pub pace: bool,
}

/// `<root>/dev/<device>/state`: how a device is. Retained, JSON.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct StateDocument {
    /// How it is.
    pub state: DeviceState,
    /// Since when.
    pub since: Timestamp,
    /// Why, and what a person can do; empty when all is well.
    pub reasons: Vec<Reason>,
    /// Counts how often the device was attached since the gateway started, from 1.
    pub generation: u64,
}

/// How a device is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum DeviceState {
    /// The driver makes contact.
    Starting,
    /// It takes calls.
    Ready,
    /// A call runs.
    Busy,
    /// A client holds a claim.
    Claimed,
    /// It takes calls, and something needs attention soon.
    Degraded,
    /// It takes no calls until somebody or something mends it.
    Fault,
    /// It is not there.
    Absent,
}

impl DeviceState {
    /// The word as it stands on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Ready => "ready",
            Self::Busy => "busy",
            Self::Claimed => "claimed",
            Self::Degraded => "degraded",
            Self::Fault => "fault",
            Self::Absent => "absent",
        }
    }
}

/// One reason of a state.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Reason {
    /// Stable keyword; IPP `printer-state-reasons` where they fit (`media-empty`, `cover-open`).
    pub keyword: String,
    /// What happened and what a person can do.
    pub text: Text,
}

impl Reason {
    /// A reason with its sentences in German and English.
    pub fn new(keyword: &str, de: impl Into<String>, en: impl Into<String>) -> Self {
        Self {
            keyword: keyword.to_owned(),
            text: Text::new(de, en),
        }
    }
}

/// `<root>/dev/<device>/event/<type>`: something that happened. Not retained, JSON, never content.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DeviceEvent {
    /// When.
    pub at: Timestamp,
    /// In which generation of the device.
    pub generation: u64,
    /// What.
    pub event: EventKind,
}

/// What can happen at a device outside of calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
#[expect(missing_docs, reason = "each keyword says it")]
pub enum EventKind {
    CardInserted,
    CardRemoved,
    ReaderAttached,
    ReaderDetached,
    PaperLow,
    PaperEmpty,
    PaperLoaded,
    PaperJam,
    CoverOpen,
    CoverClosed,
    DrawerOpen,
    DrawerClosed,
    FeederLoaded,
    FeederEmpty,
    MrzRead,
    BarcodeRead,
    OnBattery,
    OnMains,
    UplinkUp,
    UplinkDown,
    TerminalIdle,
}

impl EventKind {
    /// The event's segment in the topic.
    pub fn segment(self) -> Segment {
        let keyword = serde_json::to_value(self)
            .ok()
            .and_then(|v| v.as_str().map(str::to_owned));
        keyword
            .and_then(|keyword| Segment::try_from(keyword).ok())
            .unwrap_or_else(|| unreachable!("every keyword is kebab-case"))
    }
}

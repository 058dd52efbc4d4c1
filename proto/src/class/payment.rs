//! Card payment terminals.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::empty;
use crate::{
    Amount, Cents, Currency,
    bound::{bounded_number, bounded_text},
    operation::operations,
};

operations! {
    Payment, locked_while_unresolved: true, content: |_| 0;
    /// Takes a card payment.
    Pay(PayParams) -> Transaction = "pay", Once, 600 s;
    /// Takes back a payment of the running business day, whole.
    Reverse(ReverseParams) -> Transaction = "reverse", Once, 600 s;
    /// Gives money back to a card.
    Refund(RefundParams) -> Transaction = "refund", Once, 600 s;
    /// Closes the business day: the terminal transfers its turnover.
    EndOfDay(EndOfDayParams) -> Closing = "end-of-day", Once, 900 s;
    /// Repeats the receipt of the last transaction.
    Receipt(ReceiptParams) -> RepeatedReceipt = "receipt", Repeatable, 120 s;
    /// Asks the terminal how it is.
    Status(StatusParams) -> TerminalStatus = "status", None, 30 s;
    /// Has the terminal test its line to the payment host.
    Diagnose(DiagnoseParams) -> HostDiagnosis = "diagnose", Repeatable, 300 s;
}

bounded_text! {
    /// The app's own reference of the transaction: a file number, an order.
    Reference in 1..=64;
}

bounded_number! {
    /// A receipt number as terminals print it: 1 to 9999, then again from 1.
    ReceiptNumber(u16) in 1..=9999;
}

/// Parameters of `pay`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PayParams {
    /// How much.
    pub amount: Amount,
    /// The app's own reference; kept with the call, not sent to the terminal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reference: Option<Reference>,
}

/// Parameters of `reverse`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ReverseParams {
    /// The receipt number of the payment.
    pub receipt: ReceiptNumber,
    /// The payment's amount: when it is given, the answer is checked against it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub amount: Option<Amount>,
}

/// Parameters of `refund`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RefundParams {
    /// How much.
    pub amount: Amount,
    /// The app's own reference; kept with the call, not sent to the terminal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reference: Option<Reference>,
}

/// A booked transaction.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Transaction {
    /// The receipt number, where the terminal tells it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub receipt: Option<u16>,
    /// The trace number, where the terminal tells it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trace: Option<u32>,
    /// The terminal id (TID).
    pub terminal: String,
    /// What was booked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub amount: Option<Amount>,
    /// The card's product name, e.g. `girocard`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub card: Option<String>,
    /// The card number: the last four digits at most, the others masked with `*`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pan: Option<String>,
    /// The authorisation code.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub authorisation: Option<String>,
    /// The merchant's contract number (VU number).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub merchant: Option<String>,
    /// The terminal's own date and time, `MM-DDThh:mm:ss`: local, and without a year.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub terminal_time: Option<String>,
    /// Whether the outcome was found out after contact was lost.
    pub recovered: bool,
    /// The receipts, where the terminal leaves printing to the app.
    pub receipts: Vec<Receipt>,
}

/// Whom a receipt is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ReceiptCopy {
    /// The citizen.
    Customer,
    /// The town.
    Merchant,
    /// The town, for end-of-day and diagnosis.
    Administration,
}

/// A receipt as the terminal words it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Receipt {
    /// Whom it is for.
    pub copy: ReceiptCopy,
    /// Whether the citizen must sign it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub signature_required: bool,
    /// Its lines.
    pub lines: Vec<ReceiptLine>,
}

/// One line of a receipt.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ReceiptLine {
    /// The text; card numbers are masked.
    pub text: String,
    /// Where it stands; left unless said otherwise.
    #[serde(default, skip_serializing_if = "Align::is_left")]
    pub align: Align,
    /// In double width.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub double_width: bool,
    /// In double height.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub double_height: bool,
}

/// Where a line stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Align {
    /// At the left.
    #[default]
    Left,
    /// In the middle.
    Centre,
    /// At the right.
    Right,
}

impl Align {
    /// Whether this is the default.
    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands a reference")]
    pub(crate) fn is_left(&self) -> bool {
        *self == Self::Left
    }
}

/// Result of `end-of-day`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Closing {
    /// The trace number of the closing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trace: Option<u32>,
    /// The terminal id.
    pub terminal: String,
    /// What was transferred, all cards together; absent where the terminal does not say.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub total: Option<ClosingTotal>,
    /// The same by card, in the terminal's order.
    pub by_card: Vec<CardTotal>,
    /// The receipts, where the terminal leaves printing to the app.
    pub receipts: Vec<Receipt>,
}

/// A closing's sum. Refunds count negative, so cents are signed here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ClosingTotal {
    /// The sum in minor units.
    pub cents: i64,
    /// In which currency.
    pub currency: Currency,
}

/// A closing's sum for one kind of card.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CardTotal {
    /// The card's name.
    pub card: String,
    /// How many transactions.
    pub count: u32,
    /// Their sum in minor units of the total's currency.
    pub cents: i64,
}

/// Result of `receipt`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RepeatedReceipt {
    /// What the receipt is about, where the terminal tells.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub transaction: Option<LastTransaction>,
    /// The receipts.
    pub receipts: Vec<Receipt>,
}

/// What a terminal remembers of its last transaction.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LastTransaction {
    /// The receipt number.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub receipt: Option<u16>,
    /// The trace number.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trace: Option<u32>,
    /// The amount in minor units.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cents: Option<Cents>,
    /// Whether it was booked.
    pub booked: bool,
}

/// Result of `status`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TerminalStatus {
    /// The terminal id, where it is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub terminal: Option<String>,
    /// Whether it can take a payment now.
    pub ready: bool,
    /// The terminal's own status code, two hexadecimal digits.
    pub code: String,
    /// What it means and what to do, in the caller's language.
    pub message: String,
}

/// Result of `diagnose`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct HostDiagnosis {
    /// Whether the host was reached.
    pub host_reached: bool,
    /// What the terminal says of it, in the caller's language.
    pub message: String,
    /// The receipts, where the terminal leaves printing to the app.
    pub receipts: Vec<Receipt>,
}

empty! {
    /// Parameters of `end-of-day`.
    EndOfDayParams;
    /// Parameters of `receipt`.
    ReceiptParams;
    /// Parameters of `status`.
    StatusParams;
    /// Parameters of `diagnose`.
    DiagnoseParams;
}

//! What kind of terminal is simulated.

use serde::{Deserialize, Serialize};

use super::cardholder::Cardholder;

/// The make and the state of a terminal. Read from TOML, changed at run time by the verb `set`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a switch of its own on a real terminal"
)]
pub struct Profile {
    /// BMP 29, eight digits.
    pub terminal_id: u32,
    /// Six digits.
    pub password: String,
    /// First line of receipts.
    pub merchant: String,
    /// BMP 2A, at most 15 characters.
    pub vu: String,
    /// Software version in the answer to 05 01.
    pub software: String,
    /// Receipt number of the first transaction of an empty ledger, 1-9999.
    pub first_receipt: u16,
    /// Trace number of the first transaction of an empty ledger, 1-999999.
    pub first_trace: u32,
    /// What happens to a booking whose 04 0F is not acknowledged.
    pub missing_ack: MissingAck,
    /// An automatic reversal has the receipt number of its payment and is what 06 20 repeats.
    /// Otherwise it leaves no receipt and the number is used again.
    pub auto_reversal_leaves_receipt: bool,
    /// A declined payment takes a receipt number and is what 06 20 repeats.
    pub declined_takes_receipt: bool,
    /// T3: how long the terminal waits for 80 00.
    pub ack_timeout_ms: u64,
    /// T2: how long it waits for the 06 of a serial frame before it repeats.
    pub frame_ack_timeout_ms: u64,
    /// How long it waits for a card or a PIN.
    pub card_timeout_ms: u64,
    /// How many hours its clock is ahead.
    pub clock_ahead_h: i64,
    /// Drops an idle TCP connection after this time; 0 never does.
    pub idle_drop_ms: u64,
    /// Sends in pieces of at most this many bytes; 0 does not.
    pub split: usize,
    /// A transaction goes on when the connection is lost. Otherwise it is cancelled, unless it is
    /// with the host already.
    pub continues_alone: bool,
    /// While it waits for a card it answers other commands as if it did nothing: 06 00 is taken,
    /// 05 01 says 00, 06 20 shows the last entry.
    pub hides_work: bool,
    /// An end of day is due: payments are refused with F0.
    pub closing_lock: bool,
    /// 06 93 is due: 05 01 says 51, payments are refused with it.
    pub needs_initialisation: bool,
    /// 06 70 is due: C2.
    pub needs_diagnosis: bool,
    /// 06 91 is due: 62.
    pub needs_time: bool,
    /// A completion (06 0F) follows the acknowledgement of 06 91.
    pub set_time_completes: bool,
    /// The merchant's copy shows the whole card number.
    pub open_pan_on_merchant_copy: bool,
    /// Can send 06 D3, and does where the ECR permits it.
    pub print_blocks: bool,
    /// Adds the display text (TLV 24) to 04 FF where the ECR offered a container.
    pub display_texts: bool,
    /// Character sets that it agrees to, by the values of TLV 14.
    pub charsets: Vec<u8>,
    /// Which receipts can be reversed.
    pub reverses: Reverses,
    /// Answers 06 10.
    pub tells_turnover: bool,
    /// An end of day clears what 06 20 repeats.
    pub closing_clears_last: bool,
    /// When 06 20 sends 04 0F.
    pub repeat_status: RepeatStatus,
    /// 04 0F with the result precedes the 06 1E of a cancelled payment, too.
    pub status_before_abort: bool,
    /// The cardholder of every transaction for which no other was set.
    pub cardholder: Cardholder,
}

impl Default for Profile {
    fn default() -> Self {
        Self {
            terminal_id: 68_000_123,
            password: "000000".into(),
            merchant: "Stadt Musterhausen".into(),
            vu: "KOFFER-SIM".into(),
            software: "KOFFER-SIM 1.0".into(),
            first_receipt: 1,
            first_trace: 1,
            missing_ack: MissingAck::Reverses,
            auto_reversal_leaves_receipt: true,
            declined_takes_receipt: false,
            ack_timeout_ms: 5_000,
            frame_ack_timeout_ms: 5_000,
            card_timeout_ms: 30_000,
            clock_ahead_h: 0,
            idle_drop_ms: 0,
            split: 0,
            continues_alone: true,
            hides_work: false,
            closing_lock: false,
            needs_initialisation: false,
            needs_diagnosis: false,
            needs_time: false,
            set_time_completes: true,
            open_pan_on_merchant_copy: false,
            print_blocks: true,
            display_texts: true,
            charsets: vec![0xFE, 0x0F, 0xFF],
            reverses: Reverses::Any,
            tells_turnover: true,
            closing_clears_last: false,
            repeat_status: RepeatStatus::Asked,
            status_before_abort: false,
            cardholder: Cardholder::default(),
        }
    }
}

/// Two chapters, two terminals.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum MissingAck {
    /// Chapter 2.2.8.
    Reverses,
    /// Chapter 4.
    Keeps,
}

/// Some makes only reverse what came last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reverses {
    /// Every receipt since the last end of day.
    Any,
    /// The last transaction.
    Last,
}

/// Makes differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RepeatStatus {
    /// With service bit 01.
    Asked,
    /// Every time.
    Always,
    /// Never.
    Never,
}

impl Profile {
    /// This profile with the given keys changed; an object inside is changed key by key.
    pub fn patched(&self, patch: serde_json::Value) -> Result<Self, serde_json::Error> {
        let mut value = serde_json::to_value(self)?;
        merge(&mut value, patch);
        serde_json::from_value(value)
    }

    /// What is wrong with it, and the remedy, one sentence each.
    pub fn mistakes(&self) -> Vec<String> {
        let mut mistakes = Vec::new();
        let mut check = |good: bool, sentence: &str| {
            if !good {
                mistakes.push(sentence.to_owned());
            }
        };
        let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
        check(
            self.terminal_id <= 99_999_999,
            "terminal_id: has at most eight digits",
        );
        check(
            self.password.len() == 6 && digits(&self.password),
            "password: write six digits in quotes, such as \"000000\"",
        );
        check(
            (1..=9999).contains(&self.first_receipt),
            "first_receipt: must be 1 to 9999",
        );
        check(
            (1..=999_999).contains(&self.first_trace),
            "first_trace: must be 1 to 999999",
        );
        check(
            self.vu.len() <= 15 && self.vu.is_ascii(),
            "vu: at most 15 ASCII characters",
        );
        let pan = &self.cardholder.card.pan;
        check(
            (8..=19).contains(&pan.len()) && digits(pan),
            "cardholder.card.pan: write 8 to 19 digits in quotes",
        );
        mistakes
    }
}

/// RFC 7396, without removal.
fn merge(value: &mut serde_json::Value, patch: serde_json::Value) {
    match (value, patch) {
        (serde_json::Value::Object(value), serde_json::Value::Object(patch)) => {
            for (key, change) in patch {
                merge(value.entry(key).or_insert(serde_json::Value::Null), change);
            }
        }
        (value, patch) => *value = patch,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_patch_changes_only_what_it_names() {
        let profile = Profile::default();
        let patched = profile
            .patched(json!({"closing_lock": true, "cardholder": {"pin": ["wrong", "ok"]}}))
            .unwrap();
        assert!(patched.closing_lock);
        assert_eq!(patched.cardholder.pin.len(), 2);
        assert_eq!(patched.cardholder.card, profile.cardholder.card);
        assert!(profile.patched(json!({"colour": "red"})).is_err());
        assert_eq!(profile.mistakes(), Vec::<String>::new());
        let bad = Profile {
            password: "12".into(),
            ..profile
        };
        assert!(bad.mistakes()[0].starts_with("password"));
    }
}

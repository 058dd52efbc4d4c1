//! Status codes and the promise about effects.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How a call ended.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum Status {
    /// Done as asked.
    Ok,
    /// The call itself is malformed: a field, a property, its size. Nothing was started.
    BadRequest,
    /// The device's class or driver has no such operation or option. Nothing was started.
    Unsupported,
    /// The caller may not do that. Nothing was started.
    Denied,
    /// Neither a device nor a role of that name. Nothing was started.
    UnknownDevice,
    /// The device is not usable right now. Nothing was started.
    Unavailable,
    /// Too many of the client's own calls wait. Nothing was started.
    Busy,
    /// Another client holds a claim on the device. Nothing was started.
    Claimed,
    /// The deadline passed before the device was touched. Nothing was started.
    Expired,
    /// The call id was used before with other content. Nothing was started.
    Conflict,
    /// The device did its work and said no.
    Declined,
    /// Stopped at the caller's wish; the effect is stated.
    Cancelled,
    /// Not finished by the deadline; the effect is stated.
    TimedOut,
    /// The device failed; the effect is stated.
    DeviceFault,
    /// It may have happened: never repeat, resolve.
    OutcomeUnknown,
}

impl Status {
    /// Every status, in the order of the contract.
    pub const ALL: [Self; 15] = [
        Self::Ok,
        Self::BadRequest,
        Self::Unsupported,
        Self::Denied,
        Self::UnknownDevice,
        Self::Unavailable,
        Self::Busy,
        Self::Claimed,
        Self::Expired,
        Self::Conflict,
        Self::Declined,
        Self::Cancelled,
        Self::TimedOut,
        Self::DeviceFault,
        Self::OutcomeUnknown,
    ];

    /// The code as it stands on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::BadRequest => "bad-request",
            Self::Unsupported => "unsupported",
            Self::Denied => "denied",
            Self::UnknownDevice => "unknown-device",
            Self::Unavailable => "unavailable",
            Self::Busy => "busy",
            Self::Claimed => "claimed",
            Self::Expired => "expired",
            Self::Conflict => "conflict",
            Self::Declined => "declined",
            Self::Cancelled => "cancelled",
            Self::TimedOut => "timed-out",
            Self::DeviceFault => "device-fault",
            Self::OutcomeUnknown => "outcome-unknown",
        }
    }

    /// Whether a completion with this status may state `effect`.
    ///
    /// The four that start and do not finish state theirs; every other failure left the world
    /// as it was, and `outcome-unknown` says just that. `ok` states nothing: it is done.
    pub fn allows(self, effect: Effect) -> bool {
        match self {
            Self::Ok => effect == Effect::Done,
            Self::OutcomeUnknown => effect == Effect::Unknown,
            Self::Cancelled | Self::TimedOut | Self::DeviceFault => true,
            _ => effect == Effect::None,
        }
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What became of the effect: whether money moved, paper came out, the chip was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Effect {
    /// Nothing happened.
    None,
    /// It happened.
    Done,
    /// Some of it happened; `detail` says how much.
    Partial,
    /// It may have happened.
    Unknown,
}

impl Effect {
    /// Every effect.
    pub const ALL: [Self; 4] = [Self::None, Self::Done, Self::Partial, Self::Unknown];

    /// The word as it stands on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Done => "done",
            Self::Partial => "partial",
            Self::Unknown => "unknown",
        }
    }
}

impl fmt::Display for Effect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_wire_words_are_the_display_words() {
        for status in Status::ALL {
            assert_eq!(serde_json::to_value(status).unwrap(), status.as_str());
        }
        for effect in Effect::ALL {
            assert_eq!(serde_json::to_value(effect).unwrap(), effect.as_str());
        }
    }

    #[test]
    fn a_refusal_never_claims_an_effect() {
        assert!(Status::Busy.allows(Effect::None));
        assert!(!Status::Busy.allows(Effect::Unknown));
        assert!(!Status::Declined.allows(Effect::Done));
        assert!(!Status::OutcomeUnknown.allows(Effect::None));
        assert!(Status::TimedOut.allows(Effect::Partial));
    }
}

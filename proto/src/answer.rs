//! The one completion that ends every accepted call.

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::{ClientId, DeviceId, Effect, Response, Status};

/// How a call ended, and what became of its effect.
///
/// On the wire: `{"status": "ok", "device": …, "result": {…}}` or
/// `{"status": "<code>", "effect": "…", "device": …, "message": "…", "detail": {…}}`.
#[derive(Debug, Clone, PartialEq)]
pub struct Completion<R> {
    /// The device that did it or tried; absent where none was reached.
    pub device: Option<DeviceId>,
    /// What came of it.
    pub outcome: Outcome<R>,
    /// Fields of the call that version 1 does not know: they had no effect.
    pub ignored: Vec<String>,
}

/// What came of a call.
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome<R> {
    /// Done; the result.
    Ok(R),
    /// Not done, or not known.
    Failed(Failure),
}

/// Why a call was not done, what became of its effect, and what a person can do.
#[derive(Debug, Clone, PartialEq)]
pub struct Failure {
    status: Status,
    effect: Effect,
    /// One or two sentences in the caller's language: what happened, and what to do.
    pub message: String,
    /// The same for programs.
    pub detail: Box<Detail>,
}

/// What a program may want to know of a failure; every field is optional.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Detail {
    /// The offending field of the call, e.g. `amount.cents`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub field: Option<String>,
    /// The device's own code, e.g. a ZVT result code `6c` or a status word `6a82`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub device_code: Option<String>,
    /// A keyword for the cause, stable across languages, e.g. `card-not-accepted`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cause: Option<String>,
    /// The state reasons that made the device unusable.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub reasons: Vec<String>,
    /// Who holds the claim.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub claimed_by: Option<ClientId>,
    /// How long to wait before the next try can succeed, in milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry_after_ms: Option<u64>,
    /// How much of a `partial` effect happened, in the operation's unit (sheets, bytes, APDUs).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub completed: Option<u64>,
    /// What the device showed of the effect before contact was lost: the answer the call would
    /// have had, as far as it is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub evidence: Option<serde_json::Value>,
}

impl Detail {
    /// The same with what the device showed of the effect, as the answer the call would have had.
    #[must_use]
    pub fn with_evidence(mut self, answer: &Response) -> Self {
        // A response is plain data; one that could not be shown would only lack its evidence.
        self.evidence = serde_json::to_value(answer).ok();
        self
    }
}

impl Failure {
    /// A failure that left the world as it was: any refusal, `declined`, or one of the three
    /// that start and do not finish.
    pub fn without_effect(status: Status, message: impl Into<String>) -> Self {
        let status = if status.allows(Effect::None) {
            status
        } else {
            Status::DeviceFault
        };
        Self {
            status,
            effect: Effect::None,
            message: message.into(),
            detail: Box::default(),
        }
    }

    /// `cancelled`, `timed-out` or `device-fault` with its effect. Not knowing the effect of an
    /// operation that must not happen twice is [`Failure::outcome_unknown`] instead.
    pub fn unfinished(status: Status, effect: Effect, message: impl Into<String>) -> Self {
        let status = if status.allows(effect) {
            status
        } else {
            Status::DeviceFault
        };
        Self {
            status,
            effect,
            message: message.into(),
            detail: Box::default(),
        }
    }

    /// It may have happened: never repeat, resolve.
    pub fn outcome_unknown(message: impl Into<String>) -> Self {
        Self {
            status: Status::OutcomeUnknown,
            effect: Effect::Unknown,
            message: message.into(),
            detail: Box::default(),
        }
    }

    /// The same with what programs may want to know.
    #[must_use]
    pub fn with(mut self, detail: Detail) -> Self {
        self.detail = Box::new(detail);
        self
    }

    /// The status code; never `ok`.
    pub fn status(&self) -> Status {
        self.status
    }

    /// What became of the effect.
    pub fn effect(&self) -> Effect {
        self.effect
    }
}

impl<R> Completion<R> {
    /// A call that was done by `device`.
    pub fn ok(device: DeviceId, result: R) -> Self {
        Self {
            device: Some(device),
            outcome: Outcome::Ok(result),
            ignored: Vec::new(),
        }
    }

    /// A call that failed before a device was chosen.
    pub fn refused(failure: Failure) -> Self {
        Self {
            device: None,
            outcome: Outcome::Failed(failure),
            ignored: Vec::new(),
        }
    }

    /// A call that failed at `device`.
    pub fn failed(device: DeviceId, failure: Failure) -> Self {
        Self {
            device: Some(device),
            outcome: Outcome::Failed(failure),
            ignored: Vec::new(),
        }
    }

    /// The status code.
    pub fn status(&self) -> Status {
        match &self.outcome {
            Outcome::Ok(_) => Status::Ok,
            Outcome::Failed(failure) => failure.status,
        }
    }

    /// What became of the effect.
    pub fn effect(&self) -> Effect {
        match &self.outcome {
            Outcome::Ok(_) => Effect::Done,
            Outcome::Failed(failure) => failure.effect,
        }
    }

    /// The same completion with its result turned into another type.
    pub fn map<S>(self, f: impl FnOnce(R) -> S) -> Completion<S> {
        let outcome = match self.outcome {
            Outcome::Ok(result) => Outcome::Ok(f(result)),
            Outcome::Failed(failure) => Outcome::Failed(failure),
        };
        Completion {
            device: self.device,
            outcome,
            ignored: self.ignored,
        }
    }
}

/// The completion as it stands on the wire.
#[derive(Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "Completion")]
pub(crate) struct CompletionWire<R, D = Detail> {
    status: Status,
    #[serde(skip_serializing_if = "Option::is_none")]
    effect: Option<Effect>,
    #[serde(skip_serializing_if = "Option::is_none")]
    device: Option<DeviceId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    result: Option<R>,
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<D>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    ignored: Vec<String>,
}

impl<R: Serialize> Serialize for Completion<R> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let (device, ignored) = (self.device.clone(), self.ignored.clone());
        match &self.outcome {
            Outcome::Ok(result) => CompletionWire {
                status: Status::Ok,
                effect: None,
                device,
                result: Some(result),
                message: None,
                detail: None::<&Detail>,
                ignored,
            },
            Outcome::Failed(failure) => CompletionWire {
                status: failure.status,
                effect: Some(failure.effect),
                device,
                result: None,
                message: Some(failure.message.clone()),
                detail: (*failure.detail != Detail::default()).then_some(&*failure.detail),
                ignored,
            },
        }
        .serialize(serializer)
    }
}

impl<'de, R: Deserialize<'de>> Deserialize<'de> for Completion<R> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let wire = CompletionWire::<R>::deserialize(deserializer)?;
        let outcome = match (wire.status, wire.effect, wire.result) {
            (Status::Ok, _, Some(result)) => Outcome::Ok(result),
            (Status::Ok, _, None) => return Err(de::Error::missing_field("result")),
            (status, Some(effect), _) if status.allows(effect) => Outcome::Failed(Failure {
                status,
                effect,
                message: wire.message.unwrap_or_default(),
                detail: Box::new(wire.detail.unwrap_or_default()),
            }),
            (status, Some(effect), _) => {
                let told = format!("status {status} never comes with effect {effect}");
                return Err(de::Error::custom(told));
            }
            (_, None, _) => return Err(de::Error::missing_field("effect")),
        };
        Ok(Self {
            device: wire.device,
            outcome,
            ignored: wire.ignored,
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_two_forms_of_a_completion() {
        let done = Completion::ok("ec-terminal".parse().unwrap(), json!({"receipt": 231}));
        let refused = Completion::<()>::refused(
            Failure::without_effect(Status::BadRequest, "amount.cents must be 1 or more").with(
                Detail {
                    field: Some("amount.cents".into()),
                    ..Detail::default()
                },
            ),
        );
        assert_eq!(
            serde_json::to_value(&done).unwrap(),
            json!({"status": "ok", "device": "ec-terminal", "result": {"receipt": 231}})
        );
        assert_eq!(
            serde_json::to_value(&refused).unwrap(),
            json!({
                "status": "bad-request", "effect": "none",
                "message": "amount.cents must be 1 or more", "detail": {"field": "amount.cents"}
            })
        );
    }

    #[test]
    fn a_completion_that_contradicts_itself_is_not_read() {
        for wire in [
            json!({"status": "busy", "effect": "done"}),
            json!({"status": "outcome-unknown", "effect": "none"}),
            json!({"status": "timed-out"}),
            json!({"status": "ok"}),
        ] {
            assert!(
                serde_json::from_value::<Completion<u8>>(wire.clone()).is_err(),
                "{wire}"
            );
        }
    }

    #[test]
    fn a_refusal_cannot_be_built_with_an_effect() {
        let failure = Failure::unfinished(Status::Busy, Effect::Unknown, "");
        assert_eq!(
            (failure.status(), failure.effect()),
            (Status::DeviceFault, Effect::Unknown)
        );
        let failure = Failure::without_effect(Status::OutcomeUnknown, "");
        assert_eq!(
            (failure.status(), failure.effect()),
            (Status::DeviceFault, Effect::None)
        );
    }
}

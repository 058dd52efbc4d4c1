//! The terminal's control channel: the verbs, and the client that names them.

use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::sync::mpsc;

use super::by_hand::ByHand;
use super::cardholder::Cardholder;
use super::fault::Fault;
use super::fault_list::Consumed;
use super::ledger::{Entry, Ledger};
use super::shared::{ByteCounts, Phase, Shared, Status};
use crate::control::{ControlClient, ControlError, Controlled, Endpoint, Refusal};

/// Added to a wait's own limit before the client gives up on the simulator.
const GRACE: Duration = Duration::from_secs(5);
/// A wait without a limit of its own.
const WAIT_MS: u64 = 10_000;

/// What to wait for: all conditions that are given.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Until {
    /// The terminal is there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub phase: Option<Phase>,
    /// An ECR is connected, or none is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub connected: Option<bool>,
    /// At least so many commands came to their end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exchanges: Option<u64>,
    /// At least so many lines are in the ledger.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub entries: Option<u64>,
    /// At least so many faults happened.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub faults_consumed: Option<u64>,
    /// How long to wait; ten seconds if it is left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ms: Option<u64>,
}

impl Until {
    fn is_met(&self, status: &Status) -> bool {
        self.phase.is_none_or(|phase| phase == status.phase)
            && self.connected.is_none_or(|is| is == status.connected)
            && self.exchanges.is_none_or(|count| status.exchanges >= count)
            && self.entries.is_none_or(|count| status.entries >= count)
            && self
                .faults_consumed
                .is_none_or(|count| status.faults_consumed >= count)
    }
}

/// The fault list, and what became of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FaultReport {
    /// Still to come.
    pub pending: Vec<Fault>,
    /// Happened, in order.
    pub consumed: Vec<Consumed>,
}

/// The simulator's end of the channel.
#[derive(Debug)]
pub(super) struct Desk {
    shared: Arc<Shared>,
    power: mpsc::Sender<Duration>,
}

#[derive(Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Restart {
    down_ms: u64,
}

impl Default for Restart {
    fn default() -> Self {
        Self { down_ms: 50 }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Nothing {}

fn read<T: for<'de> Deserialize<'de>>(argument: Value) -> Result<T, Refusal> {
    serde_json::from_value(argument).map_err(|error| Refusal(error.to_string()))
}

fn write(value: impl Serialize) -> Result<Value, Refusal> {
    serde_json::to_value(value).map_err(|error| Refusal(error.to_string()))
}

impl Desk {
    pub(super) fn new(shared: Arc<Shared>, power: mpsc::Sender<Duration>) -> Self {
        Self { shared, power }
    }

    fn set(&self, patch: Value) -> Result<Value, Refusal> {
        let mut profile = self.shared.profile();
        let patched = profile
            .patched(patch)
            .map_err(|error| Refusal(error.to_string()))?;
        let mistakes = patched.mistakes();
        if !mistakes.is_empty() {
            return Err(Refusal(mistakes.join("; ")));
        }
        *profile = patched;
        write(&*profile)
    }

    fn fault_report(&self) -> Result<Value, Refusal> {
        let faults = self.shared.faults();
        write(FaultReport {
            pending: faults.pending().to_vec(),
            consumed: faults.consumed().to_vec(),
        })
    }

    async fn wait(&self, until: Until) -> Result<Value, Refusal> {
        let patience = Duration::from_millis(until.ms.unwrap_or(WAIT_MS));
        let mut status = self.shared.status().subscribe();
        let met = status.wait_for(|status| until.is_met(status));
        match tokio::time::timeout(patience, met).await {
            Ok(Ok(status)) => write(&*status),
            _ => Err(Refusal(format!(
                "not within {patience:?}; the terminal is now {}",
                json!(*self.shared.status().borrow())
            ))),
        }
    }

    async fn by_hand(&self, deed: ByHand) -> Result<Value, Refusal> {
        let done = self.shared.hands().stand(deed);
        match tokio::time::timeout(Duration::from_millis(WAIT_MS), done).await {
            Ok(true) => Ok(Value::Null),
            Ok(false) => Err(Refusal("the terminal does not do that now".into())),
            Err(_) => Err(Refusal("an ECR has the terminal for itself".into())),
        }
    }

    async fn ledger(&self) -> Result<Value, Refusal> {
        let path = self.shared.ledger.clone();
        let read = tokio::task::spawn_blocking(move || Ledger::read(&path)).await;
        let ledger = read
            .map_err(|error| Refusal(error.to_string()))?
            .map_err(|error| Refusal(error.to_string()))?;
        Ok(json!({"sum": ledger.sum(), "entries": ledger.entries()}))
    }
}

impl Controlled for Desk {
    const VERBS: &'static [&'static str] = &[
        "set", "next", "faults", "happened", "ledger", "status", "bytes", "wait", "restart", "hand",
    ];

    async fn answer(&self, verb: &str, argument: Value) -> Result<Value, Refusal> {
        match verb {
            "set" => self.set(argument),
            "next" => {
                let persons: Vec<Cardholder> = read(argument)?;
                *self.shared.next() = persons.into();
                Ok(Value::Null)
            }
            "faults" => {
                let faults: Vec<Fault> = read(argument)?;
                self.shared.faults().replace(faults).map_err(Refusal)?;
                self.shared.count_faults();
                self.fault_report()
            }
            "restart" => {
                let Restart { down_ms } = read(argument)?;
                let pressed = self.power.send(Duration::from_millis(down_ms)).await;
                pressed.map_err(|_| Refusal("the terminal has failed".into()))?;
                Ok(Value::Null)
            }
            "hand" => self.by_hand(read(argument)?).await,
            "wait" => self.wait(read(argument)?).await,
            other => {
                let Nothing {} = read(argument)?;
                match other {
                    "happened" => self.fault_report(),
                    "ledger" => self.ledger().await,
                    "bytes" => write(&*self.shared.bytes()),
                    _ => write(&*self.shared.status().borrow()),
                }
            }
        }
    }
}

/// Steers a terminal, in this process or another.
#[derive(Debug, Clone)]
pub struct TerminalControl {
    client: ControlClient,
}

impl TerminalControl {
    /// Does not connect yet.
    pub fn new(endpoint: Endpoint) -> Self {
        Self {
            client: ControlClient::new(endpoint),
        }
    }

    /// The channel itself, for what is not named below.
    pub fn client(&self) -> &ControlClient {
        &self.client
    }

    async fn ask<T: for<'de> Deserialize<'de>>(
        &self,
        verb: &str,
        argument: impl Serialize,
    ) -> Result<T, ControlError> {
        let answer = self.client.request(verb, argument).await?;
        serde_json::from_value(answer).map_err(|error| ControlError::Garbled(error.to_string()))
    }

    /// Changes keys of the profile.
    pub async fn set(&self, patch: Value) -> Result<(), ControlError> {
        self.client.request("set", patch).await.map(drop)
    }

    /// The cardholders of the next transactions, in order; the profile's own come after them.
    pub async fn next(&self, persons: &[Cardholder]) -> Result<(), ControlError> {
        self.client.request("next", persons).await.map(drop)
    }

    /// Replaces the fault list and forgets what happened; an empty one makes the terminal healthy.
    pub async fn faults(&self, faults: &[Fault]) -> Result<(), ControlError> {
        self.client.request("faults", faults).await.map(drop)
    }

    /// Which faults happened and which are still to come.
    pub async fn happened(&self) -> Result<FaultReport, ControlError> {
        self.ask("happened", json!({})).await
    }

    /// The ledger as it is on disk.
    pub async fn ledger(&self) -> Result<Ledger, ControlError> {
        #[derive(Deserialize)]
        struct Answer {
            entries: Vec<Entry>,
        }
        let Answer { entries } = self.ask("ledger", json!({})).await?;
        Ok(Ledger::from_entries(entries))
    }

    /// Where the terminal is.
    pub async fn status(&self) -> Result<Status, ControlError> {
        self.ask("status", json!({})).await
    }

    /// How many bytes finished exchanges had in each direction.
    pub async fn bytes(&self) -> Result<ByteCounts, ControlError> {
        self.ask("bytes", json!({})).await
    }

    /// Waits until all conditions are met.
    pub async fn wait(&self, until: Until) -> Result<Status, ControlError> {
        let patience = Duration::from_millis(until.ms.unwrap_or(WAIT_MS)) + GRACE;
        let answer = self.client.request_within("wait", until, patience).await?;
        serde_json::from_value(answer).map_err(|error| ControlError::Garbled(error.to_string()))
    }

    /// Somebody does something at the terminal's own keys; waits until it is done.
    pub async fn by_hand(&self, deed: ByHand) -> Result<(), ControlError> {
        let patience = Duration::from_millis(WAIT_MS) + GRACE;
        let request = self.client.request_within("hand", deed, patience);
        request.await.map(drop)
    }

    /// Cuts the power for so long. The ledger stays, the registration does not.
    pub async fn restart(&self, down: Duration) -> Result<(), ControlError> {
        let ms = u64::try_from(down.as_millis()).unwrap_or(u64::MAX);
        let request = self.client.request("restart", json!({"down_ms": ms}));
        request.await.map(drop)
    }
}

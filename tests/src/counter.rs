//! A counter of the office: a clerk who calls, and a technician who looks where nobody else can.

use serde_json::{Value, json};

use crate::{client::Workstation, office::Office};

/// The clerk's name.
const CLERK: &str = "ws-1";

/// The two of them.
pub struct Counter {
    /// Who calls.
    pub clerk: Workstation,
    technician: Workstation,
}

impl Counter {
    /// Both connected.
    pub async fn of(office: &Office) -> Self {
        Self {
            clerk: office.workstation(CLERK).await,
            technician: office.workstation("tech-1").await,
        }
    }

    /// Waits until the device can be used again: by itself, or, where the outcome of this call is
    /// unknown, once the technician has said what there is to see.
    ///
    /// # Panics
    /// When it does not get there, or when the gateway does not take the technician's word.
    pub async fn ready_again<F: Future<Output = &'static str>>(
        &self,
        device: &str,
        call: &str,
        seen: impl FnOnce() -> F,
    ) {
        let in_doubt = |state: &Value| {
            let reasons = state["reasons"].as_array();
            reasons.is_some_and(|r| r.iter().any(|r| r["keyword"] == "outcome-unknown"))
        };
        let usable = |state: &Value| state["state"] == "ready" || state["state"] == "degraded";
        let settled = |state: &Value| usable(state) || in_doubt(state);
        let state = self.clerk.until(device, settled).await;
        if in_doubt(&state) {
            let word = json!({
                "client": CLERK,
                "call": call,
                "finding": seen().await,
                "observation": "looked at the device",
            });
            let taken = self.technician.ask("gateway", "resolve", &word, 20).await;
            assert_eq!(taken["status"], "ok", "{device}, {call}: {taken}");
        }
        let settled = |state: &Value| usable(state) && !in_doubt(state);
        self.clerk.until(device, settled).await;
    }

    /// No call had more or less than one completion.
    ///
    /// # Panics
    /// When one had.
    pub fn one_completion_each(&self) {
        let completions = self.clerk.completions();
        let wrong: Vec<_> = completions
            .iter()
            .filter(|(_, seen)| seen.len() != 1)
            .collect();
        assert!(wrong.is_empty(), "{wrong:?}");
    }
}

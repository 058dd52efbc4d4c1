//! What a position says, whatever the protocol.

use koffer_proto::{
    EventKind, Reason, Request, Response, Text,
    class::{
        any_device::StepOutcome,
        position::{self, Fix, PositionStatus},
    },
};
use koffer_settings::text;

use crate::sensor::Reading;

impl Reading for PositionStatus {
    fn reasons(&self) -> Vec<Reason> {
        let reason = Reason::new(
            "no-fix",
            "Noch keine Position. Der Empfänger braucht freien Himmel, nach dem Einschalten einige Minuten.",
            "No position yet. The receiver needs a clear sky, and some minutes after power-on.",
        );
        (self.fix == Fix::None)
            .then_some(reason)
            .into_iter()
            .collect()
    }

    /// The contract has none for positions: that a fix was lost or found is in the state.
    fn event(&self, _: &Self) -> Option<EventKind> {
        None
    }

    fn answer(&self, request: &Request) -> Option<Response> {
        match request {
            Request::Position(position::Request::Status(_)) => {
                Some(position::Response::Status(self.clone()).into())
            }
            _ => None,
        }
    }

    fn external(&self) -> (&'static str, StepOutcome, Text) {
        let satellites = self.satellites.unwrap_or(0);
        match self.fix {
            Fix::None => (
                "satellites",
                StepOutcome::Failed,
                text!(
                    "Keine Position; Satelliten in Benutzung: {satellites}. Freier Himmel?",
                    "No position; satellites in use: {satellites}. Is the sky clear?"
                ),
            ),
            Fix::TwoD | Fix::ThreeD => (
                "satellites",
                StepOutcome::Passed,
                text!(
                    "Position vorhanden; Satelliten in Benutzung: {satellites}.",
                    "Position known; satellites in use: {satellites}."
                ),
            ),
        }
    }
}

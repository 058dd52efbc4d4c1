//! The gateway as a device: what it answers itself, and the claims on its devices.

use std::time::Duration;

use koffer_proto::{
    ClaimToken, ClientId, DeviceId, Failure, Health, HealthTotals, Lang, LastSelfTest, Outcome,
    Reason, Response, Segment, Status, UplinkHealth,
    class::{
        any_device::{self, Claimed, Released, SelfTestStep, StepOutcome},
        gateway::{
            self, Attached, Calls, CancelParams, CancelVerdict, Cancelled, Diagnosis, HeldClaim,
            OpenCall, SignalParams, SignalVerdict, Signalled,
        },
    },
    schema,
};

use super::{Dispatcher, Moment, millis};
use crate::{
    Secret,
    calls::{claims::Claim, devices::claimed, incoming::Admitted, lifecycle::Cancel, texts},
    clock,
    journal::CallNo,
};

/// The daemon's vital signs.
#[derive(Debug, Clone)]
pub struct Vitals {
    /// Since the daemon started.
    pub uptime: Duration,
    /// Resident memory.
    pub rss_bytes: u64,
    /// Messages waiting for the broker's acknowledgement.
    pub outbox: u64,
    /// How often the broker was lost.
    pub broker_reconnects: u64,
    /// `embedded` or `external`.
    pub broker: &'static str,
    /// The journal's size on disk, where it is on disk.
    pub journal_bytes: Option<u64>,
    /// Why nothing can be put on record; `None` while all is well.
    pub journal_reason: Option<Reason>,
    /// Why the clock may be wrong; `None` while nothing speaks against it.
    pub clock_reason: Option<Reason>,
    /// Tasks alive in the daemon.
    pub tasks: u64,
    /// The way to the outside, where one is configured.
    pub uplink: Option<UplinkHealth>,
}

impl Dispatcher {
    /// Answers a call of the gateway itself; `None`: when the call it is about ends.
    pub(super) fn gateway_call(
        &mut self,
        now: Moment,
        no: CallNo,
        client: &ClientId,
        lang: Lang,
        request: gateway::Request,
    ) -> Option<Outcome<Response>> {
        let ok = |response: gateway::Response| Outcome::Ok(Response::Gateway(response));
        let refuse = |status, text: koffer_proto::Text| {
            Outcome::Failed(Failure::without_effect(status, text.get(lang)))
        };
        Some(match request {
            gateway::Request::Calls(_) => ok(gateway::Response::Calls(Calls {
                calls: self.open_calls(client),
                unresolved: self.unresolved_calls(client),
                claims: self.held_claims(now, client),
            })),
            gateway::Request::Cancel(params) => {
                return self.cancel(now, no, client, &params, lang);
            }
            gateway::Request::Signal(SignalParams { call, command }) => {
                let key = (client.clone(), call);
                let open = self.open.values().find(|open| open.key == key);
                let verdict = match open.map(|open| open.state.steering()) {
                    None => SignalVerdict::Unknown,
                    Some(Some(steering)) if steering.signal(command) => SignalVerdict::Delivered,
                    Some(_) => SignalVerdict::NotExpected,
                };
                ok(gateway::Response::Signal(Signalled { verdict }))
            }
            gateway::Request::Resolve(params) => {
                return self.resolve(now, no, client, params, lang);
            }
            gateway::Request::Diagnose(_) => {
                let vitals = (self.vitals)();
                ok(gateway::Response::Diagnose(Diagnosis {
                    version: env!("CARGO_PKG_VERSION").to_owned(),
                    broker_reconnects: vitals.broker_reconnects,
                    broker: vitals.broker.to_owned(),
                    health: self.health(now),
                    tasks: Some(vitals.tasks),
                }))
            }
            gateway::Request::Attached(params) => {
                let mut attached = (self.attached)();
                attached.retain(|thing| !params.unbound || thing.device.is_none());
                ok(gateway::Response::Attached(Attached { attached }))
            }
            gateway::Request::Schema(params) => {
                match schema::operation(params.class, params.operation.as_str()) {
                    Some(schema) => ok(gateway::Response::Schema(schema)),
                    None => refuse(
                        Status::Unsupported,
                        texts::no_such_operation(params.class, &params.operation),
                    ),
                }
            }
        })
    }

    /// The gateway's vital signs.
    pub fn health(&self, now: Moment) -> Health {
        let vitals = (self.vitals)();
        let (calls_open, calls_kept) = self.counts();
        let devices = self.device_health(now.instant);
        let totals = HealthTotals {
            calls_unresolved: self.unresolved_count(),
            ..HealthTotals::of(devices.values())
        };
        Health {
            at: now.wall,
            uptime_ms: millis(vitals.uptime),
            rss_bytes: vitals.rss_bytes,
            outbox: vitals.outbox,
            calls_open,
            calls_kept,
            journal_bytes: vitals.journal_bytes,
            journal_reason: vitals.journal_reason,
            uplink: vitals.uplink,
            totals: Some(Box::new(totals)),
            devices,
        }
    }

    /// What a device's self-test says of the gateway: without a journal nothing that matters can be
    /// done on any device. How it ended is kept for the vital signs.
    pub(super) fn tested_with(
        &mut self,
        now: Moment,
        device: &DeviceId,
        outcome: &mut Outcome<Response>,
        lang: Lang,
    ) {
        let Outcome::Ok(Response::AnyDevice(any_device::Response::SelfTest(report))) = outcome
        else {
            return;
        };
        let vitals = (self.vitals)();
        for (name, reason, well) in [
            (
                "gateway-journal",
                vitals.journal_reason,
                texts::journal_well(),
            ),
            ("gateway-clock", vitals.clock_reason, texts::clock_well()),
        ] {
            let outcome = match &reason {
                // A case without a network has nobody to ask; its devices are in order.
                Some(reason) if reason.keyword == clock::NOT_SYNCHRONISED => StepOutcome::Skipped,
                Some(_) => StepOutcome::Failed,
                None => StepOutcome::Passed,
            };
            if outcome == StepOutcome::Failed {
                report.passed = false;
                report.outcome = Some(outcome);
            }
            let text = reason.map(|reason| reason.text);
            report.steps.push(SelfTestStep {
                name: name.to_owned(),
                outcome,
                message: text.unwrap_or(well).get(lang).to_owned(),
                // The gateway watches both all the time: it only has to look.
                duration_ms: (outcome != StepOutcome::Skipped).then_some(0),
            });
        }
        if let (Some(queue), Some(outcome)) = (self.devices.get_mut(device), report.outcome) {
            queue.set_self_test(LastSelfTest {
                at: now.wall,
                outcome,
                level: report.level,
            });
        }
    }

    fn held_claims(&self, now: Moment, client: &ClientId) -> Vec<HeldClaim> {
        let all = self.admission.policy().is_technician(client);
        let held = self.claims.all(now.instant).filter_map(|(device, claim)| {
            let left = claim.until.saturating_duration_since(now.instant);
            (all || claim.holder == *client).then(|| HeldClaim {
                device: device.clone(),
                client: claim.holder.clone(),
                until: now.wall.checked_add(left).unwrap_or(now.wall),
            })
        });
        held.collect()
    }

    fn open_calls(&self, client: &ClientId) -> Vec<OpenCall> {
        let all = self.admission.policy().is_technician(client);
        let own = self
            .open
            .values()
            .filter(|open| all || open.key.0 == *client);
        own.filter(|open| !open.device.is_gateway())
            .filter_map(|open| {
                Some(OpenCall {
                    client: open.key.0.clone(),
                    call: open.key.1.clone(),
                    device: open.device.clone(),
                    operation: open.spec.name.parse::<Segment>().ok()?,
                    effect: open.spec.effect,
                    phase: open.state.phase(),
                    accepted_at: open.accepted_at,
                    deadline: open.deadline_wall,
                })
            })
            .collect()
    }

    fn cancel(
        &mut self,
        now: Moment,
        no: CallNo,
        client: &ClientId,
        params: &CancelParams,
        lang: Lang,
    ) -> Option<Outcome<Response>> {
        let owner = params.client.as_ref().unwrap_or(client);
        if owner != client && !self.admission.policy().is_technician(client) {
            let failure = Failure::without_effect(Status::Denied, texts::not_your_call().get(lang));
            return Some(Outcome::Failed(failure));
        }
        let key = (owner.clone(), params.call.clone());
        let Some((&target, open)) = self.open.iter().find(|(_, open)| open.key == key) else {
            let verdict = if self.idempotency.has(&key) {
                CancelVerdict::TooLate
            } else {
                CancelVerdict::Unknown
            };
            return Some(cancel_verdict(verdict));
        };
        match open.state.cancel() {
            Cancel::TooLate => return Some(cancel_verdict(CancelVerdict::TooLate)),
            Cancel::Wait => self.cancellations.add(target, no),
            Cancel::Withdraw => {
                self.cancellations.add(target, no);
                self.withdraw(now, target, Status::Cancelled, &texts::cancelled_in_queue());
            }
        }
        None
    }

    /// A running call can no longer be cancelled: whoever waits for it learns at once.
    pub(super) fn past_cancelling(&mut self, now: Moment, no: CallNo) {
        let Some(open) = self.open.get_mut(&no) else {
            return;
        };
        open.state.past_cancelling();
        self.conclude_cancels(now, no, false);
    }

    /// Answers the calls that wanted to cancel `target`.
    pub(super) fn conclude_cancels(&mut self, now: Moment, target: CallNo, cancelled: bool) {
        let verdict = if cancelled {
            CancelVerdict::Cancelled
        } else {
            CancelVerdict::TooLate
        };
        for call in self.cancellations.take(target) {
            self.end(now, call, cancel_verdict(verdict));
        }
    }

    pub(super) fn claim_call(
        &mut self,
        now: Moment,
        device: &DeviceId,
        call: &Admitted,
        request: any_device::Request,
    ) -> Outcome<Response> {
        let lang = call.listener.lang;
        let refuse = |status, text: koffer_proto::Text| {
            Outcome::Failed(Failure::without_effect(status, text.get(lang)))
        };
        let technician = self.admission.policy().is_technician(&call.client);
        if !self.devices.contains(device) {
            return refuse(Status::UnknownDevice, texts::unknown_device(&call.target));
        }
        let held = self.claims.on(device, now.instant).cloned();
        let proven = held
            .as_ref()
            .is_some_and(|c| c.is_proven_by(&call.client, call.claim.as_ref()));
        let response = match request {
            any_device::Request::Claim(params) => {
                if params.take_over && !technician {
                    return refuse(Status::Denied, texts::take_over_denied());
                }
                let token = match &held {
                    Some(claim) if proven => Ok(claim.token.clone()),
                    Some(claim) if !params.take_over => {
                        return Outcome::Failed(claimed(device, claim, now, lang));
                    }
                    _ => Secret::random().map(|secret| ClaimToken::new(secret.reveal())),
                };
                let token = match token {
                    Ok(token) => token,
                    Err(error) => {
                        let failure =
                            Failure::without_effect(Status::DeviceFault, error.to_string());
                        return Outcome::Failed(failure);
                    }
                };
                if let Some(previous) = held.filter(|_| !proven) {
                    tracing::warn!(
                        %device, by = %call.client, from = %previous.holder, "claim taken over"
                    );
                }
                let lease = Duration::from_millis(params.lease_ms.get().into());
                let claim = Claim {
                    holder: call.client.clone(),
                    token: token.clone(),
                    until: now.instant + lease,
                };
                self.claims.grant(device.clone(), claim);
                let until = now.wall.checked_add(lease).unwrap_or(now.wall);
                any_device::Response::Claim(Claimed { token, until })
            }
            _ if proven => {
                self.claims.release(device);
                any_device::Response::Release(Released {})
            }
            _ => return refuse(Status::Denied, texts::no_such_claim(device)),
        };
        Outcome::Ok(Response::AnyDevice(response))
    }
}

pub(super) fn cancel_verdict(verdict: CancelVerdict) -> Outcome<Response> {
    Outcome::Ok(Response::Gateway(gateway::Response::Cancel(Cancelled {
        verdict,
    })))
}

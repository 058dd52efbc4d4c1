//! Calls that the daemon before this one accepted and did not end.

use std::time::{Duration, Instant};

use koffer_proto::{DeviceId, Failure, ReplyTopic, Root};

use super::{
    idempotency::Key,
    in_doubt::InDoubt,
    incoming::Listener,
    lifecycle::{ActiveCall, State},
    replies::ProgressLog,
    texts,
};
use crate::journal::{CallNo, RecoveryState, UnsettledCall};

/// What a call of before still needs.
pub(super) enum Recovered {
    /// It was answered. Its outcome is unknown still.
    Answered(InDoubt),
    /// It never began, and has to be answered so.
    NeverBegan(Box<ActiveCall>),
    /// It was interrupted: its device is asked before it is answered.
    Interrupted(Box<ActiveCall>, InDoubt),
}

/// What a call of before still needs. Its caller waits for `patience` at most.
pub(super) fn recover(
    root: &Root,
    call: &UnsettledCall,
    now: Instant,
    patience: Duration,
) -> (CallNo, Key, Recovered) {
    let no = call.no;
    let key = (call.client.clone(), call.call.clone());
    let in_doubt = |device: DeviceId| InDoubt {
        key: key.clone(),
        device,
        spec: call.pending.operation,
        accepted_at: call.accepted_at,
    };
    let active = |device: DeviceId| Box::new(active_call(root, call, device, now + patience, now));
    let recovered = match &call.state {
        RecoveryState::Unknown(device) => Recovered::Answered(in_doubt(device.clone())),
        RecoveryState::Waiting => {
            let device = DeviceId::from(call.pending.target.clone());
            Recovered::NeverBegan(active(device))
        }
        RecoveryState::Interrupted(device) => {
            Recovered::Interrupted(active(device.clone()), in_doubt(device.clone()))
        }
    };
    (no, key, recovered)
}

fn active_call(
    root: &Root,
    call: &UnsettledCall,
    device: DeviceId,
    deadline: Instant,
    now: Instant,
) -> ActiveCall {
    let (pending, answer_to) = (&call.pending, &call.pending.answer_to);
    let topic = ReplyTopic::parse(root, &call.client, &answer_to.topic);
    let listener = topic.ok().map(|topic| Listener {
        topic,
        correlation: Some(call.call.as_bytes().to_vec().into()),
        encoding: answer_to.encoding,
        lang: answer_to.lang,
    });
    let text = texts::restarted_after_it_began();
    ActiveCall {
        key: (call.client.clone(), call.call.clone()),
        spec: pending.operation,
        ignored: Vec::new(),
        target: pending.target.clone(),
        claim: None,
        tried: Vec::new(),
        device,
        accepted_at: call.accepted_at,
        deadline,
        deadline_wall: pending.deadline,
        listeners: listener.into_iter().collect(),
        held: Vec::new(),
        ack: None,
        progress: ProgressLog::new(now),
        state: State::settling(Failure::outcome_unknown(text.get(answer_to.lang))),
    }
}

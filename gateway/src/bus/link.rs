//! One connection as the session sees it: how far it has come, and how patient to be with it.

use super::settings::Settings;
use super::{BrokerLimits, wire};
use rumqttc::v5::AsyncClient;
use rumqttc::v5::mqttbytes::QoS;
use rumqttc::v5::mqttbytes::v5::Publish;
use std::time::Duration;
use tokio::time::Instant;

/// A local broker answers a SUBSCRIBE at once; one that does not is not well.
pub(super) const SUBACK_PATIENCE: Duration = Duration::from_secs(10);

/// How long we wait, after DISCONNECT, for the broker to close: closing first, with unread data,
/// could make the kernel reset the connection before the broker has read the DISCONNECT.
const LEAVE_PATIENCE: Duration = Duration::from_secs(1);

pub(super) struct Link {
    pub(super) client: AsyncClient,
    pub(super) stage: Stage,
    pub(super) limits: BrokerLimits,
    pub(super) session_present: bool,
    /// Acknowledgements given to `rumqttc` and not yet written: leaving before would undo them.
    pub(super) unwritten_acks: usize,
}

pub(super) enum Stage {
    Connecting,
    Subscribing { deadline: Instant },
    Ready,
    Leaving,
}

impl Link {
    pub(super) fn new(client: AsyncClient) -> Self {
        let limits = BrokerLimits {
            max_packet_size: None,
            receive_maximum: 1,
            retain_available: true,
            qos1_available: true,
        };
        Self {
            client,
            stage: Stage::Connecting,
            limits,
            session_present: false,
            unwritten_acks: 0,
        }
    }

    pub(super) fn is_leaving(&self) -> bool {
        matches!(self.stage, Stage::Leaving)
    }

    /// How long the event loop may go without an event. On a good connection it has at least one
    /// each keep-alive, its ping; stuck in writing to a broker that does not read, it has none.
    pub(super) fn patience(&self, settings: &Settings) -> Duration {
        match self.stage {
            Stage::Leaving => LEAVE_PATIENCE,
            Stage::Subscribing { deadline } => deadline.saturating_duration_since(Instant::now()),
            Stage::Connecting | Stage::Ready => 2 * wire::keep_alive(settings) + SUBACK_PATIENCE,
        }
    }

    pub(super) fn acknowledge(&mut self, packet_ids: &[u16]) {
        for &pkid in packet_ids {
            let received = Publish {
                qos: QoS::AtLeastOnce,
                pkid,
                ..Publish::default()
            };
            // The queue has a place for every message the broker may leave unacknowledged.
            if self.client.try_ack(&received).is_ok() {
                self.unwritten_acks += 1;
            } else {
                tracing::warn!(pkid, "acknowledgement lost; the message will come again");
            }
        }
    }
}

//! The broker crate without its listeners: sessions, subscriptions, and one handler for each
//! connection that the front has let in.

use std::{
    net::SocketAddr,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use mqtt5::{
    MqttError, Result,
    broker::{
        DynamicStorage, MemoryBackend, ResourceLimits, ResourceMonitor, StorageBackend,
        auth::AuthProvider,
        client_handler::ClientHandler,
        config::BrokerConfig,
        router::MessageRouter,
        storage::{QueueHandle, client_queue::QueueLimits},
        sys_topics::BrokerStats,
        transport::BrokerTransport,
    },
};
use tokio::sync::broadcast;
use tokio_util::sync::CancellationToken;

use super::{Settings, line::Line};

/// Longer than any deadline a call can have.
const SESSION_KEPT: Duration = Duration::from_hours(1);
/// Expired sessions and retained messages are looked for.
const SWEEP: Duration = Duration::from_mins(1);
/// When nothing was sent for so long, nothing is on its way to a client that reads.
const QUIET: Duration = Duration::from_millis(100);
/// How long a broker that ends waits for its clients to get what was published before.
const DRAIN_PATIENCE: Duration = Duration::from_secs(3);

/// Messages on their way to one client, for each quality of service. QoS 0 beyond it is dropped,
/// QoS 1 goes to the bounded queue.
pub(super) const LANE: usize = 128;

const MIB: usize = 1 << 20;

pub(super) struct Engine {
    config: Arc<BrokerConfig>,
    router: Arc<MessageRouter>,
    storage: Arc<DynamicStorage>,
    stats: Arc<BrokerStats>,
    monitor: Arc<ResourceMonitor>,
    shutdown: broadcast::Sender<()>,
}

impl Engine {
    pub(super) fn new(settings: &Settings) -> Self {
        let limits = QueueLimits {
            max_messages: 1000,
            // One of the largest must fit; the rest of it is what comes with each.
            max_bytes: settings.max_packet_size as usize + MIB,
        };
        // Fingerprints and scans pass through: nothing ever goes to disk.
        let storage = Arc::new(DynamicStorage::Memory(MemoryBackend::with_queue_limits(
            limits,
        )));
        let router = MessageRouter::with_storage(Arc::clone(&storage))
            .with_fallback_queue_limits(limits)
            // Some dozens of devices with two documents each; a client that retains calls must not
            // fill the memory.
            .with_retained_limits(1024, 256 * 1024);
        let unlimited = ResourceLimits {
            max_message_rate_per_client: 0,
            max_bandwidth_per_client: 0,
            ..ResourceLimits::default()
        };
        Self {
            config: Arc::new(configuration(settings)),
            router: Arc::new(router),
            storage,
            stats: Arc::new(BrokerStats::new()),
            monitor: Arc::new(ResourceMonitor::new(unlimited)),
            shutdown: broadcast::channel(1).0,
        }
    }

    /// Serves one client until it goes or is made to go.
    pub(super) async fn serve(
        &self,
        line: Line,
        peer: SocketAddr,
        rules: Arc<dyn AuthProvider>,
    ) -> Result<()> {
        // The variant takes any stream.
        let transport = BrokerTransport::WebSocket(Box::new(line));
        ClientHandler::new(
            transport,
            peer,
            Arc::clone(&self.config),
            Arc::clone(&self.router),
            rules,
            Some(Arc::clone(&self.storage)),
            Arc::clone(&self.stats),
            Arc::clone(&self.monitor),
            self.shutdown.subscribe(),
        )
        .run()
        .await
    }

    /// Where messages go from publishers to subscribers.
    pub(super) fn router(&self) -> Arc<MessageRouter> {
        Arc::clone(&self.router)
    }

    /// What waits for this session.
    pub(super) fn queue(&self, id: &str) -> QueueHandle {
        self.storage.queue_handle(id)
    }

    /// Whether there is a session under this identifier.
    pub(super) async fn keeps(&self, id: &str) -> bool {
        matches!(self.storage.get_session(id).await, Ok(Some(_)))
    }

    /// Ends a session that nobody uses, with all that waits for it.
    pub(super) async fn forget(&self, id: &str) {
        let _slot = self.router.lock_session(id).await;
        if self.router.is_connected(id).await {
            return;
        }
        self.router.cancel_pending_will(id);
        let removed = self.storage.remove_session(id).await;
        let inflight = self.storage.remove_all_inflight_messages(id).await;
        if let Err(error) = removed.and(inflight) {
            tracing::warn!(session = id, %error, "an abandoned session could not be removed");
        }
        self.router.unregister_client(id).await;
        self.router.remove_change_only_state(id).await;
        self.storage.queue_handle(id).clear(None);
    }

    /// Ends what has expired, until stopped.
    pub(super) async fn sweep(&self, stop: CancellationToken) {
        let mut due = tokio::time::interval(SWEEP);
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                _ = due.tick() => {}
            }
            if let Err(error) = self.storage.cleanup_expired().await {
                tracing::warn!(%error, "expired sessions could not be removed");
            }
            self.router.sweep_sessions().await;
            self.monitor.cleanup_expired_windows().await;
        }
    }

    /// Tells every client that the broker ends, once they have got what was published before: a
    /// client that is told first gets nothing of what waits for it. One that does not read is waited
    /// for no longer than [`DRAIN_PATIENCE`].
    pub(super) async fn shut_down(&self) {
        let drained = async {
            let mut sent = None;
            while sent != Some(self.sent()) {
                sent = Some(self.sent());
                tokio::time::sleep(QUIET).await;
            }
        };
        // A broker that is never quiet ends all the same.
        let _ = tokio::time::timeout(DRAIN_PATIENCE, drained).await;
        // An error says that there is no client.
        let _ = self.shutdown.send(());
    }

    /// How many messages clients were sent.
    fn sent(&self) -> u64 {
        self.stats.publish_sent.load(Ordering::Relaxed)
    }
}

fn configuration(settings: &Settings) -> BrokerConfig {
    BrokerConfig {
        max_packet_size: settings.max_packet_size as usize,
        server_receive_maximum: Some(settings.receive_maximum.max(1)),
        session_expiry_interval: SESSION_KEPT,
        // A message of QoS 2 is held until its sender releases it, and the crate does not count
        // its bytes. Calls go with QoS 1.
        maximum_qos: 1,
        topic_alias_maximum: 16,
        // They take messages away from others, and nothing here needs them.
        shared_subscription_available: false,
        // MQTT has no way to announce it.
        max_subscriptions_per_client: 1024,
        client_channel_capacity: LANE,
        sys_topics_enabled: false,
        ..BrokerConfig::default()
    }
}

/// The reason code of MQTT 5 for what ended a connection, where there is one.
pub(super) fn reason(error: &MqttError) -> Option<mqtt5::types::ReasonCode> {
    use mqtt5::types::ReasonCode;
    Some(match error {
        MqttError::MalformedPacket(_)
        | MqttError::InvalidPacketType(_)
        | MqttError::InvalidQoS(_)
        | MqttError::InvalidPropertyId(_)
        | MqttError::InvalidReasonCode(_) => ReasonCode::MalformedPacket,
        MqttError::ProtocolError(_) | MqttError::DuplicatePropertyId(_) => {
            ReasonCode::ProtocolError
        }
        MqttError::PacketTooLarge { .. } => ReasonCode::PacketTooLarge,
        MqttError::InvalidTopicName(_) => ReasonCode::TopicNameInvalid,
        MqttError::InvalidTopicFilter(_) => ReasonCode::TopicFilterInvalid,
        MqttError::TopicAliasInvalid(_) => ReasonCode::TopicAliasInvalid,
        MqttError::KeepAliveTimeout => ReasonCode::KeepAliveTimeout,
        _ => return None,
    })
}

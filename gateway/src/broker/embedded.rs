//! The broker inside the gateway: crate `mqtt5`, in memory only, asking [`Rules`] about everything.
//!
//! What it does that mosquitto does not: it refuses a forbidden subscription in the SUBACK, a
//! forbidden will (and any client's retained will) at CONNECT, and a client identifier that belongs
//! to another client. What it cannot do: listen on a Unix socket (`mqtt5` has none), and refuse a
//! publish for its retain flag (its hooks see the flag only where they cannot refuse).

pub use super::credentials::Password;

use super::InternalBroker;
use super::credentials::{Check, Credentials};
use super::rules::{InvalidName, Role, Rules};
use async_trait::async_trait;
use mqtt5::broker::auth::{AuthProvider, AuthResult, PasswordAuthProvider};
use mqtt5::broker::config::{
    AuthConfig, BrokerConfig, RateLimitConfig, StorageBackend, StorageConfig, WebSocketConfig,
};
use mqtt5::broker::{BrokerShutdownHandle, MqttBroker};
use mqtt5::packet::connect::ConnectPacket;
use mqtt5::types::ReasonCode;
use std::future::Future;
use std::net::{Ipv4Addr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;

/// Argon2 checks at once: each takes 20 MiB and a processor.
const EXPENSIVE_CHECKS: usize = 2;

/// The broker gives its connections five seconds to end.
const STOP_PATIENCE: Duration = Duration::from_secs(8);

/// How the embedded broker runs.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Where it listens for plain MQTT; port 0 lets the system choose.
    pub listen: SocketAddr,
    /// Where it listens for WebSocket, path `/mqtt`, if at all.
    pub websocket: Option<SocketAddr>,
    /// The gateway's name: the third level of the topic root.
    pub gateway: String,
    /// Everybody who may connect, the gateway's own client among them.
    pub clients: Vec<Client>,
    /// Largest packet in bytes, announced as Maximum Packet Size.
    pub max_packet_size: u32,
    /// Connections at once. A workstation has two or three.
    pub max_connections: usize,
    /// Unacknowledged QoS 1 messages a client may have under way, announced as Receive Maximum.
    pub receive_maximum: u16,
}

/// One who may connect.
#[derive(Debug, Clone)]
pub struct Client {
    /// User name at the broker and name in the contract.
    pub name: String,
    /// What it is for.
    pub role: Role,
    /// How it proves its name.
    pub password: Password,
}

impl Settings {
    /// A broker on loopback for a gateway and its clients.
    pub fn new(gateway: impl Into<String>, clients: Vec<Client>) -> Self {
        Self {
            listen: (Ipv4Addr::LOCALHOST, 1883).into(),
            websocket: None,
            gateway: gateway.into(),
            clients,
            max_packet_size: crate::bus::DEFAULT_MAX_PACKET_SIZE,
            max_connections: 64,
            receive_maximum: 128,
        }
    }
}

/// Why the broker did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Somebody listens there already.
    #[error(
        "the embedded broker cannot listen on {0}: the port is in use; stop the other program \
         (ss -ltnp shows it), or configure another port or the external broker"
    )]
    AddressInUse(SocketAddr),
    /// Ports below 1024 are the system's.
    #[error(
        "the embedded broker may not listen on {0}: permission denied; choose a port above 1023 \
         or grant CAP_NET_BIND_SERVICE"
    )]
    NotPermitted(SocketAddr),
    /// The address is not this machine's, or anything else.
    #[error(
        "the embedded broker cannot listen on {address}: {error}; is it an address of this machine?"
    )]
    CannotListen {
        /// The configured address.
        address: SocketAddr,
        /// The operating system's words.
        error: std::io::Error,
    },
    /// A client's or the gateway's name.
    #[error(transparent)]
    Name(#[from] InvalidName),
    /// An Argon2 hash that cannot be parsed would lock its client out silently.
    #[error("the password hash of client {0} is no Argon2 hash in PHC format ($argon2id$...)")]
    PasswordHash(String),
    /// The crate refused its configuration.
    #[error("the embedded broker did not start: {0}")]
    Broker(String),
}

/// The running embedded broker. Dropped without [`InternalBroker::stop`] it ends at once.
pub struct Running {
    mqtt: SocketAddr,
    websocket: Option<SocketAddr>,
    shutdown: BrokerShutdownHandle,
    task: JoinHandle<()>,
}

/// Starts the broker on the present Tokio runtime. When this returns, clients can connect.
pub async fn start(settings: Settings) -> Result<Running, StartError> {
    let names = settings
        .clients
        .iter()
        .map(|client| (client.name.as_str(), client.role));
    let rules = Rules::new(&settings.gateway, names)?;
    for client in &settings.clients {
        if let Password::Argon2(hash) = &client.password
            && !hash.starts_with("$argon2")
        {
            return Err(StartError::PasswordHash(client.name.clone()));
        }
    }
    // The crate only logs an address it cannot have; we would come up deaf.
    for address in std::iter::once(settings.listen).chain(settings.websocket) {
        probe(address).await?;
    }
    let mut broker = MqttBroker::with_config(configuration(&settings))
        .await
        .map_err(|error| StartError::Broker(error.to_string()))?;
    let (Some(mqtt), websocket) = (broker.local_addr(), broker.ws_local_addr()) else {
        return Err(StartError::AddressInUse(settings.listen));
    };
    if let (Some(address), None) = (settings.websocket, websocket) {
        return Err(StartError::AddressInUse(address));
    }
    let credentials = Credentials::new(
        settings
            .clients
            .into_iter()
            .map(|client| (client.name, client.password)),
    );
    let gatekeeper = Gatekeeper {
        rules,
        credentials,
        expensive: Arc::new(Semaphore::new(EXPENSIVE_CHECKS)),
    };
    // Until run() is called nobody is accepted, so nobody meets the crate's default of no rules.
    broker = broker.with_auth_provider(Arc::new(gatekeeper));
    let shutdown = broker.shutdown_handle();
    let mut ready = broker.ready_receiver();
    let task = tokio::spawn(async move {
        if let Err(error) = broker.run().await {
            tracing::error!(%error, "the embedded broker ended");
        }
    });
    if ready.wait_for(|ready| *ready).await.is_err() {
        return Err(StartError::Broker(
            "it ended while starting; see the log".to_owned(),
        ));
    }
    tracing::info!(%mqtt, ?websocket, "embedded broker listens");
    Ok(Running {
        mqtt,
        websocket,
        shutdown,
        task,
    })
}

async fn probe(address: SocketAddr) -> Result<(), StartError> {
    match tokio::net::TcpListener::bind(address).await {
        Ok(_) => Ok(()),
        Err(error) => Err(match error.kind() {
            std::io::ErrorKind::AddrInUse => StartError::AddressInUse(address),
            std::io::ErrorKind::PermissionDenied => StartError::NotPermitted(address),
            _ => StartError::CannotListen { address, error },
        }),
    }
}

fn configuration(settings: &Settings) -> BrokerConfig {
    BrokerConfig {
        bind_addresses: vec![settings.listen],
        websocket_config: settings.websocket.map(|address| {
            WebSocketConfig::new()
                .with_bind_addresses(vec![address])
                .with_path("/mqtt")
        }),
        max_clients: settings.max_connections,
        max_packet_size: settings.max_packet_size as usize,
        server_receive_maximum: Some(settings.receive_maximum.max(1)),
        // Longer than any deadline a call can have.
        session_expiry_interval: Duration::from_hours(1),
        topic_alias_maximum: 16,
        // They take messages away from others, and nothing here needs them.
        shared_subscription_available: false,
        max_subscriptions_per_client: 64,
        // Some dozens of devices with two documents each; a client that retains calls must not fill
        // the memory.
        max_retained_messages: 1024,
        max_retained_message_size: 256 * 1024,
        // Per client and lane. QoS 0 beyond it is dropped, QoS 1 goes to the bounded queue.
        client_channel_capacity: 128,
        sys_topics_enabled: false,
        // Fingerprints and scans pass through: nothing ever goes to disk.
        storage_config: StorageConfig::new()
            .with_backend(StorageBackend::Memory)
            .with_max_queued_messages_per_client(1000)
            .with_max_queued_bytes_per_client(2 * settings.max_packet_size as usize),
        // Replaced by the gatekeeper before anybody is accepted. Its lock-out by address would lock
        // out every client on this machine for the mistake of one.
        auth_config: AuthConfig {
            rate_limit: RateLimitConfig {
                enabled: false,
                ..RateLimitConfig::default()
            },
            ..AuthConfig::default()
        },
        ..BrokerConfig::default()
    }
}

#[async_trait]
impl InternalBroker for Running {
    fn mqtt_address(&self) -> SocketAddr {
        self.mqtt
    }

    fn websocket_address(&self) -> Option<SocketAddr> {
        self.websocket
    }

    async fn stop(mut self: Box<Self>) {
        self.shutdown.shutdown();
        if tokio::time::timeout(STOP_PATIENCE, &mut self.task)
            .await
            .is_err()
        {
            tracing::warn!("the embedded broker did not end in time and was cut off");
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Asks credentials and rules on behalf of the broker.
struct Gatekeeper {
    rules: Rules,
    credentials: Credentials,
    expensive: Arc<Semaphore>,
}

type Pending<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

impl Gatekeeper {
    async fn admit(&self, connect: &ConnectPacket) -> Result<String, ReasonCode> {
        let name = connect
            .username
            .as_deref()
            .ok_or(ReasonCode::NotAuthorized)?;
        let password = connect
            .password
            .as_deref()
            .ok_or(ReasonCode::NotAuthorized)?;
        if !self.knows(name, password).await {
            return Err(ReasonCode::BadUsernameOrPassword);
        }
        if !self.rules.may_use_client_id(name, &connect.client_id) {
            return Err(ReasonCode::ClientIdentifierNotValid);
        }
        if let Some(will) = &connect.will {
            let retained_in_vain = will.retain && !self.rules.may_retain(name);
            if retained_in_vain || !self.rules.may_publish(name, &will.topic) {
                return Err(ReasonCode::NotAuthorized);
            }
        }
        Ok(name.to_owned())
    }

    async fn knows(&self, name: &str, password: &[u8]) -> bool {
        let hash = match self.credentials.check(name, password) {
            Check::Right => return true,
            Check::Wrong => return false,
            Check::Expensive(hash) => hash,
        };
        let Ok(password) = String::from_utf8(password.to_vec()) else {
            return false;
        };
        let Ok(permit) = Arc::clone(&self.expensive).acquire_owned().await else {
            return false;
        };
        tokio::task::spawn_blocking(move || {
            let _permit = permit;
            PasswordAuthProvider::verify_password(&password, &hash)
        })
        .await
        .unwrap_or(false)
    }
}

impl AuthProvider for Gatekeeper {
    fn authenticate<'a>(
        &'a self,
        connect: &'a ConnectPacket,
        peer: SocketAddr,
    ) -> Pending<'a, mqtt5::Result<AuthResult>> {
        Box::pin(async move {
            Ok(match self.admit(connect).await {
                Ok(name) => AuthResult::success_with_user(name),
                Err(reason) => {
                    tracing::warn!(
                        client = ?connect.username, client_id = %connect.client_id, %peer, ?reason,
                        "connection refused"
                    );
                    AuthResult::fail(reason)
                }
            })
        })
    }

    fn authorize_publish<'a>(
        &'a self,
        _client_id: &str,
        user_id: Option<&'a str>,
        topic: &'a str,
    ) -> Pending<'a, bool> {
        Box::pin(async move { user_id.is_some_and(|name| self.rules.may_publish(name, topic)) })
    }

    fn authorize_subscribe<'a>(
        &'a self,
        _client_id: &str,
        user_id: Option<&'a str>,
        topic_filter: &'a str,
    ) -> Pending<'a, bool> {
        Box::pin(
            async move { user_id.is_some_and(|name| self.rules.may_subscribe(name, topic_filter)) },
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Secret;

    fn gatekeeper(password: Password) -> Gatekeeper {
        Gatekeeper {
            rules: Rules::new("case-7", [("ws-1", Role::Workstation)]).unwrap(),
            credentials: Credentials::new([("ws-1".to_owned(), password)]),
            expensive: Arc::new(Semaphore::new(EXPENSIVE_CHECKS)),
        }
    }

    #[tokio::test]
    async fn hashed_and_clear_passwords_open_for_the_right_one_only() {
        let hash = PasswordAuthProvider::hash_password("right").unwrap();
        for password in [
            Password::Argon2(hash),
            Password::Clear(Secret::new("right")),
        ] {
            let gatekeeper = gatekeeper(password);
            assert!(gatekeeper.knows("ws-1", b"right").await);
            for wrong in [&b"wrong"[..], b"", b"right ", b"\xff"] {
                assert!(!gatekeeper.knows("ws-1", wrong).await);
            }
            assert!(!gatekeeper.knows("ws-2", b"right").await);
        }
    }

    #[tokio::test]
    async fn a_mistyped_password_hash_is_told_at_start() {
        let client = Client {
            name: "ws-1".to_owned(),
            role: Role::Workstation,
            password: Password::Argon2("$6$sha512crypt".to_owned()),
        };
        let mut settings = Settings::new("case-7", vec![client]);
        settings.listen = (Ipv4Addr::LOCALHOST, 0).into();
        let error = start(settings).await.err().unwrap();
        assert!(matches!(error, StartError::PasswordHash(name) if name == "ws-1"));
    }
}

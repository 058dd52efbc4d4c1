//! The broker inside the gateway: crate `mqtt5`, in memory only, behind a front of our own that
//! asks [`Rules`] about everything.
//!
//! What it does that mosquitto does not: it refuses a forbidden subscription in the SUBACK, a
//! forbidden will (and any client's retained will) at CONNECT, and keeps the sessions of each user
//! apart whatever the client identifiers. What it cannot do: refuse a publish for its retain flag
//! (the crate's hooks see the flag only where they cannot refuse). What holds which bound is in
//! `docs/decisions/0030-a-front-before-the-broker.md`.

mod connect;
mod credentials;
mod engine;
mod frames;
mod front;
mod gatekeeper;
mod guesses;
mod line;
mod local;
mod meter;
mod sessions;
mod turns;
mod waiting;
mod websocket;

pub use self::credentials::Password;

use self::credentials::Credentials;
use self::engine::Engine;
use self::front::{Door, Front};
use self::gatekeeper::Gatekeeper;
use self::local::Beside;
use self::meter::Places;
use self::sessions::{Users, scoped};
use self::turns::Turns;
use self::waiting::Waiting;
use super::InternalBroker;
use super::rules::{InvalidName, Role, Rules};
use crate::bus::LocalBroker;
use async_trait::async_trait;
use nix::sys::resource::{Resource, getrlimit};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Clients get so long to read that the broker ends.
const STOP_PATIENCE: Duration = Duration::from_secs(8);

/// Connections at once of which nobody knows yet who they are.
const MOST_UNKNOWN: usize = 64;
/// A WebSocket of such a client has more memory reserved for it.
const MOST_UNKNOWN_WEBSOCKETS: usize = 16;

/// Descriptors that clients never get: devices, the journal, and what the system's libraries open.
const DESCRIPTORS_KEPT: usize = 256;

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
    /// Connections of one user at once, where there are descriptors for as many. A workstation has
    /// two or three.
    pub connections_each: usize,
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
            connections_each: 32,
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
}

/// The running embedded broker. Dropped without [`InternalBroker::stop`] it ends at once.
pub struct Running {
    mqtt: SocketAddr,
    websocket: Option<SocketAddr>,
    front: Arc<Front>,
    beside: Arc<Beside>,
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
    let (listener, mqtt) = listen(settings.listen).await?;
    let upgrading = match settings.websocket {
        Some(address) => Some(listen(address).await?),
        None => None,
    };
    let websocket = upgrading.as_ref().map(|(_, address)| *address);
    let bounds = Bounds::within(descriptors(), settings.clients.len(), &settings);
    let engine = Engine::new(&settings);
    let stop = CancellationToken::new();
    let beside = Arc::new(Beside {
        router: engine.router(),
        stop: stop.clone(),
        runtime: Handle::current(),
    });
    let places = Places::default();
    let is_gateway = |client: &&Client| client.role == Role::Gateway;
    let gateway = settings.clients.iter().find(is_gateway);
    // The session in which it takes calls has its user's name.
    let calls = gateway.map_or_else(String::new, |client| scoped(&client.name, &client.name));
    let shares = settings
        .clients
        .iter()
        .filter(|client| !is_gateway(client))
        .map(|client| {
            let turns = Turns::new(engine.queue(&calls));
            (client.name.clone(), (places.share(), turns))
        })
        .collect();
    let credentials = settings
        .clients
        .into_iter()
        .map(|client| (client.name, client.password));
    let front = Arc::new(Front {
        engine,
        gatekeeper: Gatekeeper::new(rules, Credentials::new(credentials)),
        users: Mutex::new(Users::new(bounds.connections_each)),
        shares,
        max_packet_size: settings.max_packet_size as usize,
        stop,
        tasks: TaskTracker::new(),
    });
    let take = |listener, door, unknown| {
        let room = Waiting::new(unknown);
        front
            .tasks
            .spawn(Arc::clone(&front).take(listener, door, room));
    };
    take(listener, Door::Mqtt, bounds.unknown);
    if let Some((listener, _)) = upgrading {
        take(listener, Door::WebSocket, bounds.unknown_websockets);
    }
    let sweeping = Arc::clone(&front);
    front
        .tasks
        .spawn(async move { sweeping.engine.sweep(sweeping.stop.clone()).await });
    tracing::info!(%mqtt, ?websocket, ?bounds, "embedded broker listens");
    Ok(Running {
        mqtt,
        websocket,
        front,
        beside,
    })
}

async fn listen(address: SocketAddr) -> Result<(TcpListener, SocketAddr), StartError> {
    let refused = |error: std::io::Error| match error.kind() {
        std::io::ErrorKind::AddrInUse => StartError::AddressInUse(address),
        std::io::ErrorKind::PermissionDenied => StartError::NotPermitted(address),
        _ => StartError::CannotListen { address, error },
    };
    let listener = TcpListener::bind(address).await.map_err(refused)?;
    let bound = listener.local_addr().map_err(refused)?;
    Ok((listener, bound))
}

/// The descriptors that this process may have.
fn descriptors() -> usize {
    let limit = getrlimit(Resource::RLIMIT_NOFILE).map_or(1024, |(soft, _)| soft);
    usize::try_from(limit).unwrap_or(usize::MAX)
}

/// How many connections there may be, so that devices and the journal find a descriptor whatever
/// clients do.
#[derive(Debug, PartialEq, Eq)]
struct Bounds {
    connections_each: usize,
    unknown: usize,
    unknown_websockets: usize,
}

impl Bounds {
    fn within(descriptors: usize, users: usize, settings: &Settings) -> Self {
        let free = descriptors - DESCRIPTORS_KEPT.min(descriptors / 2);
        let unknown = MOST_UNKNOWN.min(free / 4).max(2);
        let unknown_websockets = match settings.websocket {
            Some(_) => MOST_UNKNOWN_WEBSOCKETS.min(unknown / 2).max(1),
            None => 0,
        };
        let known = free.saturating_sub(unknown + unknown_websockets);
        Self {
            connections_each: settings.connections_each.min(known / users.max(1)).max(1),
            unknown,
            unknown_websockets,
        }
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

    fn local(&self) -> Arc<dyn LocalBroker> {
        self.beside.clone()
    }

    async fn stop(self: Box<Self>) {
        self.front.engine.shut_down().await;
        self.front.stop.cancel();
        self.front.tasks.close();
        let ended = tokio::time::timeout(STOP_PATIENCE, self.front.tasks.wait());
        if ended.await.is_err() {
            tracing::warn!("the embedded broker did not end in time and was cut off");
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.front.stop.cancel();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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

    #[test]
    fn clients_never_get_every_descriptor() {
        let mut settings = Settings::new("case-7", Vec::new());
        settings.websocket = Some(settings.listen);
        for descriptors in [64, 256, 1024, 4096, 1 << 20] {
            for users in [1, 2, 10] {
                let bounds = Bounds::within(descriptors, users, &settings);
                let all =
                    bounds.connections_each * users + bounds.unknown + bounds.unknown_websockets;
                let kept = descriptors - all;
                assert!(kept >= DESCRIPTORS_KEPT.min(descriptors / 2), "{bounds:?}");
                assert!(bounds.connections_each >= 1 && bounds.unknown >= 2);
            }
        }
        let usual = Bounds::within(1024, 10, &settings);
        assert_eq!((usual.connections_each, usual.unknown), (32, 64));
    }
}

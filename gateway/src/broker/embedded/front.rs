//! The broker's front: it takes connections, finds out who is there, and gives the broker crate
//! those that it lets in.
//!
//! The crate waits ten seconds for a CONNECT of any size on any number of connections, tries
//! passwords as fast as they come, and takes a client identifier as the client says it. What it is
//! given here is bounded before anybody is known, and each user has connections of its own.

use std::{
    collections::HashMap,
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use bytes::{Bytes, BytesMut};
use data_encoding::HEXLOWER;
use mqtt5::{
    Packet,
    packet::{connect::ConnectPacket, disconnect::DisconnectPacket},
    transport::packet_io::encode_packet_to_buffer,
    types::ReasonCode,
};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{
    connect::{self, Refusal, farewell},
    engine::{self, Engine},
    gatekeeper::Gatekeeper,
    line::{Line, Returned, Socket},
    meter::{Meter, Metered, Share},
    sessions::{TooMany, Users, scoped},
    turns::Turns,
    waiting::{Place, Waiting},
    websocket,
};

/// How long a client may take to send its CONNECT, and the upgrade to WebSocket before it.
const PATIENCE: Duration = Duration::from_secs(10);
/// Before the next try, when the system has no descriptor for a connection.
const ACCEPT_AGAIN: Duration = Duration::from_millis(250);

const MQTT_5: u8 = 5;

/// By what clients come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Door {
    Mqtt,
    WebSocket,
}

pub(super) struct Front {
    pub(super) engine: Engine,
    pub(super) gatekeeper: Gatekeeper,
    pub(super) users: Mutex<Users>,
    /// What each user shares with the others; the gateway waits for nobody.
    pub(super) shares: HashMap<String, (Share, Turns)>,
    pub(super) max_packet_size: usize,
    pub(super) stop: CancellationToken,
    pub(super) tasks: TaskTracker,
}

type BoxedSocket = Box<dyn Socket>;

/// A client that may talk to the broker.
struct Admitted {
    version: u8,
    /// CONNECT with the identifier under which the broker knows the client, and what came behind.
    opening: Bytes,
    /// The identifier that the client was given, having none.
    assigned: Option<String>,
    seat: Seat,
}

/// A connection of a user, until it is dropped.
struct Seat {
    front: Arc<Front>,
    user: String,
    id: String,
    left: bool,
}

impl Seat {
    /// Returns the sessions that have to go.
    fn leave(&mut self, kept: bool) -> Vec<String> {
        self.left = true;
        self.front.users().leave(&self.user, &self.id, kept)
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        if !self.left {
            self.leave(false);
        }
    }
}

impl Front {
    /// Takes connections until stopped; `room` holds those of whom nobody knows yet who they are.
    pub(super) async fn take(
        self: Arc<Self>,
        listener: TcpListener,
        door: Door,
        room: Arc<Waiting>,
    ) {
        loop {
            let accepted = tokio::select! {
                () = self.stop.cancelled() => return,
                accepted = listener.accept() => accepted,
            };
            match accepted {
                Ok((socket, peer)) => {
                    if let Err(error) = socket.set_nodelay(true) {
                        tracing::debug!(%peer, %error, "answers to this client may be late");
                    }
                    let place = room.take(peer.ip());
                    let client = Arc::clone(&self).attend(socket, peer, door, place);
                    self.tasks.spawn(client);
                }
                Err(error) => {
                    tracing::warn!(%error, "a connection could not be taken");
                    tokio::time::sleep(ACCEPT_AGAIN).await;
                }
            }
        }
    }

    /// One client, from the first byte to the last.
    async fn attend(
        self: Arc<Self>,
        socket: TcpStream,
        peer: SocketAddr,
        door: Door,
        place: Place,
    ) {
        let meter = Meter::default();
        let socket = Metered::new(socket, meter.clone());
        let admitted = tokio::select! {
            biased;
            () = self.stop.cancelled() => return,
            () = place.displaced() => {
                tracing::warn!(%peer, "too many unknown clients: the oldest was cut off");
                return;
            }
            admitted = self.let_in(socket, peer, door) => admitted,
        };
        drop(place);
        if let Some((socket, admitted)) = admitted {
            self.serve(socket, meter, peer, admitted).await;
        }
    }

    async fn let_in(
        self: &Arc<Self>,
        socket: Metered,
        peer: SocketAddr,
        door: Door,
    ) -> Option<(BoxedSocket, Admitted)> {
        let opening = self.open(socket, peer, door);
        let Ok(opened) = tokio::time::timeout(PATIENCE, opening).await else {
            tracing::warn!(%peer, "no CONNECT in time");
            return None;
        };
        let (mut socket, read) = opened?;
        let admitted = match read {
            Ok((connect, behind)) => self.admit(connect, &behind, peer).await,
            Err(refusal) => Err(refusal),
        };
        match admitted {
            Ok(admitted) => Some((socket, admitted)),
            Err(refusal) => {
                let Refusal { reason, words, .. } = &refusal;
                tracing::warn!(%peer, ?reason, words, "connection refused");
                if let Some(answer) = refusal.answer() {
                    farewell(&mut *socket, &answer).await;
                }
                None
            }
        }
    }

    /// The upgrade, where there is one, and CONNECT.
    async fn open(
        &self,
        socket: Metered,
        peer: SocketAddr,
        door: Door,
    ) -> Option<(BoxedSocket, Result<(ConnectPacket, BytesMut), Refusal>)> {
        let mut socket: BoxedSocket = match door {
            Door::Mqtt => Box::new(socket),
            Door::WebSocket => match websocket::accept(socket, self.max_packet_size).await {
                Ok(socket) => socket,
                Err(error) => {
                    tracing::warn!(%peer, %error, "no upgrade to WebSocket");
                    return None;
                }
            },
        };
        let read = connect::read(&mut *socket).await;
        Some((socket, read))
    }

    /// Finds out who it is, and gives the client an identifier that is its user's alone.
    async fn admit(
        self: &Arc<Self>,
        mut connect: ConnectPacket,
        behind: &[u8],
        peer: SocketAddr,
    ) -> Result<Admitted, Refusal> {
        let version = connect.protocol_version;
        let refusal = |reason, words: &str| Refusal::new(version, reason, words);
        let user = self.gatekeeper.admit(&connect, peer.ip()).await?;
        let mut assigned = None;
        if connect.client_id.is_empty() {
            if version != MQTT_5 && !connect.clean_start {
                let words = "a session that is to be kept needs a client identifier";
                return Err(refusal(ReasonCode::ClientIdentifierNotValid, words));
            }
            let mut random = [0; 16];
            getrandom::fill(&mut random)
                .map_err(|error| refusal(ReasonCode::ServerUnavailable, &error.to_string()))?;
            connect.client_id = format!("auto-{}", HEXLOWER.encode(&random));
            assigned = (version == MQTT_5).then(|| connect.client_id.clone());
        }
        let id = scoped(&user, &connect.client_id);
        connect.client_id.clone_from(&id);
        // They have been looked at; the broker crate has no use for them.
        (connect.username, connect.password) = (None, None);
        let mut opening = BytesMut::new();
        encode_packet_to_buffer(&Packet::Connect(Box::new(connect)), &mut opening)
            .map_err(|error| refusal(ReasonCode::MalformedPacket, &error.to_string()))?;
        opening.extend_from_slice(behind);
        self.users().enter(&user, &id).map_err(|TooMany| {
            refusal(
                ReasonCode::QuotaExceeded,
                "this user has too many connections",
            )
        })?;
        Ok(Admitted {
            version,
            opening: opening.freeze(),
            assigned,
            seat: Seat {
                front: Arc::clone(self),
                user,
                id,
                left: false,
            },
        })
    }

    async fn serve(&self, socket: BoxedSocket, meter: Meter, peer: SocketAddr, admitted: Admitted) {
        let Admitted {
            version,
            opening,
            assigned,
            mut seat,
        } = admitted;
        tracing::info!(client = seat.user, session = seat.id, %peer, "client connected");
        let (share, turns) = self.shares.get(&seat.user).cloned().unzip();
        meter.let_through(share);
        let (line, returned) = Line::new(socket, peer, meter, turns, opening, assigned);
        let pass = self.gatekeeper.pass(seat.user.clone());
        let ended = self.engine.serve(line, peer, Arc::new(pass)).await;
        let kept = self.engine.keeps(&seat.id).await;
        for abandoned in seat.leave(kept) {
            self.engine.forget(&abandoned).await;
        }
        match &ended {
            Ok(()) => tracing::info!(client = seat.user, session = seat.id, "client gone"),
            Err(error) => {
                tracing::info!(client = seat.user, session = seat.id, %error, "client gone");
            }
        }
        let told = ended.err().as_ref().and_then(engine::reason);
        if version == MQTT_5
            && let (
                Some(reason),
                Ok(Returned {
                    mut socket,
                    said_why: false,
                }),
            ) = (told, returned.await)
        {
            let last = Packet::Disconnect(DisconnectPacket::new(reason));
            farewell(&mut *socket, &last).await;
        }
    }

    fn users(&self) -> MutexGuard<'_, Users> {
        self.users.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

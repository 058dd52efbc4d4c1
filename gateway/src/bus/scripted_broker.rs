//! A broker that does exactly what a test tells it, packet by packet.

use super::{Address, Bus, Incoming, Settings};
use bytes::BytesMut;
use rumqttc::v5::mqttbytes::Error;
use rumqttc::v5::mqttbytes::v5::{
    ConnAck, ConnAckProperties, ConnectReturnCode, Disconnect, DisconnectReasonCode, Packet,
    PubAck, PubAckReason, Publish, SubAck, SubscribeReasonCode,
};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::time::timeout;

/// No step of a script takes longer, unless it has failed.
const PATIENCE: Duration = Duration::from_secs(20);

pub(super) struct ScriptedBroker(TcpListener);

/// One accepted connection.
pub(super) struct Peer {
    stream: TcpStream,
    buffer: BytesMut,
}

impl ScriptedBroker {
    pub(super) async fn start() -> Self {
        Self(TcpListener::bind("127.0.0.1:0").await.unwrap())
    }

    pub(super) fn address(&self) -> String {
        self.0.local_addr().unwrap().to_string()
    }

    pub(super) fn settings(&self) -> Settings {
        let port = self.0.local_addr().unwrap().port();
        let mut settings = Settings::new(
            Address::Tcp {
                host: "127.0.0.1".into(),
                port,
            },
            "kofferd",
        );
        settings.keep_alive = Duration::from_secs(5);
        settings
    }

    /// Accepts a connection and reads its CONNECT.
    pub(super) async fn accept(&self) -> Peer {
        let (stream, _) = timeout(PATIENCE, self.0.accept()).await.unwrap().unwrap();
        let mut peer = Peer {
            stream,
            buffer: BytesMut::new(),
        };
        match peer.read().await {
            Packet::Connect(connect, ..) => assert!(!connect.clean_start),
            other => panic!("expected CONNECT, got {other:?}"),
        }
        peer
    }

    /// Accepts a connection and answers its CONNECT.
    pub(super) async fn welcome(&self, session_present: bool) -> Peer {
        self.welcome_with(session_present, |_| {}).await
    }

    pub(super) async fn welcome_with(
        &self,
        session_present: bool,
        announce: impl FnOnce(&mut ConnAckProperties),
    ) -> Peer {
        let mut peer = self.accept().await;
        let mut properties = no_limits();
        announce(&mut properties);
        peer.write(Packet::ConnAck(ConnAck {
            session_present,
            code: ConnectReturnCode::Success,
            properties: Some(properties),
        }))
        .await;
        peer
    }
}

impl Peer {
    pub(super) async fn read(&mut self) -> Packet {
        timeout(PATIENCE, self.read_or_end())
            .await
            .unwrap()
            .expect("connection closed")
    }

    /// The next packet that is not a ping, or `None` at the end of the connection.
    pub(super) async fn read_or_end(&mut self) -> Option<Packet> {
        loop {
            // rumqttc cannot read the short form of its own DISCONNECT.
            if self.buffer.starts_with(&[0xe0, 0]) {
                return Some(Packet::Disconnect(Disconnect::new(
                    DisconnectReasonCode::NormalDisconnection,
                )));
            }
            match Packet::read(&mut self.buffer, None) {
                Ok(Packet::PingReq(_)) => {}
                Ok(packet) => return Some(packet),
                Err(Error::InsufficientBytes(_)) => {
                    if self.stream.read_buf(&mut self.buffer).await.unwrap_or(0) == 0 {
                        return None;
                    }
                }
                Err(error) => panic!("the bus sent nonsense: {error}"),
            }
        }
    }

    pub(super) async fn read_publish(&mut self) -> Publish {
        match self.read().await {
            Packet::Publish(publish) => publish,
            other => panic!("expected PUBLISH, got {other:?}"),
        }
    }

    pub(super) async fn write(&mut self, packet: Packet) {
        let mut bytes = BytesMut::new();
        packet.write(&mut bytes, None).unwrap();
        self.stream.write_all(&bytes).await.unwrap();
    }

    /// Bytes that the library of the other side cannot or does not write.
    pub(super) async fn write_raw(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).await.unwrap();
    }

    pub(super) async fn acknowledge(&mut self, packet_id: u16, reason: PubAckReason) {
        let mut puback = PubAck::new(packet_id, None);
        puback.reason = reason;
        self.write(Packet::PubAck(puback)).await;
    }

    pub(super) async fn answer_subscribe(&mut self, code: SubscribeReasonCode) {
        match self.read().await {
            Packet::Subscribe(subscribe) => {
                let return_codes = vec![code; subscribe.filters.len()];
                let suback = SubAck {
                    pkid: subscribe.pkid,
                    return_codes,
                    properties: None,
                };
                self.write(Packet::SubAck(suback)).await;
            }
            other => panic!("expected SUBSCRIBE, got {other:?}"),
        }
    }
}

/// The next item for the reader, within patience.
pub(super) async fn next(incoming: &mut mpsc::Receiver<Incoming>) -> Incoming {
    timeout(PATIENCE, incoming.recv())
        .await
        .unwrap()
        .expect("the bus has ended")
}

/// Reads until the session is up.
pub(super) async fn connected(incoming: &mut mpsc::Receiver<Incoming>) {
    while !matches!(next(incoming).await, Incoming::Connected { .. }) {}
}

/// A bus and its first connection, session up, without subscriptions.
pub(super) async fn connected_bus() -> (ScriptedBroker, Bus, mpsc::Receiver<Incoming>, Peer) {
    let broker = ScriptedBroker::start().await;
    let (bus, mut incoming) = Bus::start(broker.settings());
    let peer = broker.welcome(false).await;
    connected(&mut incoming).await;
    (broker, bus, incoming, peer)
}

fn no_limits() -> ConnAckProperties {
    ConnAckProperties {
        session_expiry_interval: None,
        receive_max: None,
        max_qos: None,
        retain_available: None,
        max_packet_size: None,
        assigned_client_identifier: None,
        topic_alias_max: None,
        reason_string: None,
        user_properties: Vec::new(),
        wildcard_subscription_available: None,
        subscription_identifiers_available: None,
        shared_subscription_available: None,
        server_keep_alive: None,
        response_information: None,
        server_reference: None,
        authentication_method: None,
        authentication_data: None,
    }
}

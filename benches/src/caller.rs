//! The measuring client, the same for both sides: a connection that makes one call after the other.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::{Duration, Instant},
};

use bytes::Bytes;
use rumqttc::{
    NetworkOptions,
    v5::{
        AsyncClient, Event, EventLoop, MqttOptions,
        mqttbytes::{
            QoS,
            v5::{Packet, Publish, PublishProperties},
        },
    },
};
use tokio::time::timeout;

use crate::{
    Outcome,
    testbed::{CLIENTS, PACKET},
};

/// No answer takes longer, unless something is broken.
const PATIENCE: Duration = Duration::from_secs(20);

/// One connection as one of [`CLIENTS`].
pub(crate) struct Caller {
    user: &'static str,
    client_id: String,
    mqtt: AsyncClient,
    line: EventLoop,
}

/// A call that is made again and again.
#[derive(Debug, Clone)]
pub(crate) struct Asked {
    /// The gateway's name.
    pub(crate) gateway: &'static str,
    /// Device and operation.
    pub(crate) what: String,
    /// The parameters.
    pub(crate) payload: Bytes,
    /// Their encoding.
    pub(crate) content_type: &'static str,
}

impl Caller {
    /// Connects and waits until it hears the replies of these gateways.
    pub(crate) async fn connect(port: u16, user: usize, gateways: &[&str]) -> Outcome<Self> {
        let (user, password) = CLIENTS[user];
        let client_id = format!("{user}-{}", next());
        let (mqtt, line) = connection(port, &client_id, user, password);
        let mut caller = Self {
            user,
            client_id,
            mqtt,
            line,
        };
        for gateway in gateways {
            let filter = caller.reply_topic(gateway);
            caller.mqtt.subscribe(filter, QoS::AtLeastOnce).await?;
            let granted = |event: &Event| matches!(event, Event::Incoming(Packet::SubAck(_)));
            caller.until(granted).await?;
        }
        Ok(caller)
    }

    /// Makes one call and waits for its completion: how long it took, and what came.
    pub(crate) async fn call(&mut self, asked: &Asked) -> Outcome<(Duration, Bytes)> {
        let id = Bytes::from(format!("{:x}", next()));
        let properties = PublishProperties {
            response_topic: Some(self.reply_topic(asked.gateway)),
            correlation_data: Some(id.clone()),
            message_expiry_interval: Some(60),
            content_type: Some(asked.content_type.to_owned()),
            ..PublishProperties::default()
        };
        let (gateway, what) = (asked.gateway, &asked.what);
        let topic = format!("koffer/1/{gateway}/call/{}/{what}", self.user);
        let began = Instant::now();
        self.mqtt.try_publish_with_properties(
            topic,
            QoS::AtLeastOnce,
            false,
            asked.payload.clone(),
            properties,
        )?;
        let mine = |answer: &Publish| {
            let properties = answer.properties.as_ref();
            properties.and_then(|p| p.correlation_data.as_ref()) == Some(&id)
        };
        let answer = self
            .until(|event| matches!(event, Event::Incoming(Packet::Publish(p)) if mine(p)))
            .await;
        match answer? {
            Event::Incoming(Packet::Publish(answer)) => Ok((began.elapsed(), answer.payload)),
            _ => Err("not an answer".into()),
        }
    }

    async fn until(&mut self, wanted: impl Fn(&Event) -> bool) -> Outcome<Event> {
        let found = async {
            loop {
                let event = self.line.poll().await?;
                if wanted(&event) {
                    return Ok(event);
                }
            }
        };
        let what = || format!("{} waits for an answer in vain", self.client_id);
        timeout(PATIENCE, found).await.map_err(|_| what())?
    }

    fn reply_topic(&self, gateway: &str) -> String {
        format!("koffer/1/{gateway}/reply/{}/{}", self.user, self.client_id)
    }
}

/// Waits until a retained or new message on `topic` holds `text`.
pub(crate) async fn until_said(port: u16, topic: &str, text: &str) -> Outcome<Instant> {
    Listener::connect(port, topic).await?.hears(text).await
}

/// A connection that reads.
pub(crate) struct Listener {
    line: EventLoop,
    /// Kept: without it the line would end.
    _mqtt: AsyncClient,
}

impl Listener {
    /// Subscribes to `topic`.
    pub(crate) async fn connect(port: u16, topic: &str) -> Outcome<Self> {
        let (user, password) = CLIENTS[1];
        let (mqtt, mut line) = connection(port, &format!("{user}-{}", next()), user, password);
        mqtt.subscribe(topic, QoS::AtLeastOnce).await?;
        while !matches!(
            timeout(PATIENCE, line.poll()).await??,
            Event::Incoming(Packet::SubAck(_))
        ) {}
        Ok(Self { line, _mqtt: mqtt })
    }

    /// Waits for a message that holds `text`.
    pub(crate) async fn hears(&mut self, text: &str) -> Outcome<Instant> {
        loop {
            if let Event::Incoming(Packet::Publish(message)) =
                timeout(PATIENCE, self.line.poll()).await??
                && String::from_utf8_lossy(&message.payload).contains(text)
            {
                return Ok(Instant::now());
            }
        }
    }
}

fn connection(port: u16, id: &str, user: &str, password: &str) -> (AsyncClient, EventLoop) {
    let mut options = MqttOptions::new(id, "127.0.0.1", port);
    let mut network = NetworkOptions::new();
    network.set_tcp_nodelay(true);
    options
        .set_network_options(network)
        .set_credentials(user, password)
        .set_keep_alive(Duration::from_mins(2))
        .set_max_packet_size(Some(PACKET));
    AsyncClient::new(options, 16)
}

/// A number nobody had before.
fn next() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

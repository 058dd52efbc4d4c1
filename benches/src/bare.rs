//! The bare responder: subscribes to calls as the gateway does and answers each at once, with as
//! many bytes and the quality of service that its topic asks for, and nothing else.

use std::{collections::HashMap, net::Ipv4Addr, time::Duration};

use bytes::Bytes;
use koffer_gateway::{
    Secret,
    broker::{
        embedded::{self, Client, Password},
        rules::Role,
    },
    daemon,
};
use rumqttc::{
    NetworkOptions,
    v5::{
        AsyncClient, Event, MqttOptions,
        mqttbytes::{
            QoS,
            v5::{Packet, Publish, PublishProperties},
        },
    },
};

use crate::{
    Outcome,
    testbed::{BARE, CLIENTS, PACKET},
};

/// How the responder reaches a broker.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// The broker's port on loopback.
    port: u16,
    /// Runs the embedded broker itself, in this process, as the gateway does.
    #[arg(long)]
    embedded: bool,
}

/// Calls under way at once; nobody measures with more clients.
const REQUESTS: usize = 256;

/// Answers until it is ended; on the same threads as the gateway.
pub(crate) fn respond(options: &Options) -> Outcome<()> {
    let &Options { port, embedded } = options;
    daemon::on_two_threads(|beside| async move {
        let _broker = if embedded {
            Some(beside.spawn(broker(port)).await??)
        } else {
            None
        };
        serve(port).await
    })?
}

async fn broker(port: u16) -> Outcome<embedded::Running> {
    let clients = CLIENTS.map(|(name, password)| Client {
        name: name.to_owned(),
        role: if name == "kofferd" {
            Role::Gateway
        } else {
            Role::Workstation
        },
        password: Password::Clear(Secret::new(password)),
    });
    let mut settings = embedded::Settings::new(BARE, clients.into());
    settings.listen = (Ipv4Addr::LOCALHOST, port).into();
    settings.max_packet_size = PACKET;
    Ok(embedded::start(settings).await?)
}

async fn serve(port: u16) -> Outcome<()> {
    let (name, password) = CLIENTS[0];
    let mut options = MqttOptions::new(format!("{name}-{BARE}"), "127.0.0.1", port);
    let mut network = NetworkOptions::new();
    network.set_tcp_nodelay(true);
    options
        .set_network_options(network)
        .set_credentials(name, password)
        .set_keep_alive(Duration::from_secs(20))
        .set_max_packet_size(Some(PACKET));
    let (client, mut line) = AsyncClient::new(options, REQUESTS);
    let calls = format!("koffer/1/{BARE}/call/#");
    client.subscribe(calls, QoS::AtLeastOnce).await?;
    let mut answers = HashMap::new();
    loop {
        if let Event::Incoming(Packet::Publish(call)) = line.poll().await? {
            answer(&client, call, &mut answers)?;
        }
    }
}

/// The last level of the topic says what is wanted: `0-350` is 350 bytes with QoS 0.
fn answer(client: &AsyncClient, call: Publish, answers: &mut HashMap<usize, Bytes>) -> Outcome<()> {
    let topic = std::str::from_utf8(&call.topic)?;
    let wanted = topic.rsplit('/').next().and_then(|w| w.split_once('-'));
    let (qos, bytes) = wanted.ok_or("a call that asks for nothing")?;
    let qos = if qos == "0" {
        QoS::AtMostOnce
    } else {
        QoS::AtLeastOnce
    };
    let bytes: usize = bytes.parse()?;
    let payload = answers
        .entry(bytes)
        .or_insert_with(|| vec![b'x'; bytes].into())
        .clone();
    let asked = call.properties.unwrap_or_default();
    let properties = PublishProperties {
        correlation_data: asked.correlation_data,
        content_type: asked.content_type,
        message_expiry_interval: Some(120),
        ..PublishProperties::default()
    };
    let reply = asked
        .response_topic
        .ok_or("a call without response topic")?;
    client.try_publish_with_properties(reply, qos, false, payload, properties)?;
    Ok(())
}

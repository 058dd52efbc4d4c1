//! A client's connection as an app has it: it comes back when it is cut, and listens again.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

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
use serde_json::Value;
use tokio::{sync::watch, task::JoinHandle, time::sleep};

use crate::Outcome;

/// Topic root.
const ROOT: &str = "koffer/1/case-7";
/// The deadline of a call, in seconds.
const EXPIRY: u32 = 60;
/// Between two tries to connect.
const RECONNECT: Duration = Duration::from_millis(100);
/// Publications that wait for the connection.
const WAITING: usize = 64;

/// Every completion that anybody received, by call id, in the order of arrival.
#[derive(Debug, Default)]
pub(crate) struct Answers {
    calls: Mutex<HashMap<String, watch::Sender<Vec<Value>>>>,
}

/// What is published.
#[derive(Debug)]
pub(crate) struct Question<'a> {
    pub(crate) id: &'a str,
    pub(crate) target: &'a str,
    pub(crate) operation: &'a str,
    pub(crate) params: &'a Value,
}

/// One screen of a client.
pub(crate) struct Station {
    user: String,
    /// Client identifier, and the last level of its Response Topic.
    screen: String,
    mqtt: AsyncClient,
    listens: watch::Receiver<bool>,
    pump: JoinHandle<()>,
}

impl Answers {
    /// Follows the completions of a call.
    pub(crate) fn of(&self, id: &str) -> watch::Receiver<Vec<Value>> {
        let mut calls = self.calls.lock().unwrap_or_else(PoisonError::into_inner);
        calls.entry(id.to_owned()).or_default().subscribe()
    }

    /// All of them.
    pub(crate) fn all(&self) -> BTreeMap<String, Vec<Value>> {
        let calls = self.calls.lock().unwrap_or_else(PoisonError::into_inner);
        calls
            .iter()
            .map(|(id, completions)| (id.clone(), completions.borrow().clone()))
            .collect()
    }

    /// Forgets a call whose answers nobody needs any more.
    pub(crate) fn forget(&self, id: &str) {
        let mut calls = self.calls.lock().unwrap_or_else(PoisonError::into_inner);
        calls.remove(id);
    }

    fn take(&self, message: &Publish) {
        if message.topic.ends_with(b"/progress") {
            return;
        }
        let properties = message.properties.as_ref();
        let id = properties.and_then(|p| p.correlation_data.as_ref());
        let Some(id) = id.and_then(|id| std::str::from_utf8(id).ok()) else {
            return;
        };
        // What is no JSON agrees with no other completion.
        let told = serde_json::from_slice(&message.payload).unwrap_or(Value::Null);
        let calls = self.calls.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(completions) = calls.get(id) {
            completions.send_modify(|completions| completions.push(told));
        }
    }
}

impl Station {
    /// Connects, and stays connected whatever happens.
    pub(crate) fn connect(
        port: u16,
        user: &str,
        password: &str,
        screen: &str,
        answers: &Arc<Answers>,
    ) -> Self {
        let screen = format!("{user}-{screen}");
        let mut options = MqttOptions::new(screen.clone(), "127.0.0.1", port);
        options
            .set_credentials(user, password)
            .set_keep_alive(Duration::from_secs(10));
        let mut network = NetworkOptions::new();
        network.set_tcp_nodelay(true);
        options.set_network_options(network);
        let (mqtt, line) = AsyncClient::new(options, WAITING);
        let (tell, listens) = watch::channel(false);
        let filter = format!("{ROOT}/reply/{user}/{screen}/#");
        let pump = pump(line, mqtt.clone(), filter, tell, answers.clone());
        Self {
            user: user.to_owned(),
            screen,
            mqtt,
            listens,
            pump: tokio::spawn(pump),
        }
    }

    /// Publishes a call once the connection stands and its answers are heard.
    pub(crate) async fn publish(&self, question: &Question<'_>) -> Outcome<()> {
        self.listens.clone().wait_for(|listens| *listens).await?;
        let properties = PublishProperties {
            response_topic: Some(format!("{ROOT}/reply/{}/{}", self.user, self.screen)),
            correlation_data: Some(question.id.to_owned().into()),
            message_expiry_interval: Some(EXPIRY),
            content_type: Some("application/json".to_owned()),
            user_properties: vec![("lang".to_owned(), "en".to_owned())],
            ..PublishProperties::default()
        };
        let Question {
            target, operation, ..
        } = question;
        let topic = format!("{ROOT}/call/{}/{target}/{operation}", self.user);
        let payload = question.params.to_string();
        let sent =
            self.mqtt
                .publish_with_properties(topic, QoS::AtLeastOnce, false, payload, properties);
        Ok(sent.await?)
    }

    /// Asks what has no effect, and gives up after `patience`.
    pub(crate) async fn ask(
        &self,
        answers: &Answers,
        question: &Question<'_>,
        patience: Duration,
    ) -> Option<Value> {
        let mut told = answers.of(question.id);
        let asked = async {
            self.publish(question).await.ok()?;
            let told = told.wait_for(|told| !told.is_empty()).await.ok()?;
            told.first().cloned()
        };
        let answer = tokio::time::timeout(patience, asked).await.ok().flatten();
        answers.forget(question.id);
        answer
    }
}

impl Drop for Station {
    fn drop(&mut self) {
        self.pump.abort();
    }
}

async fn pump(
    mut line: EventLoop,
    mqtt: AsyncClient,
    filter: String,
    listens: watch::Sender<bool>,
    answers: Arc<Answers>,
) {
    loop {
        match line.poll().await {
            Ok(Event::Incoming(Packet::ConnAck(_))) => {
                // The session is a new one. The queue may be full, and only this loop empties it.
                let (mqtt, filter) = (mqtt.clone(), filter.clone());
                tokio::spawn(async move { mqtt.subscribe(filter, QoS::AtLeastOnce).await });
            }
            Ok(Event::Incoming(Packet::SubAck(_))) => {
                listens.send_replace(true);
            }
            Ok(Event::Incoming(Packet::Publish(message))) => answers.take(&message),
            Ok(_) => {}
            Err(_) => {
                listens.send_replace(false);
                sleep(RECONNECT).await;
            }
        }
    }
}

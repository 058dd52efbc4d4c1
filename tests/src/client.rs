//! A workstation app in this process: MQTT 5 and JSON as the contract says, on `rumqttc` without
//! anything of the gateway, counting every completion it receives.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use rumqttc::NetworkOptions;
use rumqttc::v5::{
    AsyncClient, Event, MqttOptions,
    mqttbytes::{
        QoS,
        v5::{Packet, Publish, PublishProperties},
    },
};
use serde_json::Value;
use tokio::{sync::watch, task::JoinHandle};

use crate::brokers::ROOT;

/// Where the gateway's own status is kept among the devices' states.
const GATEWAY: &str = "gateway status";

/// What a call has brought so far.
#[derive(Debug, Clone, Default)]
pub struct Answers {
    /// Interim messages, in order.
    pub progress: Vec<Value>,
    /// Completions; more than one is a defect of the gateway.
    pub completions: Vec<Value>,
}

/// A connected workstation.
pub struct Workstation {
    name: String,
    /// Its own for each connection, so that call ids never meet.
    client_id: String,
    mqtt: AsyncClient,
    calls: Arc<Mutex<HashMap<String, watch::Sender<Answers>>>>,
    states: watch::Receiver<HashMap<String, Value>>,
    ids: AtomicU64,
    pump: JoinHandle<()>,
}

/// One call under way.
#[derive(Debug, Clone)]
pub struct Pending {
    /// Its call id.
    pub id: String,
    answers: watch::Receiver<Answers>,
}

impl Workstation {
    /// Connects as `name` and waits until it hears its replies and the devices' states.
    ///
    /// # Panics
    /// When the broker does not let it.
    pub async fn connect(port: u16, name: &str, password: &str) -> Self {
        let client_id = format!("{name}-{}", connection());
        let mut options = MqttOptions::new(client_id.clone(), "127.0.0.1", port);
        options
            .set_credentials(name, password)
            .set_keep_alive(Duration::from_secs(30))
            .set_max_packet_size(Some(40 * 1024 * 1024));
        let mut network = NetworkOptions::new();
        network.set_tcp_nodelay(true);
        options.set_network_options(network);
        let (mqtt, mut line) = AsyncClient::new(options, 64);
        for filter in [
            format!("{ROOT}/reply/{name}/{client_id}/#"),
            format!("{ROOT}/dev/+/state"),
            format!("{ROOT}/status"),
        ] {
            mqtt.subscribe(filter, QoS::AtLeastOnce)
                .await
                .expect("a place in the queue");
        }
        let calls: Arc<Mutex<HashMap<String, watch::Sender<Answers>>>> = Arc::default();
        let (seen, states) = watch::channel(HashMap::new());
        let (granted, mut heard) = watch::channel(0);
        let known = calls.clone();
        let pump = tokio::spawn(async move {
            loop {
                match line.poll().await {
                    Ok(Event::Incoming(Packet::Publish(message))) => take(&message, &known, &seen),
                    Ok(Event::Incoming(Packet::SubAck(_))) => granted.send_modify(|n| *n += 1),
                    Ok(_) => {}
                    // The broker is gone or going: whoever waits has a deadline.
                    Err(_) => tokio::task::yield_now().await,
                }
            }
        });
        let subscribed = heard.wait_for(|granted| *granted >= 3);
        tokio::time::timeout(Duration::from_mins(1), subscribed)
            .await
            .expect("subscribed in time")
            .expect("the pump runs");
        Self {
            name: name.to_owned(),
            client_id,
            mqtt,
            calls,
            states,
            ids: AtomicU64::new(0),
            pump,
        }
    }

    /// Calls with a new call id.
    ///
    /// # Panics
    /// When the connection is gone.
    pub async fn call(
        &self,
        target: &str,
        operation: &str,
        params: &Value,
        expiry: u32,
    ) -> Pending {
        let id = format!(
            "{}-{}",
            self.client_id,
            self.ids.fetch_add(1, Ordering::Relaxed)
        );
        self.call_as(&id, target, operation, params, expiry).await
    }

    /// Calls with this call id.
    ///
    /// # Panics
    /// When the connection is gone.
    pub async fn call_as(
        &self,
        id: &str,
        target: &str,
        operation: &str,
        params: &Value,
        expiry: u32,
    ) -> Pending {
        let answers = self
            .calls
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .entry(id.to_owned())
            .or_default()
            .subscribe();
        let properties = PublishProperties {
            response_topic: Some(format!("{ROOT}/reply/{}/{}", self.name, self.client_id)),
            correlation_data: Some(id.to_owned().into()),
            message_expiry_interval: Some(expiry),
            content_type: Some("application/json".to_owned()),
            user_properties: vec![("lang".to_owned(), "en".to_owned())],
            ..PublishProperties::default()
        };
        let topic = format!("{ROOT}/call/{}/{target}/{operation}", self.name);
        self.mqtt
            .publish_with_properties(
                topic,
                QoS::AtLeastOnce,
                false,
                params.to_string(),
                properties,
            )
            .await
            .expect("the connection stands");
        Pending {
            id: id.to_owned(),
            answers,
        }
    }

    /// Calls, and waits for the completion.
    ///
    /// # Panics
    /// When none comes within `expiry` and the gateway's own patience.
    pub async fn ask(&self, target: &str, operation: &str, params: &Value, expiry: u32) -> Value {
        self.call(target, operation, params, expiry)
            .await
            .completion()
            .await
    }

    /// Waits until `device` shows one of `states`.
    ///
    /// # Panics
    /// When it does not within a minute.
    pub async fn until_state(&self, device: &str, wanted: &[&str]) -> Value {
        let is = |state: &Value| state["state"].as_str().is_some_and(|s| wanted.contains(&s));
        self.until(device, is).await
    }

    /// Waits until the gateway is online.
    ///
    /// # Panics
    /// When it is not within a minute.
    pub async fn online(&self) {
        self.until(GATEWAY, |status| status["status"] == "online")
            .await;
    }

    /// Waits until the state of `device` is `wanted`.
    ///
    /// # Panics
    /// When it is not within a minute.
    pub async fn until(&self, device: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        let mut states = self.states.clone();
        let shows = states.wait_for(|states| states.get(device).is_some_and(&wanted));
        let reached = tokio::time::timeout(Duration::from_mins(1), shows).await;
        let Ok(Ok(states)) = reached else {
            panic!("{device} does not get there: {:?}", self.state(device));
        };
        states[device].clone()
    }

    /// The device's state as last published.
    pub fn state(&self, device: &str) -> Option<Value> {
        self.states.borrow().get(device).cloned()
    }

    /// How many completions each call has had, by call id.
    pub fn completions(&self) -> HashMap<String, Vec<Value>> {
        let calls = self.calls.lock().unwrap_or_else(PoisonError::into_inner);
        calls
            .iter()
            .map(|(id, answers)| (id.clone(), answers.borrow().completions.clone()))
            .collect()
    }
}

impl Drop for Workstation {
    fn drop(&mut self) {
        self.pump.abort();
    }
}

impl Pending {
    /// The completion.
    ///
    /// # Panics
    /// When none comes within five minutes.
    pub async fn completion(&mut self) -> Value {
        let ended = self
            .answers
            .wait_for(|answers| !answers.completions.is_empty());
        match tokio::time::timeout(Duration::from_mins(5), ended).await {
            Ok(Ok(answers)) => answers.completions[0].clone(),
            other => panic!("{} has no completion: {:?}", self.id, other.is_ok()),
        }
    }

    /// Waits for an interim message that is `wanted`.
    ///
    /// # Panics
    /// When none comes within a minute.
    pub async fn progress(&mut self, wanted: impl Fn(&Value) -> bool) -> Value {
        let mut answers = self.answers.clone();
        let seen = answers.wait_for(|answers| answers.progress.iter().any(&wanted));
        match tokio::time::timeout(Duration::from_mins(1), seen).await {
            Ok(Ok(answers)) => answers
                .progress
                .iter()
                .find(|p| wanted(p))
                .cloned()
                .unwrap_or_default(),
            _ => panic!(
                "{} does not get there: {:?}",
                self.id,
                self.answers.borrow()
            ),
        }
    }

    /// Everything so far.
    pub fn answers(&self) -> Answers {
        self.answers.borrow().clone()
    }
}

fn take(
    message: &Publish,
    calls: &Mutex<HashMap<String, watch::Sender<Answers>>>,
    seen: &watch::Sender<HashMap<String, Value>>,
) {
    let topic = String::from_utf8_lossy(&message.topic);
    let Ok(value) = serde_json::from_slice::<Value>(&message.payload) else {
        return;
    };
    if topic == format!("{ROOT}/status") {
        seen.send_modify(|states| {
            states.insert(GATEWAY.to_owned(), value);
        });
        return;
    }
    if let Some(device) = topic.strip_prefix(&format!("{ROOT}/dev/")) {
        if let Some(device) = device.strip_suffix("/state") {
            seen.send_modify(|states| {
                states.insert(device.to_owned(), value);
            });
        }
        return;
    }
    let id = message
        .properties
        .as_ref()
        .and_then(|p| p.correlation_data.clone());
    let id = String::from_utf8_lossy(&id.unwrap_or_default()).into_owned();
    let calls = calls.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(answers) = calls.get(&id) {
        answers.send_modify(|answers| {
            if topic.ends_with("/progress") {
                answers.progress.push(value);
            } else {
                answers.completions.push(value);
            }
        });
    }
}

/// A client id of its own for each connection.
fn connection() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

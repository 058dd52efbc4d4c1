//! The gateway's own sessions: beside the router, without a connection.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use async_trait::async_trait;
use bytes::Bytes;
use mqtt5::{
    Properties as Carried, PropertyId, PropertyValue, QoS,
    broker::{
        router::{
            DeliveryLanes, LaneReceivers, MessageRouter, SubscriptionRequest, TakeoverNotice,
        },
        storage::QueueHandle,
    },
    packet::publish::PublishPacket,
};
use tokio::{
    runtime::Handle,
    sync::{Mutex, oneshot},
};
use tokio_util::sync::CancellationToken;

use super::{engine::LANE, sessions::scoped};
use crate::bus::{
    LocalBroker, LocalSession, Message, Properties, Qos, Rejection, Settings, Subscription,
};

/// Where the gateway's sessions attach.
pub(super) struct Beside {
    pub(super) router: Arc<MessageRouter>,
    pub(super) stop: CancellationToken,
    /// The broker's own.
    pub(super) runtime: Handle,
}

struct Session {
    id: String,
    router: Arc<MessageRouter>,
    lanes: Mutex<LaneReceivers>,
    queue: QueueHandle,
    generation: u64,
    will: Option<Message>,
    left: AtomicBool,
    stop: CancellationToken,
    runtime: Handle,
    /// Kept: without it the router takes the session for gone.
    _taken_over: oneshot::Receiver<TakeoverNotice>,
}

#[async_trait]
impl LocalBroker for Beside {
    async fn attach(&self, settings: &Settings) -> Arc<dyn LocalSession> {
        let id = scoped(&settings.username, &settings.client_id);
        let queue = self.router.queue_handle(&id);
        let (senders, lanes) = DeliveryLanes::channel(LANE);
        let (notice, taken_over) = oneshot::channel();
        let registered = self
            .router
            .register_client(id.clone(), senders, Arc::clone(&queue), notice)
            .await;
        for subscription in &settings.subscriptions {
            let request = request(&id, subscription);
            if let Err(error) = self.router.subscribe(request).await {
                let filter = &subscription.filter;
                tracing::error!(filter, %error, "the broker refused a subscription");
            }
        }
        Arc::new(Session {
            id,
            router: Arc::clone(&self.router),
            lanes: Mutex::new(lanes),
            queue,
            generation: registered.generation,
            will: settings.will.clone(),
            left: AtomicBool::new(false),
            stop: self.stop.clone(),
            runtime: self.runtime.clone(),
            _taken_over: taken_over,
        })
    }
}

/// As a bus subscribes by a connection: without its own messages, and with the publisher's retain
/// flag.
fn request(id: &str, subscription: &Subscription) -> SubscriptionRequest {
    SubscriptionRequest::new(id, subscription.filter.clone(), qos(subscription.qos))
        .with_no_local(true)
        .with_retain_as_published(true)
        .with_retain_handling(2)
}

#[async_trait]
impl LocalSession for Session {
    async fn publish(&self, message: &Message, seconds_left: Option<u32>) -> Result<(), Rejection> {
        let packet = packet(message, seconds_left);
        if packet.retain && !packet.payload.is_empty() {
            let largest = self.router.max_retained_message_size();
            let too_large = largest > 0 && packet.payload.len() > largest;
            if too_large || self.router.retained_store_full(&packet.topic_name).await {
                return Err(Rejection::QuotaExceeded);
            }
        }
        self.router.route_message(&packet, Some(&self.id)).await;
        Ok(())
    }

    async fn receive(&self, at_least_once: bool) -> Option<Message> {
        let mut lanes = self.lanes.lock().await;
        let LaneReceivers { qos1, qos0 } = &mut *lanes;
        loop {
            if at_least_once {
                // What is in the lane came before what is in the queue.
                if let Ok(routed) = qos1.try_recv() {
                    return Some(message(routed.publish));
                }
                if let Some(queued) = self.queue.take(1).await.pop() {
                    self.queue.finish_drain();
                    return Some(message(queued.to_publish_packet()));
                }
            }
            tokio::select! {
                biased;
                routed = qos1.recv(), if at_least_once => {
                    return routed.map(|routed| message(routed.publish));
                }
                routed = qos0.recv() => return routed.map(|routed| message(routed.publish)),
                () = self.queue.notified(), if at_least_once => {}
                () = self.stop.cancelled() => return None,
            }
        }
    }

    fn leave(&self) {
        self.left.store(true, Ordering::Relaxed);
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        let will = self.will.take().filter(|_| !*self.left.get_mut());
        let (router, id) = (Arc::clone(&self.router), std::mem::take(&mut self.id));
        let generation = self.generation;
        self.runtime.spawn(async move {
            if let Some(will) = will {
                let seconds_left = will.properties.message_expiry;
                let packet = packet(&will, seconds_left);
                router.route_message(&packet, Some(&id)).await;
            }
            router.release_client(&id, generation, false).await;
        });
    }
}

fn qos(qos: Qos) -> QoS {
    match qos {
        Qos::AtMostOnce => QoS::AtMostOnce,
        Qos::AtLeastOnce => QoS::AtLeastOnce,
    }
}

fn packet(message: &Message, seconds_left: Option<u32>) -> PublishPacket {
    let given = &message.properties;
    let mut packet = PublishPacket::new(
        message.topic.clone(),
        message.payload.clone(),
        qos(message.qos),
    )
    .with_retain(message.retain);
    let carried = &mut packet.properties;
    if let Some(is_utf8) = given.payload_is_utf8 {
        carried.set_payload_format_indicator(is_utf8);
    }
    if let Some(seconds) = seconds_left {
        carried.set_message_expiry_interval(seconds);
    }
    if let Some(content_type) = &given.content_type {
        carried.set_content_type(content_type.clone());
    }
    if let Some(topic) = &given.response_topic {
        carried.set_response_topic(topic.clone());
    }
    if let Some(correlation) = &given.correlation_data {
        carried.set_correlation_data(correlation.clone());
    }
    for (name, value) in &given.user {
        carried.add_user_property(name.clone(), value.clone());
    }
    packet
}

fn message(packet: PublishPacket) -> Message {
    Message {
        topic: packet.topic_name,
        payload: packet.payload,
        qos: match packet.qos {
            QoS::AtMostOnce => Qos::AtMostOnce,
            // The broker takes no QoS 2.
            QoS::AtLeastOnce | QoS::ExactlyOnce => Qos::AtLeastOnce,
        },
        retain: packet.retain,
        properties: properties(&packet.properties),
    }
}

fn properties(carried: &Carried) -> Properties {
    let text = |id| match carried.get(id) {
        Some(PropertyValue::Utf8String(text)) => Some(text.clone()),
        _ => None,
    };
    let user = carried
        .get_all(PropertyId::UserProperty)
        .unwrap_or_default();
    Properties {
        response_topic: text(PropertyId::ResponseTopic),
        // Its own copy: a slice would keep the whole packet in memory as long as it is needed.
        correlation_data: match carried.get(PropertyId::CorrelationData) {
            Some(PropertyValue::BinaryData(data)) => Some(Bytes::copy_from_slice(data)),
            _ => None,
        },
        message_expiry: carried.get_message_expiry_interval(),
        content_type: text(PropertyId::ContentType),
        user: user
            .iter()
            .filter_map(|value| match value {
                PropertyValue::Utf8StringPair(name, value) => Some((name.clone(), value.clone())),
                _ => None,
            })
            .collect(),
        payload_is_utf8: match carried.get(PropertyId::PayloadFormatIndicator) {
            Some(PropertyValue::Byte(indicator)) => Some(*indicator == 1),
            _ => None,
        },
    }
}

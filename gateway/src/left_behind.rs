//! What the broker still holds of devices that an earlier life of the gateway had. A broker within
//! the daemon begins empty; another one keeps retained documents for ever.

use std::{collections::BTreeSet, time::Duration};

use koffer_proto::{DeviceId, Root, Topic};
use tokio::{
    sync::mpsc,
    time::{Instant, timeout_at},
};
use tokio_util::sync::CancellationToken;

use crate::bus::{Bus, Incoming, Qos, Settings, Subscription};

/// A broker hands out what is retained within milliseconds of the subscribing.
const PATIENCE: Duration = Duration::from_secs(5);

/// When nothing retained has come for so long, nothing more will.
const QUIET: Duration = Duration::from_secs(1);

/// To say goodbye.
const FAREWELL: Duration = Duration::from_secs(1);

/// Tells each device of which the broker holds a document, once, over a connection of its own: the
/// gateway's session must not get retained messages. `settings` are those of that session.
pub(crate) async fn look(
    mut settings: Settings,
    root: Root,
    tell: mpsc::Sender<DeviceId>,
    stop: CancellationToken,
) {
    settings.client_id.push_str("-looks-back");
    settings.session_expiry = Duration::ZERO;
    settings.will = None;
    settings.wants_retained = true;
    settings.subscriptions = [format!("{root}/dev/+"), format!("{root}/dev/+/state")]
        .map(|filter| Subscription::to(filter, Qos::AtLeastOnce))
        .into();
    let (bus, mut inbox) = Bus::start(settings);
    tokio::select! {
        () = stop.cancelled() => {}
        () = hear(&mut inbox, &root, &tell) => {}
    }
    bus.close(FAREWELL).await;
}

async fn hear(inbox: &mut mpsc::Receiver<Incoming>, root: &Root, tell: &mpsc::Sender<DeviceId>) {
    let mut told = BTreeSet::new();
    let mut until = None;
    loop {
        let heard = match until {
            // The gateway's own session says what is wrong with the broker.
            None => inbox.recv().await,
            Some(until) => match timeout_at(until, inbox.recv()).await {
                Ok(heard) => heard,
                Err(_) => return,
            },
        };
        match heard {
            Some(Incoming::Connected { .. }) => until = Some(Instant::now() + PATIENCE),
            Some(Incoming::Disconnected { .. }) => {}
            Some(Incoming::Message(received)) => {
                until = Some(Instant::now() + QUIET);
                let document = received.message;
                received.ack.send();
                let Ok(Topic::Device(device) | Topic::State(device)) = root.parse(&document.topic)
                else {
                    continue;
                };
                if !document.payload.is_empty()
                    && told.insert(device.clone())
                    && tell.send(device).await.is_err()
                {
                    return;
                }
            }
            None => return,
        }
    }
}

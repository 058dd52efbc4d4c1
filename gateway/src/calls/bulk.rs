//! Large answers go bulk: encoded on a thread of their own, and by a session of their own, so that
//! nobody's status waits behind somebody else's scan.
//!
//! What belongs to one call keeps its order: once something of it went bulk, all that follows
//! does. The session begins with the first large answer; a gateway that has none never makes it.

use std::{
    collections::BTreeSet,
    sync::{Arc, OnceLock},
    time::Duration,
};

use tokio::{runtime::Handle, sync::mpsc, task::JoinHandle, time::timeout};

use super::replies::{Addressee, Reply};
use crate::{
    bus::{Bus, Refused, Settings},
    room::Held,
};

/// Content of this size and more goes bulk: it takes longer to encode and to write than a small
/// answer should wait.
const LARGE: usize = 1024 * 1024;

/// What the kernel may hold of it: a broker that reads all of it at once serves nobody meanwhile.
const SEND_BUFFER: u32 = 128 * 1024;

/// An answer that found the outbox full is tried again this often.
const RETRY: Duration = Duration::from_millis(50);

/// How long what is still bulk has to reach the broker when the gateway ends.
const FAREWELL: Duration = Duration::from_secs(5);

/// The way for large answers.
pub struct BulkSession {
    settings: Settings,
    runtime: Handle,
    bus: Arc<OnceLock<Bus>>,
    sending: Option<Sending>,
    /// Calls of which something went bulk, and that have not ended.
    calls: BTreeSet<Addressee>,
}

struct Sending {
    /// Unbounded in type only: every reply holds memory of the budget.
    replies: mpsc::UnboundedSender<(Reply, Held)>,
    task: JoinHandle<()>,
}

/// Looks how much waits to be sent bulk.
#[derive(Clone)]
pub struct BulkDepth(Arc<OnceLock<Bus>>);

impl BulkDepth {
    /// Messages.
    pub fn messages(&self) -> usize {
        self.0.get().map_or(0, |bus| bus.depth().outbox_messages)
    }
}

impl BulkSession {
    /// A way beside the session with these settings, to the same broker as the same user, on a
    /// runtime that may be another one.
    pub fn of(main: &Settings, runtime: &Handle) -> Self {
        let settings = Settings {
            client_id: format!("{}-bulk", main.client_id),
            send_buffer: Some(SEND_BUFFER),
            will: None,
            subscriptions: Vec::new(),
            ..main.clone()
        };
        Self {
            settings,
            runtime: runtime.clone(),
            bus: Arc::default(),
            sending: None,
            calls: BTreeSet::new(),
        }
    }

    /// For the vital signs.
    pub fn depth(&self) -> BulkDepth {
        BulkDepth(self.bus.clone())
    }

    /// Sends a reply that has to go bulk.
    pub(super) fn send(&mut self, reply: Reply, held: Held) {
        let sending = self.sending.get_or_insert_with(|| {
            let _there = self.runtime.enter();
            let bus = self.bus.get_or_init(|| Bus::start(self.settings.clone()).0);
            let (replies, waiting) = mpsc::unbounded_channel();
            let task = tokio::spawn(send(waiting, bus.clone()));
            Sending { replies, task }
        });
        if sending.replies.send((reply, held)).is_err() {
            tracing::error!("a large answer cannot be sent");
        }
    }

    /// Whether a reply has to go bulk, with what else there is of its call.
    pub(super) fn takes(&mut self, reply: &Reply) -> bool {
        let large = reply.content_bytes() >= LARGE;
        if !large && self.calls.is_empty() {
            return false;
        }
        let addressee = reply.addressee();
        if reply.is_last() {
            self.calls.remove(&addressee) || large
        } else {
            let known = self.calls.contains(&addressee);
            if large && !known {
                self.calls.insert(addressee);
            }
            known || large
        }
    }

    /// Sends what is left, within bounds.
    pub(super) async fn close(self) {
        let Some(Sending { replies, task }) = self.sending else {
            return;
        };
        drop(replies);
        let sent = timeout(FAREWELL, task).await.is_ok();
        if let Some(bus) = self.bus.get() {
            let closed = bus.close(FAREWELL).await;
            if !sent || closed.unsent > 0 {
                tracing::warn!(
                    unsent = closed.unsent,
                    "large answers did not reach the broker"
                );
            }
        }
    }
}

/// Encodes and sends one reply after the other, until there are no more.
async fn send(mut replies: mpsc::UnboundedReceiver<(Reply, Held)>, bus: Bus) {
    while let Some((reply, held)) = replies.recv().await {
        let mut held = Some(held);
        let encoded = tokio::task::spawn_blocking(move || reply.encode()).await;
        let Ok(Some(message)) = encoded else {
            tracing::error!("a large answer could not be encoded");
            continue;
        };
        loop {
            match bus.publish_holding(message.clone(), &mut held) {
                Ok(_) => break,
                Err(Refused::Full) => tokio::time::sleep(RETRY).await,
                Err(error) => {
                    tracing::error!(topic = %message.topic, %error, "a message cannot be sent");
                    break;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use koffer_proto::{
        Blob, Completion, ContentType, Failure, Outcome, Progress, ProgressEvent, ReplyTopic,
        Response, Root, Status,
        class::{card_terminal, scanner::PageFormat},
    };

    use super::{
        super::{incoming::Listener, replies::DeliveryPolicy},
        *,
    };
    use crate::bus::Address;

    fn listener(call: &'static str) -> Listener {
        let root = Root::new("case-7".parse().unwrap());
        let topic = "koffer/1/case-7/reply/ws-1/a";
        Listener {
            topic: ReplyTopic::parse(&root, &"ws-1".parse().unwrap(), topic).unwrap(),
            correlation: Some(call.into()),
            encoding: ContentType::Cbor,
            lang: koffer_proto::Lang::En,
        }
    }

    fn page(call: &'static str, bytes: usize) -> Reply {
        let event = ProgressEvent::Page {
            number: 1,
            format: PageFormat::Jpeg,
            content: vec![7; bytes].into(),
        };
        let progress = Arc::new(Progress { seq: 1, event });
        Reply::progress(
            listener(call),
            progress,
            DeliveryPolicy::of(None),
            usize::MAX,
        )
    }

    fn end(call: &'static str, bytes: Option<usize>) -> Reply {
        let outcome = match bytes {
            None => Outcome::Failed(Failure::without_effect(Status::Busy, "")),
            Some(bytes) => {
                let content = Blob::from(vec![7; bytes]);
                let sha256 = content.sha256();
                let read = card_terminal::FileContent { content, sha256 };
                Outcome::Ok(Response::from(card_terminal::Response::Read(read)))
            }
        };
        let device = None;
        let completion = Arc::new(Completion {
            device,
            outcome,
            ignored: Vec::new(),
        });
        Reply::completion(
            listener(call),
            completion,
            DeliveryPolicy::of(None),
            usize::MAX,
        )
    }

    #[tokio::test]
    async fn only_what_is_large_goes_aside_and_takes_the_rest_of_its_call_along() {
        let address = Address::Unix("/nowhere".into());
        let mut bulk = BulkSession::of(&Settings::new(address, "kofferd"), &Handle::current());
        assert!(!bulk.takes(&page("scan", LARGE - 1)));
        assert!(bulk.takes(&page("scan", LARGE)));
        assert!(bulk.takes(&page("scan", 1)), "in order");
        assert!(!bulk.takes(&page("other", 1)));
        assert!(!bulk.takes(&end("other", Some(1))));
        assert!(bulk.takes(&end("scan", None)));
        assert!(!bulk.takes(&end("scan", None)), "another of that id");
        assert!(bulk.takes(&end("read", Some(LARGE))));
        assert!(bulk.calls.is_empty());
    }
}

//! Space that is counted before it is used: whoever has no place is told so, instead of the
//! process running out of memory.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use koffer_proto::ClientId;

/// The space left, shared by all handles and taken without waiting.
#[derive(Debug)]
pub(crate) struct Room {
    places: AtomicUsize,
    bytes: AtomicUsize,
}

/// Space taken; given back when dropped.
#[derive(Debug)]
pub(crate) struct Place {
    room: Arc<Room>,
    bytes: usize,
}

impl Room {
    pub(crate) fn new(places: usize, bytes: usize) -> Arc<Self> {
        Arc::new(Self {
            places: AtomicUsize::new(places),
            bytes: AtomicUsize::new(bytes),
        })
    }

    pub(crate) fn take(self: &Arc<Self>, bytes: usize) -> Option<Place> {
        subtract(&self.places, 1)?;
        if subtract(&self.bytes, bytes).is_none() {
            self.places.fetch_add(1, Ordering::Relaxed);
            return None;
        }
        Some(Place {
            room: Arc::clone(self),
            bytes,
        })
    }

    /// Places and bytes still free.
    pub(crate) fn free(&self) -> (usize, usize) {
        (
            self.places.load(Ordering::Relaxed),
            self.bytes.load(Ordering::Relaxed),
        )
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.room.bytes.fetch_add(self.bytes, Ordering::Relaxed);
        self.room.places.fetch_add(1, Ordering::Relaxed);
    }
}

fn subtract(counter: &AtomicUsize, amount: usize) -> Option<()> {
    counter
        .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| {
            left.checked_sub(amount)
        })
        .ok()
        .map(|_| ())
}

/// What a call or an answer takes beside its content: names, topics' places in tables, a queue's
/// entry.
const BESIDE_CONTENT: usize = 4 * 1024;

/// Of each client's share, and of all of it, this part is left to answers: who has too much open
/// can be told so.
const FOR_ANSWERS: usize = 8;

/// The memory for calls that are open and answers that wait, of which each client has a share.
#[derive(Debug)]
pub(crate) struct Budget {
    all: Arc<Room>,
    bytes: usize,
    share: usize,
    clients: BTreeMap<ClientId, Arc<Room>>,
    /// Of everybody who is in no list.
    strangers: Arc<Room>,
}

/// Memory that a client holds; given back when dropped.
#[derive(Debug)]
pub(crate) struct Held {
    _all: Place,
    _client: Place,
}

impl Budget {
    /// `bytes` for all, and for each client a quarter, or what a call and an answer of `largest`
    /// bytes take where that is more.
    pub(crate) fn new(
        bytes: usize,
        largest: usize,
        clients: impl IntoIterator<Item = ClientId>,
    ) -> Self {
        let least = largest.saturating_add(BESIDE_CONTENT).saturating_mul(3);
        let share = (bytes / 4).max(least);
        let room = || Room::new(usize::MAX, share);
        Self {
            all: Room::new(usize::MAX, bytes.max(share)),
            bytes: bytes.max(share),
            share,
            clients: clients.into_iter().map(|client| (client, room())).collect(),
            strangers: room(),
        }
    }

    /// Memory for a call with `content` bytes; leaves some for answers.
    pub(crate) fn admit(&self, client: &ClientId, content: usize) -> Option<Held> {
        let held = self.take(client, content)?;
        let left = |room: &Room, of: usize| room.free().1 >= of / FOR_ANSWERS;
        (left(&self.all, self.bytes) && left(self.of(client), self.share)).then_some(held)
    }

    /// Memory for an answer with `content` bytes.
    pub(crate) fn take(&self, client: &ClientId, content: usize) -> Option<Held> {
        let bytes = content.saturating_add(BESIDE_CONTENT);
        Some(Held {
            _client: self.of(client).take(bytes)?,
            _all: self.all.take(bytes)?,
        })
    }

    fn of(&self, client: &ClientId) -> &Arc<Room> {
        self.clients.get(client).unwrap_or(&self.strangers)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MEBIBYTE: usize = 1024 * 1024;

    fn client(name: &str) -> ClientId {
        name.parse().unwrap()
    }

    #[test]
    fn a_client_that_takes_all_it_can_leaves_the_others_theirs() {
        let clients = ["ws-1", "ws-2"].map(client);
        let budget = Budget::new(16 * MEBIBYTE, 100_000, clients);
        let fill = |name: &str| -> Vec<_> {
            std::iter::from_fn(|| budget.admit(&client(name), 100_000)).collect()
        };
        let first = fill("ws-1");
        assert!((30..40).contains(&first.len()), "{}", first.len());
        assert!(budget.take(&client("ws-1"), 100_000).is_some(), "an answer");
        let stranger = fill("nobody");
        assert_eq!(stranger.len(), fill("somebody").len() + stranger.len());
        assert_eq!(fill("ws-2").len(), first.len());
        drop(first);
        assert!((30..40).contains(&fill("ws-1").len()));
    }

    #[test]
    fn a_message_of_full_size_and_its_answer_always_fit() {
        let budget = Budget::new(MEBIBYTE, 32 * MEBIBYTE, [client("ws-1")]);
        let call = budget.admit(&client("ws-1"), 32 * MEBIBYTE);
        let answer = budget.take(&client("ws-1"), 32 * MEBIBYTE);
        assert!(call.is_some() && answer.is_some());
        assert!(budget.admit(&client("ws-1"), 32 * MEBIBYTE).is_none());
    }
}

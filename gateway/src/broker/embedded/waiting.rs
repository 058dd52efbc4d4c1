//! Connections of which nobody knows yet whose they are. There are never more than a few: where one
//! comes too many, the oldest of the address that has the most gives up its place. So a client that
//! says at once who it is gets in, whoever fills the room.

use std::{
    collections::{BTreeMap, HashMap},
    net::IpAddr,
    sync::{Arc, Mutex, PoisonError},
};

use tokio_util::sync::CancellationToken;

#[derive(Debug, Default)]
struct Room {
    next: u64,
    /// By time of arrival.
    places: BTreeMap<u64, (IpAddr, CancellationToken)>,
}

impl Room {
    fn displace(&mut self) {
        let mut count = HashMap::<_, usize>::new();
        for (address, _) in self.places.values() {
            *count.entry(*address).or_default() += 1;
        }
        let oldest = self
            .places
            .iter()
            .max_by_key(|(no, (address, _))| (count[address], std::cmp::Reverse(**no)))
            .map(|(no, _)| *no);
        if let Some((_, displaced)) = oldest.and_then(|no| self.places.remove(&no)) {
            displaced.cancel();
        }
    }
}

/// The room, with a bound.
#[derive(Debug)]
pub(super) struct Waiting {
    most: usize,
    room: Mutex<Room>,
}

impl Waiting {
    pub(super) fn new(most: usize) -> Arc<Self> {
        Arc::new(Self {
            most,
            room: Mutex::default(),
        })
    }

    /// A place for a new connection, at the cost of an older one if there is none left.
    pub(super) fn take(self: &Arc<Self>, address: IpAddr) -> Place {
        let displaced = CancellationToken::new();
        let mut room = self.room.lock().unwrap_or_else(PoisonError::into_inner);
        if room.places.len() >= self.most {
            room.displace();
        }
        let no = room.next;
        room.next += 1;
        room.places.insert(no, (address, displaced.clone()));
        Place {
            no,
            displaced,
            waiting: Arc::clone(self),
        }
    }
}

/// A place in the room, until it is dropped.
#[derive(Debug)]
pub(super) struct Place {
    no: u64,
    displaced: CancellationToken,
    waiting: Arc<Waiting>,
}

impl Place {
    /// Ends when the place was needed for somebody else.
    pub(super) async fn displaced(&self) {
        self.displaced.cancelled().await;
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut room = self
            .waiting
            .room
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        room.places.remove(&self.no);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_fills_the_room_displaces_its_own_oldest_connection() {
        let waiting = Waiting::new(4);
        let (bad, good) = ([192, 0, 2, 1].into(), [192, 0, 2, 2].into());
        let honest = waiting.take(good);
        let flood: Vec<_> = (0..100).map(|_| waiting.take(bad)).collect();
        assert!(!honest.displaced.is_cancelled());
        let stays = |place: &&Place| !place.displaced.is_cancelled();
        assert_eq!(flood.iter().filter(stays).count(), 3);
        assert!(flood[97..].iter().all(|place| stays(&place)));
        let another = waiting.take(good);
        assert!(!another.displaced.is_cancelled() && !honest.displaced.is_cancelled());
        drop((honest, another, flood));
        assert!(waiting.room.lock().unwrap().places.is_empty());
    }
}

//! Calls that wait for one device: in order of arrival for each client, in turns between clients.

use std::collections::VecDeque;

use koffer_proto::ClientId;

/// A queue with fair turns, and a bound for each client: what one puts in takes no place from others.
#[derive(Debug)]
pub(crate) struct FairQueue<T> {
    /// Clients with something waiting, the one whose turn is next first.
    turns: VecDeque<(ClientId, VecDeque<T>)>,
    len: usize,
    bound: usize,
}

impl<T> FairQueue<T> {
    /// An empty queue for at most `bound` calls of each client.
    pub(crate) fn new(bound: usize) -> Self {
        Self {
            turns: VecDeque::new(),
            len: 0,
            bound,
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.len
    }

    pub(crate) fn is_full_for(&self, client: &ClientId) -> bool {
        self.of(client) >= self.bound
    }

    fn of(&self, client: &ClientId) -> usize {
        let mut turns = self.turns.iter();
        let own = turns.find(|(waiting, _)| waiting == client);
        own.map_or(0, |(_, items)| items.len())
    }

    /// Adds a call, or hands it back where its client has too many. Returns how many get their
    /// turn before it at the most.
    pub(crate) fn push(&mut self, client: &ClientId, item: T) -> Result<usize, T> {
        let own = self.of(client);
        if own >= self.bound {
            return Err(item);
        }
        let others = self.turns.iter().filter(|(waiting, _)| waiting != client);
        let ahead = own
            + others
                .map(|(_, items)| items.len().min(own + 1))
                .sum::<usize>();
        match self.turns.iter_mut().find(|(waiting, _)| waiting == client) {
            Some((_, items)) => items.push_back(item),
            None => self
                .turns
                .push_back((client.clone(), VecDeque::from([item]))),
        }
        self.len += 1;
        Ok(ahead)
    }

    /// The call that [`FairQueue::pop`] takes out.
    pub(crate) fn first(&self) -> Option<&T> {
        self.turns.front()?.1.front()
    }

    /// The next call; its client goes to the end of the turns.
    pub(crate) fn pop(&mut self) -> Option<T> {
        let (client, mut items) = self.turns.pop_front()?;
        let item = items.pop_front();
        if !items.is_empty() {
            self.turns.push_back((client, items));
        }
        self.len -= usize::from(item.is_some());
        item
    }

    /// Every call that waits, client by client.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &T> {
        self.turns.iter().flat_map(|(_, items)| items)
    }

    /// Takes out every call that `matches`.
    pub(crate) fn extract(&mut self, mut matches: impl FnMut(&T) -> bool) -> Vec<T> {
        let mut taken = Vec::new();
        for (_, items) in &mut self.turns {
            let (out, stay) = items.drain(..).partition::<VecDeque<T>, _>(&mut matches);
            taken.extend(out);
            *items = stay;
        }
        self.turns.retain(|(_, items)| !items.is_empty());
        self.len -= taken.len();
        taken
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(name: &str) -> ClientId {
        name.parse().unwrap()
    }

    #[test]
    fn clients_take_turns_and_each_keeps_its_order() {
        let mut queue = FairQueue::new(10);
        for (name, item) in [("a", 1), ("a", 2), ("a", 3), ("b", 4), ("c", 5), ("b", 6)] {
            queue.push(&client(name), item).unwrap();
        }
        let order: Vec<_> = std::iter::from_fn(|| queue.pop()).collect();
        assert_eq!(order, [1, 4, 5, 2, 6, 3]);
        assert_eq!(queue.len(), 0);
    }

    #[test]
    fn whoever_has_too_many_waiting_gets_the_call_back_and_nobody_else() {
        let mut queue = FairQueue::new(2);
        assert_eq!(queue.push(&client("a"), 1), Ok(0));
        assert_eq!(queue.push(&client("a"), 2), Ok(1));
        assert_eq!(queue.push(&client("a"), 3), Err(3));
        assert_eq!(queue.push(&client("b"), 4), Ok(1), "after one of the other");
        assert_eq!(queue.push(&client("b"), 5), Ok(3));
        assert_eq!(queue.push(&client("b"), 6), Err(6));
        queue.pop();
        assert!(!queue.is_full_for(&client("a")) && queue.is_full_for(&client("b")));
        assert_eq!(queue.push(&client("a"), 3), Ok(3));
    }

    #[test]
    fn a_cancelled_call_leaves_the_others_their_turns() {
        let mut queue = FairQueue::new(10);
        for (name, item) in [("a", 1), ("b", 2), ("a", 3), ("c", 4)] {
            queue.push(&client(name), item).unwrap();
        }
        assert_eq!(queue.extract(|item| *item == 2 || *item == 3), [3, 2]);
        assert_eq!(
            std::iter::from_fn(|| queue.pop()).collect::<Vec<_>>(),
            [1, 4]
        );
    }
}

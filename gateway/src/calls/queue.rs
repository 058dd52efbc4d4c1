//! Calls that wait for one device: in order of arrival for each client, in turns between clients.

use std::collections::VecDeque;

use koffer_proto::ClientId;

/// A bounded queue with fair turns.
#[derive(Debug)]
pub(crate) struct FairQueue<T> {
    /// Clients with something waiting, the one whose turn is next first.
    turns: VecDeque<(ClientId, VecDeque<T>)>,
    len: usize,
    bound: usize,
}

impl<T> FairQueue<T> {
    /// An empty queue for at most `bound` calls.
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

    pub(crate) fn is_full(&self) -> bool {
        self.len >= self.bound
    }

    /// Adds a call, or hands it back where the queue is full. Returns how many stand before it
    /// at the most.
    pub(crate) fn push(&mut self, client: &ClientId, item: T) -> Result<usize, T> {
        if self.is_full() {
            return Err(item);
        }
        let ahead = self.len;
        match self.turns.iter_mut().find(|(waiting, _)| waiting == client) {
            Some((_, items)) => items.push_back(item),
            None => self
                .turns
                .push_back((client.clone(), VecDeque::from([item]))),
        }
        self.len += 1;
        Ok(ahead)
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
    fn a_full_queue_hands_the_call_back() {
        let mut queue = FairQueue::new(2);
        assert_eq!(queue.push(&client("a"), 1), Ok(0));
        assert_eq!(queue.push(&client("b"), 2), Ok(1));
        assert_eq!(queue.push(&client("c"), 3), Err(3));
        queue.pop();
        assert_eq!(queue.push(&client("c"), 3), Ok(1));
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

//! Which calls the journal has, in as few bytes as will do: a call's name leads to its number, and
//! the rest stands in the journal. A call leaves this table when the journal says that it has
//! deleted it, and for no other reason.

use std::collections::HashMap;

use koffer_proto::{CallId, ClientId, Sha256};

use super::CallNo;

/// A call's name, client and call id, as a digest cut to what still never meets by chance.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct CallName([u8; 16]);

impl CallName {
    /// The name of a call: unique per client.
    pub fn of(client: &ClientId, call: &CallId) -> Self {
        let mut name = client.as_str().as_bytes().to_vec();
        // No name of a client contains it.
        name.push(0);
        name.extend_from_slice(call.as_bytes());
        Self(first_bytes(&Sha256::of(&name)))
    }
}

/// A call that the journal has deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Deleted {
    /// Its name.
    pub name: CallName,
    /// Its number.
    pub no: CallNo,
}

/// The calls that the journal has and that have ended.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct JournalIndex {
    calls: HashMap<CallName, Found>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Found {
    no: CallNo,
    /// Of the content. It tells one content of a client from another, under one call id.
    digest: [u8; 8],
}

impl JournalIndex {
    /// The journal has a call.
    pub fn add(&mut self, name: CallName, digest: &Sha256, no: CallNo) {
        let digest = first_bytes(digest);
        self.calls.insert(name, Found { no, digest });
    }

    /// The journal has deleted a call.
    pub(crate) fn forget(&mut self, deleted: Deleted) {
        if self
            .calls
            .get(&deleted.name)
            .is_some_and(|found| found.no == deleted.no)
        {
            self.calls.remove(&deleted.name);
        }
    }

    /// The number of a call, and whether it had this content.
    pub(crate) fn find(&self, name: CallName, digest: &Sha256) -> Option<(CallNo, bool)> {
        let found = self.calls.get(&name)?;
        Some((found.no, found.digest == first_bytes(digest)))
    }

    pub(crate) fn has(&self, name: CallName) -> bool {
        self.calls.contains_key(&name)
    }

    /// Takes over what another one has.
    pub(crate) fn merge(&mut self, other: Self) {
        if self.calls.is_empty() {
            *self = other;
        } else {
            self.calls.extend(other.calls);
        }
    }

    /// How many.
    pub fn len(&self) -> usize {
        self.calls.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.calls.is_empty()
    }

    /// Their numbers, in order.
    #[cfg(test)]
    pub(crate) fn numbers(&self) -> Vec<u64> {
        let mut numbers: Vec<_> = self.calls.values().map(|found| found.no.0).collect();
        numbers.sort_unstable();
        numbers
    }
}

fn first_bytes<const N: usize>(digest: &Sha256) -> [u8; N] {
    let mut first = [0; N];
    first.copy_from_slice(&digest.as_bytes()[..N]);
    first
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(call: &str) -> CallName {
        CallName::of(&"ws-1".parse().unwrap(), &call.parse().unwrap())
    }

    #[test]
    fn a_call_weighs_32_bytes() {
        assert_eq!(size_of::<(CallName, Found)>(), 32);
    }

    #[test]
    fn only_the_call_that_was_deleted_goes_not_a_later_one_of_its_name() {
        let (one, other) = (Sha256::of(b"1"), Sha256::of(b"2"));
        let mut kept = JournalIndex::default();
        kept.add(name("a"), &one, CallNo(5));
        // The first one was answered busy, so its id was used again.
        kept.add(name("a"), &one, CallNo(9));
        let deleted = |no| Deleted {
            name: name("a"),
            no: CallNo(no),
        };
        kept.forget(deleted(5));
        assert_eq!(kept.find(name("a"), &one), Some((CallNo(9), true)));
        assert_eq!(kept.find(name("a"), &other), Some((CallNo(9), false)));
        kept.forget(deleted(9));
        assert!(kept.is_empty());
    }
}

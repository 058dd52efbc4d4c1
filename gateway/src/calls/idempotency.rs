//! The idempotency store: which call ids are known, and their completions. A repeated call id joins the
//! running call, gets the kept completion, or is a conflict.
//!
//! What must not happen twice is in the journal, and is forgotten when the journal deletes it: of
//! the older ones the memory holds no more than where to find them.

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
    time::{Duration, Instant},
};

use koffer_proto::{CallId, ClientId, Completion, Response, Sha256};

use crate::journal::{CallName, CallNo, Deleted, JournalIndex};

/// A call's name: unique per client.
pub(crate) type Key = (ClientId, CallId);

/// The contract allows 120 s at most for what is confidential; what only asks is kept as long as
/// an app may still ask for it again.
const KEPT_OTHERS: Duration = Duration::from_mins(2);

/// Bound of what only asks.
const OTHERS_BOUND: usize = 10_000;

/// Confidential answers may be as large as a call may be: only the last few are kept.
const CONFIDENTIAL_BOUND: usize = 8;

/// The last completions of what must not happen twice are answered without reading the journal.
const RECENT_BOUND: usize = 256;

/// Where a completion is kept: each class has its own age and bound, so that a flood of status
/// calls never pushes out a payment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RetentionClass {
    /// What must not happen twice.
    Once,
    /// Answers with biometric or document content: these go first.
    Confidential,
    /// Everything else.
    Others,
}

/// What is known of a call id.
pub(crate) enum Known {
    /// Nothing: the call is new.
    Nothing,
    /// The same call waits or runs.
    Open(CallNo),
    /// The same call has ended.
    Ended(Arc<Completion<Response>>),
    /// The same call has ended; how stands in the journal.
    Journalled(CallNo),
    /// Another call had this id.
    Conflict,
}

#[derive(Debug)]
struct Entry {
    no: CallNo,
    digest: Sha256,
    /// It must not happen twice, so the journal has it.
    once: bool,
    ended: Option<Arc<Completion<Response>>>,
}

/// The memory of calls.
#[derive(Debug)]
pub(crate) struct IdempotencyStore {
    entries: HashMap<CallName, Entry>,
    recent: RetentionQueue,
    confidential: RetentionQueue,
    others: RetentionQueue,
    journalled: JournalIndex,
}

impl IdempotencyStore {
    /// A store that keeps confidential completions for `confidential_kept`.
    pub(crate) fn new(confidential_kept: Duration) -> Self {
        Self {
            entries: HashMap::new(),
            recent: RetentionQueue::new(RECENT_BOUND, None),
            confidential: RetentionQueue::new(CONFIDENTIAL_BOUND, Some(confidential_kept)),
            others: RetentionQueue::new(OTHERS_BOUND, Some(KEPT_OTHERS)),
            journalled: JournalIndex::default(),
        }
    }

    pub(crate) fn look_up(&self, key: &Key, digest: &Sha256) -> Known {
        let name = name(key);
        if let Some(entry) = self.entries.get(&name) {
            return match &entry.ended {
                _ if entry.digest != *digest => Known::Conflict,
                None => Known::Open(entry.no),
                Some(completion) => Known::Ended(completion.clone()),
            };
        }
        match self.journalled.find(name, digest) {
            None => Known::Nothing,
            Some((_, false)) => Known::Conflict,
            Some((no, true)) => Known::Journalled(no),
        }
    }

    /// Whether the id is known at all.
    pub(crate) fn has(&self, key: &Key) -> bool {
        let name = name(key);
        self.entries.contains_key(&name) || self.journalled.has(name)
    }

    pub(crate) fn open(&mut self, key: &Key, digest: Sha256, no: CallNo, once: bool) {
        let entry = Entry {
            no,
            digest,
            once,
            ended: None,
        };
        self.entries.insert(name(key), entry);
    }

    /// A call that ended before this daemon's time.
    pub(crate) fn journalled(&mut self, key: &Key, digest: &Sha256, no: CallNo) {
        self.journalled.add(name(key), digest, no);
    }

    /// The calls that ended before this daemon's time.
    pub(crate) fn all_journalled(&mut self, kept: JournalIndex) {
        self.journalled.merge(kept);
    }

    /// The journal has deleted a call.
    pub(crate) fn deleted(&mut self, deleted: Deleted) {
        let entry = self.entries.get(&deleted.name);
        if entry.is_some_and(|entry| entry.no == deleted.no) {
            self.entries.remove(&deleted.name);
        }
        self.journalled.forget(deleted);
    }

    pub(crate) fn end(
        &mut self,
        key: &Key,
        class: RetentionClass,
        completion: Arc<Completion<Response>>,
        now: Instant,
    ) {
        let name = name(key);
        let Some(entry) = self.entries.get_mut(&name) else {
            return;
        };
        entry.ended = Some(completion);
        let no = entry.no;
        let queue = match class {
            RetentionClass::Once => &mut self.recent,
            RetentionClass::Confidential => &mut self.confidential,
            RetentionClass::Others => &mut self.others,
        };
        if let Some(oldest) = queue.push(&key.0, name, no, now) {
            self.let_go(&oldest);
        }
    }

    /// What became of a call is known better than when it ended.
    pub(crate) fn correct(&mut self, key: &Key, completion: Arc<Completion<Response>>) {
        if let Some(entry) = self.entries.get_mut(&name(key)) {
            entry.ended = Some(completion);
        }
    }

    fn let_go(&mut self, kept: &Retained) {
        let entry = self.entries.get(&kept.name);
        if entry.is_none_or(|entry| entry.no != kept.no) {
            return;
        }
        if let Some(entry) = self.entries.remove(&kept.name)
            && entry.once
        {
            self.journalled.add(kept.name, &entry.digest, entry.no);
        }
    }

    /// Forgets an id that was never accepted, so that it can be used again.
    pub(crate) fn forget(&mut self, key: &Key) {
        self.entries.remove(&name(key));
    }

    /// Forgets what is old enough, and says when to look again.
    pub(crate) fn sweep(&mut self, now: Instant) -> Option<Instant> {
        while let Some(due) = self.confidential.pop_due(now) {
            self.let_go(&due);
        }
        while let Some(due) = self.others.pop_due(now) {
            self.let_go(&due);
        }
        self.next_sweep()
    }

    pub(crate) fn next_sweep(&self) -> Option<Instant> {
        let queues = [&self.confidential, &self.others];
        queues
            .into_iter()
            .filter_map(RetentionQueue::next_due)
            .min()
    }

    /// How many completions are kept.
    pub(crate) fn kept(&self) -> usize {
        let queues = [&self.recent, &self.confidential, &self.others];
        let in_queues: usize = queues.iter().map(|queue| queue.retained.len()).sum();
        in_queues + self.journalled.len()
    }
}

/// Completions in the order in which they came. Over its bound, whoever has the most in it loses
/// the oldest of its own.
#[derive(Debug)]
struct RetentionQueue {
    retained: VecDeque<Retained>,
    of_client: HashMap<ClientId, usize>,
    bound: usize,
    kept: Option<Duration>,
}

/// A completion in its queue.
#[derive(Debug)]
struct Retained {
    client: ClientId,
    name: CallName,
    no: CallNo,
    until: Option<Instant>,
}

impl RetentionQueue {
    fn new(bound: usize, kept: Option<Duration>) -> Self {
        Self {
            retained: VecDeque::new(),
            of_client: HashMap::new(),
            bound,
            kept,
        }
    }

    /// Adds one, and gives back the one that has to go for it.
    fn push(
        &mut self,
        client: &ClientId,
        name: CallName,
        no: CallNo,
        now: Instant,
    ) -> Option<Retained> {
        self.retained.push_back(Retained {
            client: client.clone(),
            name,
            no,
            until: self.kept.map(|kept| now + kept),
        });
        *self.of_client.entry(client.clone()).or_default() += 1;
        if self.retained.len() <= self.bound {
            return None;
        }
        let most = self
            .of_client
            .iter()
            .max_by_key(|(name, count)| (**count, *name == client))?
            .0;
        let oldest = self.retained.iter().position(|one| one.client == *most)?;
        let gone = self.retained.remove(oldest)?;
        self.count_out(&gone.client);
        Some(gone)
    }

    fn pop_due(&mut self, now: Instant) -> Option<Retained> {
        let due = |one: &mut Retained| one.until.is_some_and(|until| until <= now);
        let gone = self.retained.pop_front_if(due)?;
        self.count_out(&gone.client);
        Some(gone)
    }

    fn count_out(&mut self, client: &ClientId) {
        if let Some(count) = self.of_client.get_mut(client) {
            *count -= 1;
            if *count == 0 {
                self.of_client.remove(client);
            }
        }
    }

    fn next_due(&self) -> Option<Instant> {
        self.retained.front().and_then(|one| one.until)
    }
}

fn name((client, call): &Key) -> CallName {
    CallName::of(client, call)
}

#[cfg(test)]
mod tests {
    use koffer_proto::{Failure, Status};

    use super::*;
    fn key(n: usize) -> Key {
        key_of("ws-1", n)
    }

    fn key_of(client: &str, n: usize) -> Key {
        (client.parse().unwrap(), CallId::new(n.to_string()).unwrap())
    }

    fn ended() -> Arc<Completion<Response>> {
        Arc::new(Completion::refused(Failure::without_effect(
            Status::Busy,
            "",
        )))
    }

    impl IdempotencyStore {
        fn has_ended(&mut self, key: &Key, no: usize, class: RetentionClass, now: Instant) {
            let once = class != RetentionClass::Others;
            self.open(key, Sha256::of(b""), CallNo(no as u64), once);
            self.end(key, class, ended(), now);
        }
    }

    #[test]
    fn a_call_id_joins_replays_or_conflicts() {
        let mut store = IdempotencyStore::new(KEPT_OTHERS);
        let (now, one, other) = (Instant::now(), Sha256::of(b"1"), Sha256::of(b"2"));
        assert!(matches!(store.look_up(&key(1), &one), Known::Nothing));
        store.open(&key(1), one, CallNo(7), true);
        assert!(matches!(
            store.look_up(&key(1), &one),
            Known::Open(CallNo(7))
        ));
        assert!(matches!(store.look_up(&key(1), &other), Known::Conflict));
        store.end(&key(1), RetentionClass::Once, ended(), now);
        assert!(matches!(store.look_up(&key(1), &one), Known::Ended(_)));
        assert!(matches!(store.look_up(&key(1), &other), Known::Conflict));
    }

    #[test]
    fn a_call_of_before_the_restart_is_found_in_the_journal() {
        let mut store = IdempotencyStore::new(KEPT_OTHERS);
        let (one, other) = (Sha256::of(b"1"), Sha256::of(b"2"));
        store.journalled(&key(1), &one, CallNo(7));
        assert!(store.has(&key(1)));
        assert!(matches!(
            store.look_up(&key(1), &one),
            Known::Journalled(CallNo(7))
        ));
        assert!(matches!(store.look_up(&key(1), &other), Known::Conflict));
    }

    #[test]
    fn a_confidential_answer_goes_and_what_it_did_stays_known() {
        let mut store = IdempotencyStore::new(KEPT_OTHERS);
        let (now, digest) = (Instant::now(), Sha256::of(b""));
        store.has_ended(&key(0), 5, RetentionClass::Confidential, now);
        assert!(matches!(store.look_up(&key(0), &digest), Known::Ended(_)));
        store.sweep(now + KEPT_OTHERS);
        assert!(matches!(
            store.look_up(&key(0), &digest),
            Known::Journalled(CallNo(5))
        ));
    }

    #[test]
    fn status_calls_never_push_out_a_payment() {
        let mut store = IdempotencyStore::new(KEPT_OTHERS);
        let (now, digest) = (Instant::now(), Sha256::of(b""));
        store.has_ended(&key(0), 0, RetentionClass::Once, now);
        for n in 1..=2 * OTHERS_BOUND {
            store.has_ended(&key(n), n, RetentionClass::Others, now);
        }
        assert!(matches!(store.look_up(&key(0), &digest), Known::Ended(_)));
        assert!(matches!(store.look_up(&key(50), &digest), Known::Nothing));
        assert_eq!(store.kept(), OTHERS_BOUND + 1);
        store.sweep(now + KEPT_OTHERS);
        assert_eq!(store.kept(), 1);
    }

    #[test]
    fn whoever_floods_pushes_out_only_its_own_answers() {
        let mut store = IdempotencyStore::new(KEPT_OTHERS);
        let (now, digest) = (Instant::now(), Sha256::of(b""));
        let classes = [RetentionClass::Confidential, RetentionClass::Others];
        for (n, class) in classes.into_iter().enumerate() {
            store.has_ended(&key_of("ws-2", n), n, class, now);
            for n in 10..2 * OTHERS_BOUND {
                store.has_ended(&key(n), n, class, now);
            }
            let others = store.look_up(&key_of("ws-2", n), &digest);
            assert!(matches!(others, Known::Ended(_)), "{class:?}");
        }
        store.sweep(now + KEPT_OTHERS);
        assert!(store.others.of_client.is_empty() && store.confidential.of_client.is_empty());
    }

    #[test]
    fn of_a_hundred_thousand_payments_none_is_forgotten_before_the_journal_deletes_it() {
        const MANY: usize = 100_000 + RECENT_BOUND;
        let mut store = IdempotencyStore::new(KEPT_OTHERS);
        let (now, digest) = (Instant::now(), Sha256::of(b""));
        for n in 0..MANY {
            store.has_ended(&key(n), n, RetentionClass::Once, now);
        }
        assert_eq!(store.entries.len(), RECENT_BOUND, "full completions");
        for n in [0, 1, 50_000, MANY - 1] {
            let deleted = Deleted {
                name: name(&key(n)),
                no: CallNo(n as u64),
            };
            assert!(store.has(&key(n)));
            store.deleted(deleted);
            assert!(matches!(store.look_up(&key(n), &digest), Known::Nothing));
            // The journal deleted it, so the id may be used again, and that call is another one.
            store.open(&key(n), digest, CallNo((MANY + n) as u64), true);
            store.deleted(deleted);
            assert!(matches!(store.look_up(&key(n), &digest), Known::Open(_)));
        }
        for n in 2..50_000 {
            let found = store.look_up(&key(n), &digest);
            assert!(matches!(found, Known::Journalled(CallNo(no)) if no == n as u64));
        }
    }
}

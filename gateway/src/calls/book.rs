//! What the gateway remembers of calls, so that none runs twice: a call id that comes again joins
//! the running call, gets the kept completion, or is a conflict.
//!
//! Completions of what must not happen twice are in the journal; of the older ones the memory
//! holds no more than where to find them, so that a hundred thousand weigh some megabytes.

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
    time::{Duration, Instant},
};

use koffer_proto::{CallId, ClientId, Completion, Response, Sha256};

use super::CallNo;

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

/// Shelves of kept completions, each with its own age and bound, so that a flood of status calls
/// never pushes out a payment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shelf {
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

/// A call's name, and the digest of its content, each cut to what still never meets by chance.
type Short = [u8; 16];

#[derive(Debug, Clone, Copy)]
struct Journalled {
    no: CallNo,
    digest: Short,
}

/// The memory of calls.
#[derive(Debug)]
pub(crate) struct Book {
    entries: HashMap<Key, Entry>,
    recent: VecDeque<Key>,
    confidential: VecDeque<(Instant, Key)>,
    others: VecDeque<(Instant, Key)>,
    journalled: HashMap<Short, Journalled>,
    /// The order in which they came to be journalled, the oldest first.
    oldest: VecDeque<Short>,
    bound: usize,
    confidential_kept: Duration,
}

impl Book {
    /// A book that knows at least the last `bound` calls that must not happen twice, and keeps
    /// confidential completions for `confidential_kept`.
    pub(crate) fn new(bound: usize, confidential_kept: Duration) -> Self {
        Self {
            entries: HashMap::new(),
            recent: VecDeque::new(),
            confidential: VecDeque::new(),
            others: VecDeque::new(),
            journalled: HashMap::new(),
            oldest: VecDeque::new(),
            bound,
            confidential_kept,
        }
    }

    pub(crate) fn look_up(&self, key: &Key, digest: &Sha256) -> Known {
        if let Some(entry) = self.entries.get(key) {
            return match &entry.ended {
                _ if entry.digest != *digest => Known::Conflict,
                None => Known::Open(entry.no),
                Some(completion) => Known::Ended(completion.clone()),
            };
        }
        match self.journalled.get(&short_name(key)) {
            None => Known::Nothing,
            Some(known) if known.digest != short(digest) => Known::Conflict,
            Some(known) => Known::Journalled(known.no),
        }
    }

    /// Whether the id is known at all.
    pub(crate) fn has(&self, key: &Key) -> bool {
        self.entries.contains_key(key) || self.journalled.contains_key(&short_name(key))
    }

    pub(crate) fn open(&mut self, key: Key, digest: Sha256, no: CallNo, once: bool) {
        let entry = Entry {
            no,
            digest,
            once,
            ended: None,
        };
        self.entries.insert(key, entry);
    }

    /// A call that ended before this daemon's time.
    pub(crate) fn journalled(&mut self, key: &Key, digest: &Sha256, no: CallNo) {
        let name = short_name(key);
        let digest = short(digest);
        if self
            .journalled
            .insert(name, Journalled { no, digest })
            .is_none()
        {
            self.oldest.push_back(name);
        }
        while self.oldest.len() > self.bound
            && let Some(oldest) = self.oldest.pop_front()
        {
            self.journalled.remove(&oldest);
        }
    }

    pub(crate) fn end(
        &mut self,
        key: Key,
        kept_on: Shelf,
        completion: Arc<Completion<Response>>,
        now: Instant,
    ) {
        let Some(entry) = self.entries.get_mut(&key) else {
            return;
        };
        entry.ended = Some(completion);
        let too_many = match kept_on {
            Shelf::Once => {
                self.recent.push_back(key);
                (self.recent.len() > RECENT_BOUND).then(|| self.recent.pop_front())
            }
            Shelf::Confidential => {
                let queue = &mut self.confidential;
                queue.push_back((now + self.confidential_kept, key));
                (queue.len() > CONFIDENTIAL_BOUND).then(|| queue.pop_front().map(|(_, key)| key))
            }
            Shelf::Others => {
                let queue = &mut self.others;
                queue.push_back((now + KEPT_OTHERS, key));
                (queue.len() > OTHERS_BOUND).then(|| queue.pop_front().map(|(_, key)| key))
            }
        };
        if let Some(oldest) = too_many.flatten() {
            self.let_go(&oldest);
        }
    }

    /// What became of a call is known better than when it ended.
    pub(crate) fn correct(&mut self, key: &Key, completion: Arc<Completion<Response>>) {
        if let Some(entry) = self.entries.get_mut(key) {
            entry.ended = Some(completion);
        }
    }

    fn let_go(&mut self, key: &Key) {
        if let Some(entry) = self.entries.remove(key)
            && entry.once
        {
            self.journalled(key, &entry.digest, entry.no);
        }
    }

    /// Forgets an id that was never accepted, so that it can be used again.
    pub(crate) fn forget(&mut self, key: &Key) {
        self.entries.remove(key);
    }

    /// Forgets what is old enough, and says when to look again.
    pub(crate) fn sweep(&mut self, now: Instant) -> Option<Instant> {
        let mut due = Vec::new();
        for queue in [&mut self.confidential, &mut self.others] {
            while let Some((_, key)) = queue.pop_front_if(|(until, _)| *until <= now) {
                due.push(key);
            }
        }
        for key in due {
            self.let_go(&key);
        }
        self.next_sweep()
    }

    pub(crate) fn next_sweep(&self) -> Option<Instant> {
        let first = |queue: &VecDeque<(Instant, Key)>| queue.front().map(|(until, _)| *until);
        [&self.confidential, &self.others]
            .into_iter()
            .filter_map(first)
            .min()
    }

    /// How many completions are kept.
    pub(crate) fn kept(&self) -> usize {
        self.recent.len() + self.confidential.len() + self.others.len() + self.journalled.len()
    }
}

fn short(digest: &Sha256) -> Short {
    let mut cut = Short::default();
    cut.copy_from_slice(&digest.as_bytes()[..16]);
    cut
}

fn short_name((client, call): &Key) -> Short {
    let mut name = client.as_str().as_bytes().to_vec();
    // No name of a client contains it.
    name.push(0);
    name.extend_from_slice(call.as_bytes());
    short(&Sha256::of(&name))
}

#[cfg(test)]
mod tests {
    use koffer_proto::{Failure, Status};

    use super::*;

    fn key(n: usize) -> Key {
        ("ws-1".parse().unwrap(), CallId::new(n.to_string()).unwrap())
    }

    fn ended() -> Arc<Completion<Response>> {
        Arc::new(Completion::refused(Failure::without_effect(
            Status::Busy,
            "",
        )))
    }

    #[test]
    fn a_call_id_joins_replays_or_conflicts() {
        let mut book = Book::new(10, KEPT_OTHERS);
        let (now, one, other) = (Instant::now(), Sha256::of(b"1"), Sha256::of(b"2"));
        assert!(matches!(book.look_up(&key(1), &one), Known::Nothing));
        book.open(key(1), one, CallNo(7), true);
        assert!(matches!(
            book.look_up(&key(1), &one),
            Known::Open(CallNo(7))
        ));
        assert!(matches!(book.look_up(&key(1), &other), Known::Conflict));
        book.end(key(1), Shelf::Once, ended(), now);
        assert!(matches!(book.look_up(&key(1), &one), Known::Ended(_)));
        assert!(matches!(book.look_up(&key(1), &other), Known::Conflict));
    }

    #[test]
    fn a_call_of_before_the_restart_is_found_in_the_journal() {
        let mut book = Book::new(10, KEPT_OTHERS);
        let (one, other) = (Sha256::of(b"1"), Sha256::of(b"2"));
        book.journalled(&key(1), &one, CallNo(7));
        assert!(book.has(&key(1)));
        assert!(matches!(
            book.look_up(&key(1), &one),
            Known::Journalled(CallNo(7))
        ));
        assert!(matches!(book.look_up(&key(1), &other), Known::Conflict));
    }

    #[test]
    fn a_confidential_answer_goes_and_what_it_did_stays_known() {
        let mut book = Book::new(10, KEPT_OTHERS);
        let (now, digest) = (Instant::now(), Sha256::of(b""));
        book.open(key(0), digest, CallNo(5), true);
        book.end(key(0), Shelf::Confidential, ended(), now);
        assert!(matches!(book.look_up(&key(0), &digest), Known::Ended(_)));
        book.sweep(now + KEPT_OTHERS);
        assert!(matches!(
            book.look_up(&key(0), &digest),
            Known::Journalled(CallNo(5))
        ));
    }

    #[test]
    fn status_calls_never_push_out_a_payment() {
        let mut book = Book::new(3, KEPT_OTHERS);
        let (now, digest) = (Instant::now(), Sha256::of(b""));
        book.open(key(0), digest, CallNo(0), true);
        book.end(key(0), Shelf::Once, ended(), now);
        for n in 1..=2 * OTHERS_BOUND {
            book.open(key(n), digest, CallNo(n as u64), false);
            book.end(key(n), Shelf::Others, ended(), now);
        }
        assert!(matches!(book.look_up(&key(0), &digest), Known::Ended(_)));
        assert!(matches!(book.look_up(&key(50), &digest), Known::Nothing));
        assert_eq!(book.kept(), OTHERS_BOUND + 1);
        book.sweep(now + KEPT_OTHERS);
        assert_eq!(book.kept(), 1);
    }

    #[test]
    fn of_a_hundred_thousand_payments_none_is_forgotten_and_little_is_held() {
        const MANY: usize = 100_000;
        let mut book = Book::new(MANY, KEPT_OTHERS);
        let (now, digest) = (Instant::now(), Sha256::of(b""));
        for n in 0..=MANY + RECENT_BOUND {
            book.open(key(n), digest, CallNo(n as u64), true);
            book.end(key(n), Shelf::Once, ended(), now);
        }
        assert_eq!(book.entries.len(), RECENT_BOUND, "full completions");
        assert!(matches!(book.look_up(&key(0), &digest), Known::Nothing));
        for n in 1..=MANY {
            assert!(
                matches!(book.look_up(&key(n), &digest), Known::Journalled(CallNo(no)) if no == n as u64)
            );
        }
    }
}

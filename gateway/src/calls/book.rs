//! What the gateway remembers of calls, so that none runs twice: a call id that comes again joins
//! the running call, gets the kept completion, or is a conflict.

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
    time::{Duration, Instant},
};

use koffer_proto::{CallId, ClientId, Completion, Response, Sha256};

use super::CallNo;

/// A call's name: unique per client.
pub(crate) type Key = (ClientId, CallId);

/// How long completions are kept. The contract asks for 24 hours and 100,000 calls of what must
/// not happen twice, and allows 120 s at most for what is confidential; everything else is kept
/// as long as an app may still ask for it again.
const KEPT_ONCE: Duration = Duration::from_hours(24);
const KEPT_OTHERS: Duration = Duration::from_mins(2);

/// Confidential answers may be as large as a call may be: only the last few are kept.
const CONFIDENTIAL_BOUND: usize = 8;

/// Shelves of kept completions, each with its own age and bound, so that a flood of status calls
/// never pushes out a payment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shelf {
    /// What must not happen twice.
    Once,
    /// Answers with biometric or document content: these go first, and leave behind what is
    /// given here, so that what must not happen twice is still known.
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
    /// Another call had this id.
    Conflict,
}

#[derive(Debug)]
struct Entry {
    digest: Sha256,
    state: State,
}

#[derive(Debug)]
enum State {
    Open(CallNo),
    Ended(Arc<Completion<Response>>),
}

/// The memory of calls.
#[derive(Debug)]
pub(crate) struct Book {
    entries: HashMap<Key, Entry>,
    once: VecDeque<(Instant, Key)>,
    confidential: VecDeque<(Instant, Key)>,
    /// What remains of confidential completions of what must not happen twice.
    remains: HashMap<Key, Arc<Completion<Response>>>,
    others: VecDeque<(Instant, Key)>,
    bound: usize,
    confidential_kept: Duration,
}

impl Book {
    /// A book that keeps at most `bound` completions per shelf, confidential ones for
    /// `confidential_kept`.
    pub(crate) fn new(bound: usize, confidential_kept: Duration) -> Self {
        Self {
            entries: HashMap::new(),
            once: VecDeque::new(),
            confidential: VecDeque::new(),
            remains: HashMap::new(),
            others: VecDeque::new(),
            bound,
            confidential_kept,
        }
    }

    pub(crate) fn look_up(&self, key: &Key, digest: &Sha256) -> Known {
        match self.entries.get(key) {
            None => Known::Nothing,
            Some(entry) if entry.digest != *digest => Known::Conflict,
            Some(Entry {
                state: State::Open(no),
                ..
            }) => Known::Open(*no),
            Some(Entry {
                state: State::Ended(completion),
                ..
            }) => Known::Ended(completion.clone()),
        }
    }

    /// Whether the id is known at all.
    pub(crate) fn has(&self, key: &Key) -> bool {
        self.entries.contains_key(key)
    }

    pub(crate) fn open(&mut self, key: Key, digest: Sha256, no: CallNo) {
        self.entries.insert(
            key,
            Entry {
                digest,
                state: State::Open(no),
            },
        );
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
        entry.state = State::Ended(completion);
        let (queue, age, bound) = match kept_on {
            Shelf::Once => (&mut self.once, KEPT_ONCE, self.bound),
            Shelf::Confidential => (
                &mut self.confidential,
                self.confidential_kept,
                CONFIDENTIAL_BOUND,
            ),
            Shelf::Others => (&mut self.others, KEPT_OTHERS, self.bound),
        };
        queue.push_back((now + age, key));
        if queue.len() > bound
            && let Some((_, oldest)) = queue.pop_front()
        {
            self.let_go(oldest, now);
        }
    }

    /// As [`Book::end`] for a confidential answer to what must not happen twice: `remains` is
    /// what is told once the answer itself is no longer kept.
    pub(crate) fn end_confidential_once(
        &mut self,
        key: Key,
        completion: Arc<Completion<Response>>,
        remains: Arc<Completion<Response>>,
        now: Instant,
    ) {
        self.remains.insert(key.clone(), remains);
        self.end(key, Shelf::Confidential, completion, now);
    }

    fn let_go(&mut self, key: Key, now: Instant) {
        match self.remains.remove(&key) {
            Some(remains) => self.end(key, Shelf::Once, remains, now),
            None => drop(self.entries.remove(&key)),
        }
    }

    /// Forgets an id that was never accepted, so that it can be used again.
    pub(crate) fn forget(&mut self, key: &Key) {
        self.entries.remove(key);
    }

    /// Forgets what is old enough, and says when to look again.
    pub(crate) fn sweep(&mut self, now: Instant) -> Option<Instant> {
        let mut due = Vec::new();
        for queue in [&mut self.once, &mut self.confidential, &mut self.others] {
            while let Some((_, key)) = queue.pop_front_if(|(until, _)| *until <= now) {
                due.push(key);
            }
        }
        for key in due {
            self.let_go(key, now);
        }
        self.next_sweep()
    }

    pub(crate) fn next_sweep(&self) -> Option<Instant> {
        let first = |queue: &VecDeque<(Instant, Key)>| queue.front().map(|(until, _)| *until);
        [&self.once, &self.confidential, &self.others]
            .into_iter()
            .filter_map(first)
            .min()
    }

    /// How many completions are kept.
    pub(crate) fn kept(&self) -> usize {
        self.once.len() + self.confidential.len() + self.others.len()
    }
}

#[cfg(test)]
mod tests {
    use koffer_proto::{Effect, Failure, Status};

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
        book.open(key(1), one, CallNo(7));
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
    fn a_confidential_answer_goes_and_what_it_did_stays_known() {
        let mut book = Book::new(10, KEPT_OTHERS);
        let (now, digest) = (Instant::now(), Sha256::of(b""));
        let gone = Failure::unfinished(Status::DeviceFault, Effect::Done, "no longer kept");
        let gone = Arc::new(Completion::refused(gone));
        book.open(key(0), digest, CallNo(0));
        book.end_confidential_once(key(0), ended(), gone, now);
        book.sweep(now + KEPT_OTHERS);
        let Known::Ended(completion) = book.look_up(&key(0), &digest) else {
            panic!("forgotten")
        };
        assert_eq!(completion.effect(), Effect::Done);
    }

    #[test]
    fn status_calls_never_push_out_a_payment() {
        let mut book = Book::new(3, KEPT_OTHERS);
        let (now, digest) = (Instant::now(), Sha256::of(b""));
        book.open(key(0), digest, CallNo(0));
        book.end(key(0), Shelf::Once, ended(), now);
        for n in 1..100 {
            book.open(key(n), digest, CallNo(n as u64));
            book.end(key(n), Shelf::Others, ended(), now);
        }
        assert!(matches!(book.look_up(&key(0), &digest), Known::Ended(_)));
        assert!(matches!(book.look_up(&key(50), &digest), Known::Nothing));
        assert_eq!(book.kept(), 4);
        book.sweep(now + KEPT_OTHERS);
        assert_eq!(book.kept(), 1);
        assert_eq!(book.sweep(now + KEPT_ONCE), None);
        assert!(matches!(book.look_up(&key(0), &digest), Known::Nothing));
    }
}

//! The one thread that has the file. It takes everything that waits, writes it in one transaction,
//! commits once, and then answers all: the more wait, the less each costs.

use std::{
    collections::BTreeMap,
    io,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use jiff::Timestamp;
use koffer_drivers::{Interrupted, NotStored, fail_point};
use koffer_proto::{Completion, Reason, Response};
use rusqlite::{Connection, TransactionBehavior};
use tokio::{
    runtime::{Builder, Runtime},
    sync::{
        mpsc::{self, error::TrySendError},
        oneshot,
    },
    time::{Instant, error::Elapsed, timeout_at},
};

use super::{CallNo, Deleted};
use super::{
    NotRead, Snapshot,
    entry::{Entry, Failed},
    place::{Opened, Place},
    record,
    retention::{self, Swept},
    transition::Transition,
    trouble::{Trouble, has_room},
};

/// Entries in one transaction. Each is some kilobytes, so a transaction stays well below the size
/// from which the log is copied into the file.
const BATCH: usize = 256;

/// Who looks for what a crash leaves wants each entry by itself: those that share a transaction leave
/// no more than that.
fn batch() -> usize {
    if fail_point::is_watched() { 1 } else { BATCH }
}

/// What a disk must have left for a new call to be accepted, so that those which have begun still
/// find room: many times what a few dozen devices can have under way.
const RESERVE: u64 = 4 * 1024 * 1024;

/// What was accepted waits this long for what comes next, if nothing else is to be written: a driver
/// that is ready at once needs the record of its start, and then both cost one commit.
const HOLD: Duration = Duration::from_millis(1);

/// While something is deferred to the record, room is looked for this often.
const LOOK_FOR_ROOM: Duration = Duration::from_millis(100);

/// Commits after which old calls are looked for: all are counted for that, some ten milliseconds
/// when there are a hundred thousand.
const SWEEP_EVERY: u32 = 1024;

/// What the thread is asked.
#[derive(Debug)]
pub(super) enum Request {
    Write(Box<Entry>, Written),
    Snapshot(oneshot::Sender<Result<Snapshot, NotRead>>),
    Completion(CallNo, Read<Completion<Response>>),
    Interrupted(CallNo, Read<Interrupted>),
    /// Answered when the end of this call is deferred no more.
    OnRecord(CallNo, oneshot::Sender<()>),
    Close(oneshot::Sender<()>),
}

/// Where it is told what became of an entry.
type Written = oneshot::Sender<Result<(), NotStored>>;

/// Where what was read goes.
type Read<T> = oneshot::Sender<Result<Option<T>, NotRead>>;

/// What the thread shows without being asked.
#[derive(Debug, Default)]
pub(super) struct Shown {
    trouble: Mutex<Option<Reason>>,
    commits: AtomicU64,
}

impl Shown {
    pub(super) fn trouble(&self) -> Option<Reason> {
        let trouble = self.trouble.lock().unwrap_or_else(PoisonError::into_inner);
        trouble.clone()
    }

    /// Transactions committed so far.
    pub(super) fn commits(&self) -> u64 {
        self.commits.load(Ordering::Relaxed)
    }

    /// Takes in how it stands, and says in the log what has changed.
    fn stands(&self, now: Option<&Trouble>) {
        let now = now.map(Trouble::reason);
        let mut trouble = self.trouble.lock().unwrap_or_else(PoisonError::into_inner);
        if *trouble == now {
            return;
        }
        if let Some(Reason { keyword, text }) = &now {
            tracing::error!(%keyword, "nothing can be put on record: {}", text.en);
        } else {
            tracing::info!("the journal is in order again");
        }
        *trouble = now;
    }
}

/// How a call ended, for which there was no room, and who waits until it is on record.
#[derive(Debug)]
struct Deferred {
    entry: Box<Entry>,
    waiting: Vec<oneshot::Sender<()>>,
}

/// The thread's own.
pub(super) struct Writer {
    place: Place,
    requests: mpsc::Receiver<Request>,
    /// Waits for requests, and no longer than it should.
    clock: Runtime,
    shown: Arc<Shown>,
    /// Where it is told which calls were deleted.
    deleted: mpsc::Sender<Vec<Deleted>>,
    opened: Option<Opened>,
    /// Somebody knows what was before.
    told: bool,
    /// How calls ended for which there was no room: callers have been told, so it is put on record
    /// as soon as there is some. One for each call that had begun; no new ones are accepted meanwhile.
    deferred: BTreeMap<CallNo, Deferred>,
    commits_to_sweep: u32,
}

impl Writer {
    pub(super) fn new(
        place: Place,
        requests: mpsc::Receiver<Request>,
        shown: Arc<Shown>,
        deleted: mpsc::Sender<Vec<Deleted>>,
    ) -> io::Result<Self> {
        Ok(Self {
            place,
            requests,
            clock: Builder::new_current_thread().enable_time().build()?,
            shown,
            deleted,
            opened: None,
            told: false,
            deferred: BTreeMap::new(),
            commits_to_sweep: 0,
        })
    }

    /// Serves until it is closed or nobody can ask any more.
    pub(super) fn serve(mut self) {
        let stands = self.file().err();
        self.shown.stands(stands.as_ref());
        let mut closed = None;
        while let Some(first) = self.next_request() {
            self.flush();
            let mut writes = Vec::new();
            let mut reads = Vec::new();
            let held_until = Instant::now() + HOLD;
            let mut next = Some(first);
            while let Some(request) = next {
                match request {
                    Request::Write(entry, answer) => writes.push((entry, answer)),
                    Request::Close(answer) => {
                        // What was sent before is still served.
                        self.requests.close();
                        closed = Some(answer);
                    }
                    read => reads.push(read),
                }
                let accepted =
                    |(entry, _): &(Box<Entry>, Written)| matches!(**entry, Entry::Accepted(_));
                let others_wait = closed.is_some() || !reads.is_empty();
                next = if writes.len() == batch() {
                    None
                } else if others_wait || !writes.iter().all(accepted) {
                    self.requests.try_recv().ok()
                } else {
                    self.request_until(held_until).unwrap_or_default()
                };
            }
            if !writes.is_empty() {
                self.write(writes);
            }
            for request in reads {
                self.read(request);
            }
            self.sweep();
        }
        self.opened = None;
        tracing::info!(commits = self.shown.commits(), "the journal is closed");
        if let Some(closed) = closed {
            tell(closed, ());
        }
    }

    /// The next request. Meanwhile what is deferred is put on record, should there be room.
    fn next_request(&mut self) -> Option<Request> {
        while !self.deferred.is_empty() {
            match self.request_until(Instant::now() + LOOK_FOR_ROOM) {
                Ok(request) => return request,
                Err(Elapsed { .. }) => self.flush(),
            }
        }
        self.requests.blocking_recv()
    }

    /// The next request, if it comes in time.
    fn request_until(&mut self, time: Instant) -> Result<Option<Request>, Elapsed> {
        let requests = &mut self.requests;
        // A timer is made within its runtime.
        self.clock
            .block_on(async { timeout_at(time, requests.recv()).await })
    }

    /// Puts on record what is deferred.
    fn flush(&mut self) {
        if self.deferred.is_empty() || !has_room(&self.place.file(), RESERVE) {
            return;
        }
        let deferred = std::mem::take(&mut self.deferred).into_values();
        let (entries, waiting): (Vec<_>, Vec<_>) = deferred
            .map(|deferred| (deferred.entry, deferred.waiting))
            .unzip();
        match self.commit(&entries) {
            Ok(results) => {
                for (entry, result) in entries.iter().zip(results) {
                    let call = entry.call();
                    match result {
                        Ok(()) => tracing::info!(call = call.0, "put on record after all"),
                        Err(trouble) => given_up(entry, &trouble),
                    }
                }
            }
            Err(trouble) if trouble.may_pass() => {
                let deferred = entries.into_iter().zip(waiting);
                let deferred =
                    deferred.map(|(entry, waiting)| (entry.call(), Deferred { entry, waiting }));
                return self.deferred.extend(deferred);
            }
            Err(trouble) => {
                for entry in &entries {
                    given_up(entry, &trouble);
                }
            }
        }
        for answer in waiting.into_iter().flatten() {
            tell(answer, ());
        }
    }

    /// Keeps how calls ended until there is room for it. Of a person's word it was said that it
    /// could not be stored: it is given again.
    fn defer(&mut self, entries: impl IntoIterator<Item = Box<Entry>>) {
        for entry in entries {
            if matches!(*entry, Entry::Finished { .. }) {
                let call = entry.call();
                let before = self.deferred.remove(&call);
                let waiting = before.map_or_else(Vec::new, |deferred| deferred.waiting);
                self.deferred.insert(call, Deferred { entry, waiting });
            }
        }
    }

    /// The open file; opened now where it is not, and anew where there is room again.
    fn file(&mut self) -> Result<&mut Connection, Trouble> {
        let file = self.place.file();
        let stays = |opened: &Opened| !opened.makeshift || !has_room(&file, RESERVE);
        let opened = match self.opened.take().filter(stays) {
            Some(opened) => opened,
            None => self.place.open()?,
        };
        Ok(&mut self.opened.insert(opened).connection)
    }

    fn write(&mut self, writes: Vec<(Box<Entry>, Written)>) {
        let mut entries = Vec::with_capacity(writes.len());
        let mut answers = Vec::with_capacity(writes.len());
        let mut room = None;
        for (entry, answer) in writes {
            let refused = match &*entry {
                Entry::Accepted(_) => {
                    let room = room.get_or_insert_with(|| {
                        let room = self.room_for_new();
                        if let Err(trouble) = &room {
                            self.shown.stands(Some(trouble));
                        }
                        room
                    });
                    room.as_ref()
                        .err()
                        .cloned()
                        .map(|trouble| Err(trouble.into()))
                }
                _ => None,
            };
            if let Some(refused) = refused {
                tell(answer, refused);
            } else {
                entries.push(entry);
                answers.push(answer);
            }
        }
        if entries.is_empty() {
            return;
        }
        let mut outcome = self.commit(&entries);
        if matches!(outcome, Err(Trouble::BoundReached(_))) && self.make_room() {
            outcome = self.commit(&entries);
        }
        // That what had begun found room says nothing about new calls.
        if outcome.is_err() || matches!(room, Some(Ok(()))) {
            self.shown.stands(outcome.as_ref().err());
        }
        match outcome {
            Ok(results) => {
                self.commits_to_sweep = self.commits_to_sweep.saturating_sub(1);
                for ((entry, answer), result) in entries.iter().zip(answers).zip(results) {
                    if matches!(**entry, Entry::Finished { .. } | Entry::Resolved { .. }) {
                        // What is known better now.
                        let deferred = self.deferred.remove(&entry.call());
                        for answer in deferred.into_iter().flat_map(|deferred| deferred.waiting) {
                            tell(answer, ());
                        }
                    }
                    if let Err(trouble) = &result {
                        given_up(entry, trouble);
                    }
                    tell(answer, result.map_err(NotStored::from));
                }
            }
            Err(trouble) => {
                for answer in answers {
                    tell(answer, Err(trouble.clone().into()));
                }
                if trouble.may_pass() {
                    self.defer(entries);
                }
            }
        }
    }

    /// Whether a new call can be accepted: it is known what was before, and there is room for
    /// all that follows.
    fn room_for_new(&mut self) -> Result<(), Trouble> {
        let place = self.place.clone();
        let crowded = |writer: &mut Self| {
            writer.with_file(|connection| retention::is_crowded(connection, &place))
        };
        if crowded(self)? && (!self.make_room() || crowded(self)?) {
            return Err(Trouble::BoundReached(self.place.file()));
        }
        if !self.deferred.is_empty() || !has_room(&self.place.file(), RESERVE) {
            return Err(Trouble::DiskFull(self.place.file()));
        }
        if !self.told {
            return Err(Trouble::NotRead(self.place.file()));
        }
        Ok(())
    }

    fn commit(&mut self, entries: &[Box<Entry>]) -> Result<Vec<Result<(), Trouble>>, Trouble> {
        let results = self.with_file(|connection| commit(connection, entries));
        if results.is_ok() {
            self.shown.commits.fetch_add(1, Ordering::Relaxed);
        }
        results
    }

    /// Does something with the file. What fails for the file's sake closes it, to be opened and
    /// checked anew by whoever comes next.
    fn with_file<T>(
        &mut self,
        work: impl FnOnce(&mut Connection) -> rusqlite::Result<T>,
    ) -> Result<T, Trouble> {
        let file = self.place.file();
        let done = self
            .file()
            .and_then(|connection| work(connection).map_err(|error| Trouble::of(&error, &file)));
        if done.as_ref().is_err_and(Trouble::is_of_the_file) {
            self.opened = None;
        }
        done
    }

    fn read(&mut self, request: Request) {
        match request {
            Request::Snapshot(answer) => {
                let memory = self.with_file(|connection| record::snapshot(connection));
                self.told |= memory.is_ok();
                let stands = self.room_for_new().err();
                self.shown.stands(stands.as_ref());
                tell(answer, memory.map_err(NotRead::from));
            }
            Request::Completion(call, answer) => {
                let deferred = self.deferred.get(&call).map(|deferred| &*deferred.entry);
                if let Some(Entry::Finished { completion, .. }) = deferred {
                    return tell(answer, Ok(Some(completion.clone())));
                }
                let completion = self.with_file(|connection| record::completion(connection, call));
                tell(answer, completion.map_err(NotRead::from));
            }
            Request::Interrupted(call, answer) => {
                let found = self.with_file(|connection| record::interrupted(connection, call));
                tell(answer, found.map_err(NotRead::from));
            }
            Request::OnRecord(call, answer) => match self.deferred.get_mut(&call) {
                Some(deferred) => deferred.waiting.push(answer),
                None => tell(answer, ()),
            },
            Request::Write(..) | Request::Close(_) => {}
        }
    }

    /// Lets go of old calls now and then: a little each time, so that no call waits for it.
    fn sweep(&mut self) {
        if self.opened.is_some() && self.commits_to_sweep == 0 && !self.make_room() {
            self.commits_to_sweep = SWEEP_EVERY;
        }
    }

    /// Deletes some old calls; says whether any were deleted. The dispatcher must learn it: a call that is
    /// remembered and not on record can neither be answered nor be made again.
    fn make_room(&mut self) -> bool {
        let permit = match self.deleted.clone().try_reserve_owned() {
            Ok(permit) => Some(permit),
            Err(TrySendError::Closed(_)) => None,
            Err(TrySendError::Full(_)) => return false,
        };
        let place = self.place.clone();
        let swept =
            self.with_file(|connection| retention::sweep(connection, &place, Timestamp::now()));
        match swept {
            Ok(Swept { deleted, forced }) => {
                if let Some(client) = forced {
                    tracing::warn!(
                        calls = deleted.len(), %client,
                        "the journal is nearly full: the oldest calls of whoever has the most went \
                         before their time"
                    );
                }
                let any = !deleted.is_empty();
                if let Some(permit) = permit.filter(|_| any) {
                    permit.send(deleted);
                }
                any
            }
            Err(trouble) => {
                let text = trouble.text();
                tracing::warn!("old calls could not be let go of: {}", text.en);
                false
            }
        }
    }
}

/// Writes all of them and commits once: what became of each, or why nothing was written.
fn commit(
    connection: &mut Connection,
    entries: &[Box<Entry>],
) -> rusqlite::Result<Vec<Result<(), Trouble>>> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let mut results = Vec::with_capacity(entries.len());
    for entry in entries {
        results.push(match entry.write(&transaction) {
            Ok(()) => Ok(()),
            Err(Failed::Entry(trouble)) => Err(trouble),
            Err(Failed::File(error)) => return Err(error),
        });
    }
    let transitions = || entries.iter().flat_map(|entry| entry.transitions());
    transitions().for_each(Transition::uncommitted);
    transaction.commit()?;
    transitions().for_each(Transition::committed);
    Ok(results)
}

/// Answers; whoever asked may have gone.
fn tell<T>(answer: oneshot::Sender<T>, told: T) {
    let _ = answer.send(told);
}

/// Says in the log what is not on record, and why.
fn given_up(entry: &Entry, trouble: &Trouble) {
    let text = trouble.text();
    tracing::error!(call = entry.call().0, "not put on record: {}", text.en);
}

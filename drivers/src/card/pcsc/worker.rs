//! One thread per reader talks to it, behind a channel. A caller waits no longer than its own
//! timeout. A thread that hangs in the service is abandoned; it releases the card when the call
//! returns.

use std::{
    ffi::CString,
    sync::{
        Arc, Weak,
        mpsc::{Receiver, SyncSender, sync_channel},
    },
    thread,
    time::Duration,
};

use pcsc::{
    Attribute, Card, Context, Disposition, Error, Protocol, Protocols, ReaderState, Scope,
    ShareMode, State,
};
use tokio::{sync::oneshot, time::timeout};

use super::{features::Features, timing};

/// One job runs and one waits: whoever gave a job up gives up the worker.
const JOBS: usize = 4;
/// CM_IOCTL_GET_FEATURE_REQUEST (PC/SC part 10, 2.2).
const GET_FEATURES: u32 = 3_400;

/// A thread with its reader.
#[derive(Debug)]
pub(super) struct Worker {
    jobs: SyncSender<Job>,
    alive: Weak<()>,
}

enum Job {
    Look(oneshot::Sender<Result<Looked, Error>>),
    Connect(Protocols, oneshot::Sender<Result<Powered, Error>>),
    Transmit(Vec<u8>, oneshot::Sender<Result<Vec<u8>, Error>>),
    Control(u32, Vec<u8>, oneshot::Sender<Result<Vec<u8>, Error>>),
    Check(oneshot::Sender<Result<(), Error>>),
    Disconnect(Disposition, oneshot::Sender<Result<(), Error>>),
}

/// What a reader says of itself.
#[derive(Debug, Clone, Default)]
pub(super) struct Looked {
    pub(super) features: Features,
    pub(super) vendor: Option<String>,
    pub(super) model: Option<String>,
    pub(super) serial: Option<String>,
    pub(super) firmware: Option<String>,
}

/// A card that was taken.
#[derive(Debug, Clone)]
pub(super) struct Powered {
    pub(super) atr: Vec<u8>,
    pub(super) protocol: Protocol,
    pub(super) features: Features,
    /// The reader's count of insertions and removals.
    pub(super) changes: u32,
}

/// What the service shows of a card.
#[derive(Debug, PartialEq, Eq)]
struct Shown {
    protocol: Option<Protocol>,
    atr: Vec<u8>,
}

/// Why a job has no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unanswered {
    /// The service or the reader said no.
    Error(Error),
    /// Nothing came in time: the thread hangs.
    Hung,
    /// The thread is gone.
    Gone,
}

impl Worker {
    /// Starts the thread; it does nothing before it is asked.
    pub(super) fn start(reader: &str) -> std::io::Result<Self> {
        let (jobs, asked) = sync_channel(JOBS);
        let token = Arc::new(());
        let alive = Arc::downgrade(&token);
        let name = CString::new(reader).map_err(|_| std::io::ErrorKind::InvalidInput)?;
        thread::Builder::new()
            .name("pcsc-reader".to_owned())
            .spawn(move || {
                Desk::new(name).serve(&asked);
                drop(token);
            })?;
        Ok(Self { jobs, alive })
    }

    /// Gone when the thread ended.
    pub(super) fn alive(&self) -> Weak<()> {
        self.alive.clone()
    }

    pub(super) async fn look(&self, limit: Duration) -> Result<Looked, Unanswered> {
        self.ask(Job::Look, limit).await
    }

    pub(super) async fn connect(
        &self,
        protocols: Protocols,
        limit: Duration,
    ) -> Result<Powered, Unanswered> {
        self.ask(|answer| Job::Connect(protocols, answer), limit)
            .await
    }

    pub(super) async fn transmit(
        &self,
        apdu: Vec<u8>,
        limit: Duration,
    ) -> Result<Vec<u8>, Unanswered> {
        self.ask(|answer| Job::Transmit(apdu, answer), limit).await
    }

    pub(super) async fn control(
        &self,
        code: u32,
        input: Vec<u8>,
        limit: Duration,
    ) -> Result<Vec<u8>, Unanswered> {
        self.ask(|answer| Job::Control(code, input, answer), limit)
            .await
    }

    /// Whether the card that was taken is still there, and was not reset since.
    pub(super) async fn check(&self, limit: Duration) -> Result<(), Unanswered> {
        self.ask(Job::Check, limit).await
    }

    /// Lets go of the card when the thread comes to it.
    pub(super) fn disconnect_unheard(&self, disposition: Disposition) {
        let (answer, _) = oneshot::channel();
        // Where the queue is full the thread hangs; it releases the card when it ends.
        let _ = self.jobs.try_send(Job::Disconnect(disposition, answer));
    }

    pub(super) async fn disconnect(
        &self,
        disposition: Disposition,
        limit: Duration,
    ) -> Result<(), Unanswered> {
        self.ask(|answer| Job::Disconnect(disposition, answer), limit)
            .await
    }

    async fn ask<T>(
        &self,
        job: impl FnOnce(oneshot::Sender<Result<T, Error>>) -> Job,
        limit: Duration,
    ) -> Result<T, Unanswered> {
        let (answer, answered) = oneshot::channel();
        // A full queue is a thread that hangs; it is never waited for here.
        self.jobs
            .try_send(job(answer))
            .map_err(|_| Unanswered::Hung)?;
        match timeout(limit, answered).await {
            Ok(Ok(outcome)) => outcome.map_err(Unanswered::Error),
            Ok(Err(_)) => Err(Unanswered::Gone),
            Err(_) => Err(Unanswered::Hung),
        }
    }
}

/// What the thread holds.
struct Desk {
    reader: CString,
    context: Option<Context>,
    card: Option<Card>,
    buffer: Vec<u8>,
}

impl Desk {
    fn new(reader: CString) -> Self {
        Self {
            reader,
            context: None,
            card: None,
            buffer: vec![0; pcsc::MAX_BUFFER_SIZE_EXTENDED],
        }
    }

    fn serve(&mut self, asked: &Receiver<Job>) {
        for job in asked {
            // Where nobody waits for the answer any more, the reader was given up on.
            let heard = match job {
                Job::Look(answer) => answer.send(self.look()).is_ok(),
                Job::Connect(protocols, answer) => answer.send(self.connect(protocols)).is_ok(),
                Job::Transmit(apdu, answer) => answer.send(self.transmit(&apdu)).is_ok(),
                Job::Control(code, input, answer) => {
                    answer.send(self.control(code, &input)).is_ok()
                }
                Job::Check(answer) => answer.send(self.check()).is_ok(),
                Job::Disconnect(disposition, answer) => {
                    let _ = answer.send(self.disconnect(disposition));
                    true
                }
            };
            if !heard {
                // What was asked for may have changed the card's state: leave none of it.
                let _ = self.disconnect(Disposition::ResetCard);
            }
        }
        let _ = self.disconnect(Disposition::ResetCard);
    }

    /// The context; a new one where the last went with the service.
    fn context(&mut self) -> Result<Context, Error> {
        if let Some(context) = &self.context {
            return Ok(context.clone());
        }
        let context = Context::establish(Scope::System)?;
        self.context = Some(context.clone());
        Ok(context)
    }

    /// Connects; once more with a new context where the old one turns out to be dead.
    fn open(&mut self, mode: ShareMode, protocols: Protocols) -> Result<Card, Error> {
        let had_one = self.context.is_some();
        let reader = self.reader.clone();
        match self.context()?.connect(&reader, mode, protocols) {
            Err(error) if had_one && is_service_gone(error) => {
                self.context = None;
                self.context()?.connect(&reader, mode, protocols)
            }
            opened => opened,
        }
    }

    /// Asks the reader itself, whether a card is in it or not.
    fn look(&mut self) -> Result<Looked, Error> {
        let reader = self.open(ShareMode::Direct, Protocols::UNDEFINED)?;
        let text = |attribute| {
            let bytes = reader.get_attribute_owned(attribute).ok()?;
            let text = String::from_utf8_lossy(&bytes);
            let text = text.trim_matches(['\0', ' ']).to_owned();
            (!text.is_empty() && !text.chars().any(char::is_control)).then_some(text)
        };
        let version = reader.get_attribute_owned(Attribute::VendorIfdVersion).ok();
        let looked = Looked {
            features: features(&reader),
            vendor: text(Attribute::VendorName),
            model: text(Attribute::VendorIfdType),
            serial: text(Attribute::VendorIfdSerialNo),
            // 0xMMmmbbbb (PC/SC part 3, 3.1.2), in the machine's byte order.
            firmware: version
                .and_then(|bytes| Some(u32::from_ne_bytes(bytes.get(..4)?.try_into().ok()?)))
                .map(|v| format!("{}.{}.{}", v >> 24, v >> 16 & 0xFF, v & 0xFFFF)),
        };
        let _ = reader.disconnect(Disposition::LeaveCard);
        Ok(looked)
    }

    fn connect(&mut self, protocols: Protocols) -> Result<Powered, Error> {
        let _ = self.disconnect(Disposition::ResetCard);
        let card = self.open(ShareMode::Exclusive, protocols)?;
        match self.powered(&card) {
            Ok(powered) => {
                self.card = Some(card);
                Ok(powered)
            }
            Err(error) => {
                let _ = card.disconnect(Disposition::ResetCard);
                Err(error)
            }
        }
    }

    /// What is known of a card that was just taken.
    fn powered(&mut self, card: &Card) -> Result<Powered, Error> {
        let (shown, changes) = self.shown(card)?;
        let atr = card.get_attribute_owned(Attribute::AtrString);
        Ok(Powered {
            atr: atr.unwrap_or(shown.atr),
            protocol: shown.protocol.ok_or(Error::ProtoMismatch)?,
            features: features(card),
            changes,
        })
    }

    /// What the service shows of a card, and the count of changes, once two looks agree
    /// (docs/decisions/0013).
    fn shown(&mut self, card: &Card) -> Result<(Shown, u32), Error> {
        let mut last = (shown(card)?, self.changes()?);
        for _ in 1..timing::LOOKS {
            let now = (shown(card)?, self.changes()?);
            if now == last {
                break;
            }
            last = now;
        }
        Ok(last)
    }

    /// Asks the service, not the monitor: what it says now is what counts.
    fn changes(&mut self) -> Result<u32, Error> {
        let mut states = [ReaderState::new(self.reader.clone(), State::UNAWARE)];
        self.context()?
            .get_status_change(Duration::ZERO, &mut states)?;
        Ok(states[0].event_count())
    }

    /// Whether the service still gives this handle its card; what it shows of the card besides is
    /// not looked at.
    fn check(&mut self) -> Result<(), Error> {
        let card = self.card.as_ref().ok_or(Error::InvalidHandle)?;
        let outcome = shown(card).map(|_| ());
        self.note(outcome)
    }

    fn transmit(&mut self, apdu: &[u8]) -> Result<Vec<u8>, Error> {
        let card = self.card.as_ref().ok_or(Error::InvalidHandle)?;
        let outcome = card.transmit(apdu, &mut self.buffer).map(<[u8]>::to_vec);
        self.wipe(&outcome);
        self.note(outcome)
    }

    fn control(&mut self, code: u32, input: &[u8]) -> Result<Vec<u8>, Error> {
        let card = self.card.as_ref().ok_or(Error::InvalidHandle)?;
        let outcome = card
            .control(code.into(), input, &mut self.buffer)
            .map(<[u8]>::to_vec);
        self.wipe(&outcome);
        self.note(outcome)
    }

    /// Answers may hold personal data: none is left in the buffer.
    fn wipe(&mut self, outcome: &Result<Vec<u8>, Error>) {
        let used = outcome.as_ref().map_or(self.buffer.len(), Vec::len);
        self.buffer[..used].fill(0);
    }

    /// Forgets a context that died with the service.
    fn note<T>(&mut self, outcome: Result<T, Error>) -> Result<T, Error> {
        if outcome.as_ref().is_err_and(|error| is_service_gone(*error)) {
            self.card = None;
            self.context = None;
        }
        outcome
    }

    fn disconnect(&mut self, disposition: Disposition) -> Result<(), Error> {
        match self.card.take().map(|card| card.disconnect(disposition)) {
            None | Some(Ok(())) => Ok(()),
            // The drop of what comes back here tries once more, in vain and without harm.
            Some(Err((_, error))) => Err(error),
        }
    }
}

/// One question to the service; asking for the lengths first would make it two, with two answers.
fn shown(card: &Card) -> Result<Shown, Error> {
    let (mut names, mut atr) = ([0; 256], [0; pcsc::MAX_ATR_SIZE]);
    let status = card.status2(&mut names, &mut atr)?;
    Ok(Shown {
        protocol: status.protocol2(),
        atr: status.atr().to_vec(),
    })
}

fn features(reader: &Card) -> Features {
    let mut buffer = [0; pcsc::MAX_BUFFER_SIZE];
    reader
        .control(pcsc::ctl_code(GET_FEATURES.into()), &[], &mut buffer)
        .map_or_else(|_| Features::default(), Features::parse)
}

/// Whether the error says that the service went away, and every handle with it.
pub(super) fn is_service_gone(error: Error) -> bool {
    matches!(
        error,
        Error::NoService
            | Error::ServiceStopped
            | Error::CommError
            | Error::InvalidHandle
            | Error::Shutdown
    )
}

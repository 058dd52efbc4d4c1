//! Faults: what the terminal does wrong, where, and how often. See the table in README.md.

use std::fmt;
use std::str::FromStr;

use koffer_drivers::payment::zvt::codec::apdu::Control;
use serde::{Deserialize, Serialize};

/// A command by its control field: `06 01` or `0601`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct CommandName(pub Control);

impl FromStr for CommandName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let compact: String = text.chars().filter(|c| !c.is_whitespace()).collect();
        match (compact.len(), u16::from_str_radix(&compact, 16)) {
            (4, Ok(number)) => {
                let [class, instruction] = number.to_be_bytes();
                Ok(Self(Control(class, instruction)))
            }
            _ => Err(format!("`{text}` is no command: write it as \"06 01\"")),
        }
    }
}

impl TryFrom<String> for CommandName {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<CommandName> for String {
    fn from(name: CommandName) -> Self {
        name.to_string()
    }
}

impl fmt::Display for CommandName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A place in an exchange.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Step {
    /// A serial frame has arrived; it was not acknowledged.
    Frame,
    /// A command has arrived; nothing was answered.
    Command,
    /// Before 80 00 or 84 xx.
    Ack,
    /// Before 04 FF.
    Status,
    /// Before the ledger is written.
    Booking,
    /// After the ledger was written and synced, before 04 0F.
    Booked,
    /// Before 04 0F.
    Result,
    /// After 04 0F was acknowledged.
    Acknowledged,
    /// Before 06 D1 or 06 D3.
    Receipt,
    /// Before 06 0F.
    Completion,
    /// Before 06 1E.
    Abort,
    /// Before any message, the acknowledgement included.
    Message,
}

impl Step {
    const fn is_message(self) -> bool {
        matches!(
            self,
            Self::Ack
                | Self::Status
                | Self::Result
                | Self::Receipt
                | Self::Completion
                | Self::Abort
        )
    }
}

/// Seen from the terminal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Direction {
    /// By the terminal.
    Sent,
    /// From the ECR.
    Received,
}

/// What bytes are counted from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Per {
    /// From the first byte of the command, over connections.
    Transaction,
    /// From the beginning of the connection.
    Connection,
}

/// How a connection ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum How {
    /// TCP: closed. PTY: hung up; a new one takes its place.
    Close,
    /// TCP: reset. PTY: as `close`.
    Reset,
    /// The cable: bytes vanish both ways. TCP: until the ECR connects anew. PTY: for a second.
    Unplug,
}

/// A cut after a byte.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cut {
    /// So many bytes pass, then the connection is cut.
    pub byte: u64,
    /// Which bytes are counted.
    #[serde(default = "Cut::sent")]
    pub of: Direction,
    /// From where they are counted.
    #[serde(default = "Cut::transaction")]
    pub per: Per,
    /// How the connection ends.
    #[serde(default = "Cut::close")]
    pub how: How,
}

impl Cut {
    const fn sent() -> Direction {
        Direction::Sent
    }
    const fn transaction() -> Per {
        Per::Transaction
    }
    const fn close() -> How {
        How::Close
    }
}

/// What is wrong in an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Wrong {
    /// Another command in its place: 04 FF for 06 0F, else 06 0F.
    Command,
    /// BMP 04 is one cent more.
    Amount,
    /// BMP 29 is another terminal's.
    TerminalId,
    /// BMP 87 is one more.
    Receipt,
    /// BMP 0B is one more.
    Trace,
    /// BMP 27 is left out.
    NoResult,
    /// A BMP that does not exist stands in front.
    UnknownField,
}

/// What goes wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// Waits first.
    Delay {
        /// Milliseconds.
        ms: u64,
    },
    /// As `delay`, before 06 0F.
    LateCompletion {
        /// Milliseconds.
        ms: u64,
    },
    /// Says nothing from here to the end of the exchange, though it goes on inside. At `command`:
    /// the command is ignored.
    Silence,
    /// Random bytes.
    Garbage {
        /// How many.
        bytes: usize,
        /// The same seed gives the same bytes.
        seed: u64,
        /// In place of the message and not before it.
        #[serde(default)]
        instead: bool,
    },
    /// Only the beginning of the message is sent.
    Truncate {
        /// How many bytes of it.
        bytes: usize,
    },
    /// The message is sent twice.
    Duplicate,
    /// The message says something wrong.
    WrongAnswer(Wrong),
    /// Commands are answered 84 9C.
    Busy,
    /// Commands are answered 84 and this byte.
    Nack {
        /// The byte.
        code: u8,
    },
    /// Cuts the connection after a byte; the step does not count.
    Cut(Cut),
    /// Cuts the connection at the step.
    Drop(How),
    /// The process ends at once, without any clean-up; a terminal inside a test restarts instead.
    Die,
    /// Power fails and comes back: the connection and the registration are lost.
    Restart {
        /// Milliseconds without power.
        down_ms: u64,
    },
    /// Serial: the frame has a wrong checksum.
    BadCrc,
    /// Serial: the ECR's frame is not noticed.
    LoseFrame,
    /// Serial: the ECR's frame is answered by 15.
    NakFrame,
}

impl Kind {
    const fn natural_step(&self) -> Step {
        match self {
            Self::LateCompletion { .. } => Step::Completion,
            Self::WrongAnswer(_) => Step::Result,
            Self::Busy | Self::Nack { .. } => Step::Command,
            Self::LoseFrame | Self::NakFrame => Step::Frame,
            Self::Die | Self::Restart { .. } => Step::Booked,
            _ => Step::Message,
        }
    }

    /// Whether it means something there.
    const fn fits(&self, step: Step) -> bool {
        match self {
            Self::Delay { .. }
            | Self::LateCompletion { .. }
            | Self::Drop(_)
            | Self::Die
            | Self::Restart { .. } => !matches!(step, Step::Frame),
            Self::Cut(_) => matches!(step, Step::Message),
            Self::LoseFrame | Self::NakFrame => matches!(step, Step::Frame),
            Self::Silence => step.is_message() || matches!(step, Step::Message | Step::Command),
            Self::Busy | Self::Nack { .. } => matches!(step, Step::Command),
            Self::Garbage { .. }
            | Self::Truncate { .. }
            | Self::Duplicate
            | Self::WrongAnswer(_)
            | Self::BadCrc => step.is_message() || matches!(step, Step::Message),
        }
    }
}

/// One line of the fault list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fault {
    /// What goes wrong.
    #[serde(rename = "do")]
    pub kind: Kind,
    /// Where; the kind's own place if it is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<Step>,
    /// Only while this command runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub command: Option<CommandName>,
    /// How often; 0 is always.
    #[serde(default = "Fault::once")]
    pub times: u32,
    /// How many such places to let pass before.
    #[serde(default)]
    pub after: u32,
}

impl Fault {
    const fn once() -> u32 {
        1
    }

    /// Once, at the kind's own place, whatever the command.
    pub const fn new(kind: Kind) -> Self {
        Self {
            kind,
            at: None,
            command: None,
            times: 1,
            after: 0,
        }
    }

    /// At this place.
    pub const fn at(mut self, step: Step) -> Self {
        self.at = Some(step);
        self
    }

    /// Only while this command runs.
    pub const fn during(mut self, class: u8, instruction: u8) -> Self {
        self.command = Some(CommandName(Control(class, instruction)));
        self
    }

    /// So often; 0 is always.
    pub const fn times(mut self, times: u32) -> Self {
        self.times = times;
        self
    }

    /// Lets so many places pass before.
    pub const fn after(mut self, places: u32) -> Self {
        self.after = places;
        self
    }

    fn step(&self) -> Step {
        self.at.unwrap_or(self.kind.natural_step())
    }

    /// A sentence if this fault could never happen.
    fn mistake(&self) -> Option<String> {
        let step = self.step();
        if matches!(self.kind, Kind::Cut(_)) && self.after > 0 {
            return Some("a cut after a byte has no `after`: name the `command`".into());
        }
        (!self.kind.fits(step)).then(|| {
            format!(
                "{:?} cannot happen at {step:?}; see the fault table in hw-fixtures/README.md",
                self.kind
            )
        })
    }
}

/// How many bytes went each way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Bytes {
    /// By the terminal.
    pub sent: u64,
    /// From the ECR.
    pub received: u64,
}

impl Bytes {
    pub(super) const fn of(self, direction: Direction) -> u64 {
        match direction {
            Direction::Sent => self.sent,
            Direction::Received => self.received,
        }
    }
}

/// The counters that cuts look at.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Meter {
    pub(super) connection: Bytes,
    pub(super) exchange: Bytes,
    /// The command of the exchange.
    pub(super) command: Option<Control>,
}

impl Meter {
    pub(super) fn count(&mut self, direction: Direction, bytes: u64) {
        let add = |counter: &mut Bytes| match direction {
            Direction::Sent => counter.sent += bytes,
            Direction::Received => counter.received += bytes,
        };
        add(&mut self.connection);
        if self.command.is_some() {
            add(&mut self.exchange);
        }
    }

    fn read(&self, cut: &Cut) -> Option<u64> {
        match cut.per {
            Per::Connection => Some(self.connection.of(cut.of)),
            Per::Transaction => self.command.map(|_| self.exchange.of(cut.of)),
        }
    }
}

/// A fault that happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Consumed {
    /// Which.
    pub fault: Fault,
    /// The command that ran.
    pub during: Option<CommandName>,
}

/// The fault list.
#[derive(Debug, Default)]
pub(super) struct FaultList {
    pending: Vec<Fault>,
    consumed: Vec<Consumed>,
}

impl FaultList {
    /// Replaces the list and forgets what was consumed.
    pub(super) fn replace(&mut self, faults: Vec<Fault>) -> Result<(), String> {
        if let Some(mistake) = faults.iter().find_map(Fault::mistake) {
            return Err(mistake);
        }
        *self = Self {
            pending: faults,
            consumed: Vec::new(),
        };
        Ok(())
    }

    pub(super) fn pending(&self) -> &[Fault] {
        &self.pending
    }

    pub(super) fn consumed(&self) -> &[Consumed] {
        &self.consumed
    }

    /// What goes wrong at this step, in the order of the list.
    pub(super) fn take(&mut self, step: Step, command: Option<Control>) -> Vec<Kind> {
        self.take_if(command, |fault| {
            !matches!(fault.kind, Kind::Cut(_))
                && (fault.step() == step || (fault.step() == Step::Message && step.is_message()))
        })
    }

    /// Whether a cut is due with the counters as they are.
    pub(super) fn take_cut(&mut self, of: Direction, meter: &Meter) -> Option<How> {
        let taken = self.take_if(meter.command, |fault| match &fault.kind {
            Kind::Cut(cut) if cut.of == of => {
                meter.read(cut).is_some_and(|count| count >= cut.byte)
            }
            _ => false,
        });
        taken.into_iter().find_map(|kind| match kind {
            Kind::Cut(cut) => Some(cut.how),
            _ => None,
        })
    }

    /// How many more bytes may pass before a cut is due.
    pub(super) fn allowance(&self, of: Direction, meter: &Meter) -> Option<u64> {
        let cuts = self.pending.iter().filter_map(|fault| match &fault.kind {
            Kind::Cut(cut) if cut.of == of && suits(fault, meter.command) => {
                Some(cut.byte.saturating_sub(meter.read(cut)?))
            }
            _ => None,
        });
        cuts.min()
    }

    fn take_if(&mut self, command: Option<Control>, hits: impl Fn(&Fault) -> bool) -> Vec<Kind> {
        let mut taken = Vec::new();
        for fault in &mut self.pending {
            if !suits(fault, command) || !hits(fault) {
                continue;
            }
            if fault.after > 0 {
                fault.after -= 1;
                continue;
            }
            taken.push(fault.kind.clone());
            self.consumed.push(Consumed {
                fault: fault.clone(),
                during: command.map(CommandName),
            });
            match fault.times {
                0 => {}
                // Spent; removed below.
                1 => fault.times = u32::MAX,
                _ => fault.times -= 1,
            }
        }
        self.pending.retain(|fault| fault.times != u32::MAX);
        taken
    }
}

fn suits(fault: &Fault, command: Option<Control>) -> bool {
    fault.command.is_none_or(|name| Some(name.0) == command)
}

/// Seeded random bytes (SplitMix64).
pub(super) fn garbage(bytes: usize, seed: u64) -> Vec<u8> {
    let mut state = seed;
    let mut next = || {
        state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut word = state;
        word = (word ^ (word >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        word = (word ^ (word >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (word ^ (word >> 31)).to_le_bytes()
    };
    std::iter::repeat_with(&mut next)
        .flatten()
        .take(bytes)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const PAY: Option<Control> = Some(Control(0x06, 0x01));

    fn list(faults: Vec<Fault>) -> FaultList {
        let mut list = FaultList::default();
        list.replace(faults).unwrap();
        list
    }

    #[test]
    fn a_fault_happens_as_often_as_asked_and_then_no_more() {
        let delay = Kind::Delay { ms: 5 };
        let mut faults = list(vec![
            Fault::new(delay.clone())
                .at(Step::Receipt)
                .after(2)
                .times(2),
            Fault::new(Kind::Busy).during(0x06, 0x50).times(0),
        ]);
        let happened: Vec<bool> = (0..6)
            .map(|_| !faults.take(Step::Receipt, PAY).is_empty())
            .collect();
        assert_eq!(happened, [false, false, true, true, false, false]);
        for _ in 0..5 {
            assert!(faults.take(Step::Command, PAY).is_empty());
            let end_of_day = Some(Control(0x06, 0x50));
            assert_eq!(faults.take(Step::Command, end_of_day), [Kind::Busy]);
        }
        assert_eq!(faults.pending().len(), 1);
        assert_eq!(faults.consumed().len(), 7);
    }

    #[test]
    fn a_cut_counts_the_bytes_of_its_own_transaction_or_connection() {
        let cut = |byte, per| {
            Fault::new(Kind::Cut(Cut {
                byte,
                of: Direction::Received,
                per,
                how: How::Close,
            }))
        };
        let mut faults = list(vec![
            cut(12, Per::Transaction).during(0x06, 0x01),
            cut(99, Per::Connection),
        ]);
        let mut meter = Meter::default();
        meter.count(Direction::Received, 90);
        assert_eq!(faults.allowance(Direction::Received, &meter), Some(9));
        meter.command = PAY;
        meter.count(Direction::Received, 5);
        assert_eq!(faults.allowance(Direction::Received, &meter), Some(4));
        assert_eq!(faults.take_cut(Direction::Received, &meter), None);
        meter.count(Direction::Received, 4);
        assert_eq!(
            faults.take_cut(Direction::Received, &meter),
            Some(How::Close)
        );
        assert_eq!(faults.allowance(Direction::Received, &meter), Some(3));
        assert_eq!(faults.allowance(Direction::Sent, &meter), None);
    }

    #[test]
    fn the_list_is_readable_json_and_mistakes_are_named() {
        let faults: Vec<Fault> = serde_json::from_value(json!([
            {"do": {"delay": {"ms": 200}}, "at": "result", "command": "06 01", "times": 2},
            {"do": {"cut": {"byte": 17}}},
            {"do": "silence", "at": "command"},
            {"do": {"wrong-answer": "amount"}},
            {"do": {"drop": "reset"}, "at": "booked"},
        ]))
        .unwrap();
        assert_eq!(faults[1].kind.natural_step(), Step::Message);
        list(faults);
        for bad in [
            json!([{"do": "explode"}]),
            json!([{"do": "busy", "command": "six"}]),
            json!([{"do": "busy", "often": 1}]),
        ] {
            assert!(serde_json::from_value::<Vec<Fault>>(bad).is_err());
        }
        let misplaced = vec![Fault::new(Kind::Busy).at(Step::Receipt)];
        assert!(FaultList::default().replace(misplaced).is_err());
    }

    #[test]
    fn garbage_is_the_same_for_the_same_seed() {
        assert_eq!(garbage(33, 7), garbage(33, 7));
        assert_ne!(garbage(33, 7), garbage(33, 8));
    }
}

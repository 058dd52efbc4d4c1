//! The words of the fault list: what goes wrong, where, and how often. See the table in README.md.

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
    pub(super) const fn is_message(self) -> bool {
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
    pub(super) const fn natural_step(&self) -> Step {
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

    pub(super) fn step(&self) -> Step {
        self.at.unwrap_or(self.kind.natural_step())
    }

    /// A sentence if this fault could never happen.
    pub(super) fn mistake(&self) -> Option<String> {
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

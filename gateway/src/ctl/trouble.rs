//! What keeps kofferctl from an answer: what happened, where, and what the person can do.

use koffer_proto::Text;

use super::exit::Exit;
use super::texts;
use crate::bus::{Address, Disconnection, NotSent, Refused, Rejection};

/// Why there is no completion.
#[derive(Debug)]
pub(super) enum Trouble {
    /// The command line, the parameters or the configuration.
    Usage(Text),
    /// No connection.
    Unreachable(Text),
    /// The broker does not want us, or not that.
    NotAllowed(Text),
    /// No gateway to talk to.
    NoGateway(Text),
    /// The journal's file cannot be read.
    Journal(Text),
    /// The completion did not come, and what that means.
    NoCompletion(Text),
    /// The person left, and what that means.
    Left(Text),
    /// What was answered cannot be saved.
    Unsaved(Text),
    /// Stdout takes nothing.
    Output(std::io::Error),
}

impl Trouble {
    /// What to tell.
    pub(super) fn text(&self) -> Text {
        match self {
            Self::Usage(text)
            | Self::Unreachable(text)
            | Self::NotAllowed(text)
            | Self::NoGateway(text)
            | Self::Journal(text)
            | Self::NoCompletion(text)
            | Self::Unsaved(text)
            | Self::Left(text) => text.clone(),
            Self::Output(error) => texts::output(error),
        }
    }

    /// What to end with.
    pub(super) fn exit(&self) -> Exit {
        match self {
            Self::Usage(_) => Exit::Usage,
            Self::Unreachable(_) => Exit::Unreachable,
            Self::NotAllowed(_) => Exit::NotAllowed,
            Self::NoGateway(_) => Exit::NoGateway,
            Self::Journal(_) => Exit::NoJournal,
            Self::NoCompletion(_) => Exit::NoCompletion,
            Self::Left(_) => Exit::Left,
            Self::Unsaved(_) | Self::Output(_) => Exit::Output,
        }
    }

    /// A connection that did not come about.
    pub(super) fn connecting(reason: &Disconnection, address: &Address, user: &str) -> Self {
        match reason {
            Disconnection::Unreachable { error, .. } => {
                Self::Unreachable(texts::unreachable(address, error))
            }
            Disconnection::Refused { reason, .. } => {
                Self::NotAllowed(texts::refused(address, &user, reason))
            }
            Disconnection::SubscriptionRefused { filter, .. } => {
                Self::NotAllowed(texts::subscription(address, &user, filter))
            }
            Disconnection::NotMqtt { .. }
            | Disconnection::ClosedByBroker { .. }
            | Disconnection::Broken { .. }
            | Disconnection::Silent { .. } => {
                Self::Unreachable(texts::unreachable(address, reason))
            }
        }
    }

    /// A call the bus did not take.
    pub(super) fn refused(refused: Refused) -> Self {
        match refused {
            Refused::TooLarge { limit } => Self::Usage(texts::too_large(&limit)),
            Refused::Malformed(error) => Self::Usage(texts::unsendable(&error)),
            Refused::Full | Refused::Closed => Self::Unreachable(texts::unsendable(&refused)),
        }
    }

    /// A call that certainly did not go out; `None` where it may have.
    pub(super) fn not_sent(
        error: &NotSent,
        address: &Address,
        user: &str,
        topic: &str,
    ) -> Option<Self> {
        match error {
            NotSent::Rejected(Rejection::NotAuthorised) => Some(Self::NotAllowed(
                texts::call_refused(address, &user, &topic),
            )),
            NotSent::Rejected(rejection) => Some(Self::NotAllowed(texts::rejected(rejection))),
            NotSent::TooLarge { limit } => Some(Self::Usage(texts::too_large(limit))),
            NotSent::Expired | NotSent::Closed => {
                Some(Self::Unreachable(texts::never_sent(address)))
            }
            NotSent::Unknown | NotSent::HungUp => None,
        }
    }
}

impl From<std::io::Error> for Trouble {
    fn from(error: std::io::Error) -> Self {
        Self::Output(error)
    }
}

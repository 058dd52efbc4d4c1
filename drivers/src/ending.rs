//! How a call of any driver ends, in the contract's words.

use koffer_proto::{Detail, Failure, Lang, Outcome, Response};

use crate::{Contact, Fault, Finished};

/// A call that ended without a result, and what that says of the device.
#[derive(Debug)]
pub(crate) struct Halt {
    /// For the caller.
    pub(crate) failure: Failure,
    /// Set where the device must be opened anew: it is found again, and what is left of the call
    /// is cleaned up.
    pub(crate) fault: Option<Fault>,
}

impl Halt {
    /// A call that failed at a device that is well.
    pub(crate) fn refused(failure: Failure) -> Self {
        Self {
            failure,
            fault: None,
        }
    }
}

impl From<Failure> for Halt {
    fn from(failure: Failure) -> Self {
        Self::refused(failure)
    }
}

impl From<Result<Response, Halt>> for Finished {
    fn from(answer: Result<Response, Halt>) -> Self {
        match answer {
            Ok(response) => Self {
                outcome: Outcome::Ok(response),
                contact: Contact::Kept,
            },
            Err(halt) => Self {
                outcome: Outcome::Failed(halt.failure),
                contact: halt.fault.map_or(Contact::Kept, Contact::Lost),
            },
        }
    }
}

/// Which of the two was asked for.
pub(crate) fn pick(lang: Lang, de: impl Into<String>, en: impl Into<String>) -> String {
    match lang {
        Lang::De => de.into(),
        Lang::En => en.into(),
    }
}

/// A cause, for programs.
pub(crate) fn caused(cause: &str) -> Detail {
    Detail {
        cause: Some(cause.to_owned()),
        ..Detail::default()
    }
}

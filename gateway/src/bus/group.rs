//! Sessions that make one bus: the line is up when all of them are.

use super::BrokerLimits;
use std::sync::{Arc, Mutex, PoisonError};

/// What is told of a line that is up.
pub(super) type Up = (bool, BrokerLimits);

#[derive(Debug)]
struct State {
    down: usize,
    /// The main session is up, and nobody was told.
    untold: Option<Up>,
}

/// One session of a group.
#[derive(Debug)]
pub(super) struct Member {
    group: Arc<Mutex<State>>,
    main: bool,
    up: bool,
}

impl Member {
    /// A main session with this many others beside it.
    pub(super) fn main_of(others: usize) -> Self {
        let state = State {
            down: others + 1,
            untold: None,
        };
        Self {
            group: Arc::new(Mutex::new(state)),
            main: true,
            up: false,
        }
    }

    /// Another session of the same group.
    pub(super) fn other(&self) -> Self {
        Self {
            group: Arc::clone(&self.group),
            main: false,
            up: false,
        }
    }

    /// This session is up; `Some` is to be told: the line is.
    pub(super) fn up(&mut self, is: Up) -> Option<Up> {
        let mut group = self.group.lock().unwrap_or_else(PoisonError::into_inner);
        if !self.up {
            self.up = true;
            group.down -= 1;
        }
        if self.main {
            group.untold = Some(is);
        }
        if group.down == 0 {
            group.untold.take()
        } else {
            None
        }
    }

    /// This session is down; whether to tell.
    pub(super) fn down(&mut self) -> bool {
        let mut group = self.group.lock().unwrap_or_else(PoisonError::into_inner);
        if self.up {
            self.up = false;
            group.down += 1;
        }
        if self.main {
            group.untold = None;
        }
        self.main
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: BrokerLimits = BrokerLimits {
        max_packet_size: None,
        receive_maximum: 20,
        retain_available: true,
        qos1_available: true,
    };

    #[test]
    fn the_line_is_up_when_every_session_is_and_down_with_the_main_one() {
        let mut main = Member::main_of(2);
        let (mut first, mut second) = (main.other(), main.other());
        let (new, kept) = ((false, LIMITS), (true, LIMITS));
        assert_eq!(main.up(new), None);
        assert_eq!(first.up(kept), None);
        assert_eq!(second.up(kept), Some(new), "what the main session met");
        assert!(!first.down());
        assert_eq!(first.up(kept), None, "told once");
        assert!(main.down());
        assert!(!second.down());
        assert_eq!(main.up(kept), None);
        assert_eq!(second.up(new), Some(kept));
    }
}

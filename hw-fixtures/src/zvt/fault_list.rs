//! The fault list at work: which fault happens now, and what has happened.

use koffer_drivers::payment::zvt::codec::apdu::Control;
use serde::{Deserialize, Serialize};

use super::fault::{CommandName, Cut, Direction, Fault, How, Kind, Per, Step};

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

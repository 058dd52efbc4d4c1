//! Whether a call that a person had to look after could have been told from what the gateway had
//! on record and from the device's own books: the rules of docs/decisions/0009 and of
//! docs/known-gaps.md, applied to the truth instead of to what a driver saw.

use jiff::Timestamp;
use koffer_fixtures::zvt::{Entry, Event, Ledger};

use crate::{
    export::{Recorded, Step},
    schedule::Mishap,
    world::{Incident, printer},
};

/// Contact that was lost for less than that is known to have been ours alone (0009).
const BY_HAND: jiff::SignedDuration = jiff::SignedDuration::from_secs(10);

/// A payment, by the ledger.
pub(crate) fn payment(
    recorded: &Recorded,
    cents: i64,
    ledger: &Ledger,
    incidents: &[Incident],
) -> bool {
    let (Some(armed), Some(resolved)) = (recorded.step("armed"), recorded.resolved_at) else {
        return true;
    };
    let told = recorded
        .milestones()
        .rev()
        .find(|step| step.name.as_deref() == Some("status-information"))
        .filter(|told| told.fact("result") == Some("00"));
    let trace = |step: &Step, name: &str| step.fact(name).and_then(|trace| trace.parse().ok());
    let last_before: Option<u32> = trace(armed, "last-trace");
    let before = ledger.entries().iter().filter(|entry| entry.at < armed.at);
    let had_books = before.into_iter().any(shows);
    let since: Vec<_> = ledger
        .entries()
        .iter()
        .filter(|entry| shows(entry) && entry.trace > last_before.unwrap_or(0))
        .filter(|entry| entry.at <= resolved)
        .collect();
    if told.is_some() {
        // Its own entry, or what took it back, is the last: nothing came after a doubt.
        return true;
    }
    if last_before.is_none() {
        // A new terminal has nothing to compare with; one that has booked before does.
        return had_books;
    }
    match since[..] {
        [one] if one.event == Event::Booked && one.cents == cents => {
            // It stands, and looks like one that was typed in meanwhile, unless contact was lost
            // for a moment only, in one life of the gateway.
            !died(incidents, armed.at, resolved) && resolved.duration_since(armed.at) < BY_HAND
        }
        _ => true,
    }
}

/// A print, by the tray.
pub(crate) fn print(
    recorded: &Recorded,
    device: &str,
    came_out: bool,
    incidents: &[Incident],
) -> bool {
    let (Some(armed), Some(resolved)) = (recorded.step("armed"), recorded.resolved_at) else {
        return true;
    };
    let forgot = incidents.iter().any(|incident| {
        let it = matches!(incident.mishap, Mishap::KillPrinter { number, .. } if printer(number) == device);
        it && incident.overlaps(armed.at, resolved)
    });
    // A printer that was restarted knows nothing of its jobs.
    if forgot {
        return false;
    }
    let steps: Vec<_> = recorded
        .milestones()
        .filter_map(|step| step.name.as_deref())
        .collect();
    // It has printed, and never said that it had the whole document: printers say nowhere how much
    // of it they got.
    let in_doubt = came_out && steps == ["created"];
    let interrupted = incidents.iter().any(|incident| {
        let cut = matches!(incident.mishap, Mishap::CutPrinter(n) if printer(n) == device);
        cut && incident.overlaps(armed.at, resolved)
    });
    !(in_doubt && (interrupted || died(incidents, armed.at, resolved)))
}

/// What 06 20 can show: entries with a receipt.
fn shows(entry: &Entry) -> bool {
    entry.receipt > 0
}

/// Whether the gateway was killed meanwhile.
fn died(incidents: &[Incident], from: Timestamp, until: Timestamp) -> bool {
    incidents.iter().any(|incident| {
        let kills = match incident.mishap {
            // The embedded broker dies with its gateway.
            Mishap::KillGateway { .. }
            | Mishap::KillGatewayAndBroker
            | Mishap::ChangeBroker
            | Mishap::KillBroker { .. } => true,
            Mishap::FullDisk { and_kill, .. } => and_kill,
            _ => false,
        };
        kills && incident.overlaps(from, until)
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const GATEWAY: Mishap = Mishap::KillGateway {
        away_ms: 0,
        starting_ms: None,
    };

    fn printer_at(number: usize) -> Mishap {
        Mishap::KillPrinter { number, away_ms: 0 }
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_000 + second).unwrap()
    }

    fn recorded(steps: &serde_json::Value) -> Recorded {
        serde_json::from_value(json!({
            "call": "pay-1", "accepted_at": at(9), "ended_at": at(20), "effect": "done", "resolved_at": at(30), "steps": steps,
        }))
        .unwrap()
    }

    fn entry(seq: u64, second: i64, event: Event, cents: i64, trace: u32) -> Entry {
        serde_json::from_value(json!({
            "seq": seq, "at": at(second), "event": event, "cents": cents, "receipt": trace, "trace": trace,
        }))
        .unwrap()
    }

    fn killed(second: i64, mishap: Mishap) -> Incident {
        Incident {
            from: at(second),
            until: at(second + 1),
            mishap,
        }
    }

    #[test]
    fn a_payment_that_stands_is_unknowable_only_after_the_gateway_died_before_its_04_0f() {
        let armed = json!({"at": at(10), "step": "armed", "name": "baseline", "content": {"last-trace": "1"}});
        let told = json!({"at": at(11), "step": "milestone", "name": "status-information", "content": {"result": "00"}});
        let before = entry(1, 1, Event::Booked, 500, 1);
        let ours = entry(2, 11, Event::Booked, 700, 2);
        let ledger = Ledger::from_entries(vec![before.clone(), ours]);
        let died = [killed(12, GATEWAY)];
        assert!(!payment(&recorded(&json!([armed])), 700, &ledger, &died));
        assert!(payment(
            &recorded(&json!([armed, told])),
            700,
            &ledger,
            &died
        ));
        let nothing = Ledger::from_entries(vec![before]);
        assert!(payment(&recorded(&json!([armed])), 700, &nothing, &died));
    }

    #[test]
    fn the_first_payment_of_a_new_terminal_has_nothing_to_compare_with() {
        let armed = json!({"at": at(10), "step": "armed", "name": "baseline", "content": {}});
        let ours = entry(1, 11, Event::Booked, 700, 1);
        let died = [killed(12, GATEWAY)];
        let new = Ledger::from_entries(vec![ours.clone()]);
        assert!(!payment(&recorded(&json!([armed])), 700, &new, &died));
        let used = Ledger::from_entries(vec![entry(1, 1, Event::Booked, 5, 1), ours]);
        assert!(payment(&recorded(&json!([armed])), 700, &used, &died));
    }

    #[test]
    fn a_print_is_unknowable_after_a_restart_of_its_printer_or_a_cut_document_that_came_out() {
        let armed = json!({"at": at(10), "step": "armed", "name": "baseline", "content": {}});
        let created = json!({"at": at(10), "step": "milestone", "name": "created", "content": {}});
        let delivered =
            json!({"at": at(11), "step": "milestone", "name": "delivered", "content": {}});
        let cut = recorded(&json!([armed, created]));
        let whole = recorded(&json!([armed, created, delivered]));
        let printer_died = [killed(12, printer_at(0))];
        let other_died = [killed(12, printer_at(1))];
        let gateway_died = [killed(12, GATEWAY)];
        assert!(!print(&whole, "printer-1", true, &printer_died));
        assert!(print(&whole, "printer-1", true, &other_died));
        assert!(print(&whole, "printer-1", true, &gateway_died));
        assert!(!print(&cut, "printer-1", true, &gateway_died));
        assert!(print(&cut, "printer-1", false, &gateway_died));
        assert!(print(&cut, "printer-1", true, &[]));
    }
}

//! A call to a role with two real printers behind it: the clerk keeps working when one fails, and
//! nothing is printed twice.

use koffer_fixtures::ippeveprinter::IppEvePrinter;
use koffer_tests::office::{Broker, Device, Office};
use serde_json::json;
use tempfile::TempDir;

use super::printing::{params, printer, tray};

const PDF: &[u8] = b"%PDF-1.4\n% a form\n%%EOF\n";

struct Counter {
    first: IppEvePrinter,
    second: IppEvePrinter,
    office: Office,
    _folders: [TempDir; 2],
}

async fn counter() -> Counter {
    let (first, one) = printer().await;
    let (second, two) = printer().await;
    let devices = [
        ("printer-1", Device::printer(first.uri())),
        ("printer-2", Device::printer(second.uri())),
    ];
    let office = Office::around(Broker::Embedded, &devices).await;
    Counter {
        first,
        second,
        office,
        _folders: [one, two],
    }
}

#[tokio::test]
async fn a_call_goes_to_the_second_printer_when_the_first_is_out_of_paper() {
    let counter = counter().await;
    let workstation = counter.office.workstation("ws-1").await;
    for device in ["printer-1", "printer-2"] {
        workstation.until_state(device, &["ready"]).await;
    }
    let done = workstation
        .ask("any-printer", "print", &params(PDF), 30)
        .await;
    assert_eq!(
        (&done["status"], &done["device"]),
        (&json!("ok"), &json!("printer-1"))
    );

    counter.first.load_paper(0).await.expect("its web page");
    workstation.until_state("printer-1", &["fault"]).await;
    let done = workstation
        .ask("any-printer", "print", &params(PDF), 30)
        .await;
    assert_eq!(
        (&done["status"], &done["device"]),
        (&json!("ok"), &json!("printer-2"))
    );
    assert_eq!(tray(&counter.first).len(), 1);
    assert_eq!(tray(&counter.second), [PDF]);
    counter.office.close().await;
}

#[tokio::test]
async fn a_call_that_finds_the_tray_just_emptied_goes_on() {
    let counter = counter().await;
    let workstation = counter.office.workstation("ws-1").await;
    for device in ["printer-1", "printer-2"] {
        workstation.until_state(device, &["ready"]).await;
    }
    for _ in 0..5 {
        counter.first.load_paper(0).await.expect("its web page");
        // At once: the gateway may know of it, or the driver learns it with this call.
        let done = workstation
            .ask("any-printer", "print", &params(PDF), 30)
            .await;
        assert_eq!(done["status"], "ok", "{done}");
        assert_eq!(done["device"], "printer-2", "{done}");
        counter.first.load_paper(50).await.expect("its web page");
        workstation.until_state("printer-1", &["ready"]).await;
    }
    assert_eq!(tray(&counter.first).len(), 0);
    assert_eq!(tray(&counter.second).len(), 5);
    counter.office.close().await;
}

#[tokio::test]
async fn a_call_whose_sheet_may_have_come_out_goes_nowhere_else() {
    let mut counter = counter().await;
    let workstation = counter.office.workstation("ws-1").await;
    for device in ["printer-1", "printer-2"] {
        workstation.until_state(device, &["ready"]).await;
    }
    counter.first.set("pages", "2").expect("a control");
    counter.first.set("hold-1", "").expect("a control");
    let mut printing = workstation
        .call("any-printer", "print", &params(PDF), 5)
        .await;
    printing
        .progress(|event| event["event"] == "sheets-completed")
        .await;
    counter.first.kill().expect("it is killed");
    let done = printing.completion().await;
    assert_eq!(done["device"], "printer-1", "{done}");
    assert!(
        ["partial", "unknown"].contains(&done["effect"].as_str().unwrap_or_default()),
        "{done}"
    );
    assert!(tray(&counter.second).is_empty());
    counter.office.close().await;
}

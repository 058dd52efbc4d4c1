//! A document, from a workstation's call to the sheet in the tray, at a real `ippeveprinter`.

use std::path::Path;

use koffer_fixtures::ippeveprinter::IppEvePrinter;
use koffer_proto::Blob;
use koffer_tests::{
    brokers::ROOT,
    ipptool::{HEAD, ask},
    office::{BROKERS, Broker, Device, Office},
    rr::{answer, rr},
};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::retained;

pub(crate) async fn printer() -> (IppEvePrinter, TempDir) {
    let folder = tempfile::tempdir().expect("a folder");
    let printer = IppEvePrinter::start("Forms", folder.path()).await;
    (printer.expect("ippeveprinter"), folder)
}

/// A document of several segments of anything on its way, and within what an argument may be.
fn document() -> Vec<u8> {
    let mut pdf = b"%PDF-1.4\n% a form of the town hall\n".to_vec();
    pdf.extend((0..20_000_u32).flat_map(u32::to_le_bytes));
    pdf.extend(b"\n%%EOF\n");
    pdf
}

pub(crate) fn params(document: &[u8]) -> Value {
    let content = Blob::from(document.to_vec());
    json!({"document": {
        "format": "application/pdf",
        "sha256": content.sha256(),
        "content": content,
    }})
}

pub(crate) fn tray(printer: &IppEvePrinter) -> Vec<Vec<u8>> {
    let files = printer.printed().expect("the tray");
    files.into_iter().map(|(_, content)| content).collect()
}

#[tokio::test]
async fn a_document_is_printed_by_mosquittos_clients_alone_and_known_to_the_printer() {
    for broker in BROKERS {
        let (printer, _folder) = printer().await;
        printer.set("pages", "2").expect("a control");
        let devices = [("forms-printer", Device::printer(printer.uri()))];
        let office = Office::around(broker, &devices).await;
        let user = office.user("ws-1");

        let filter = format!("{ROOT}/dev/forms-printer/state");
        let mut states = user.subscribe(&[&filter], &["-F", "%p"]);
        states.until("\"state\":\"ready\"").await;
        let described = retained(&user, "forms-printer").await;
        assert_eq!(described["class"], "document-printer", "{broker:?}");
        assert_eq!(described["driver"], "ipp");
        assert_eq!(
            described["connection"],
            json!({"kind": "url", "url": printer.uri()})
        );
        assert_eq!(described["operations"]["print"]["effect"], "once");
        let can = &described["capabilities"]["document-printer"];
        assert!(
            can["formats"].to_string().contains("application/pdf"),
            "{described}"
        );

        let document = document();
        let call = params(&document).to_string();
        printer.set("hold-1", "").expect("a control");
        let printing = rr(&user, "ws-1", "forms-printer/print", "form-1", &call);
        let seen = async {
            states.until("\"state\":\"busy\"").await;
            printer.clear("hold-1").expect("a control");
        };
        let (answered, ()) = tokio::join!(printing, seen);
        let done = answer(&answered);
        assert_eq!(done["status"], "ok", "{broker:?}: {done}");
        assert_eq!(done["device"], "forms-printer");
        assert_eq!(done["result"]["sheets"], 2);
        assert_eq!(done["result"]["proof"], "ipp-completed");
        assert!(tray(&printer) == [document.clone()], "{broker:?}");
        states.until("\"state\":\"ready\"").await;

        // The same call again is the same sheet.
        let again = answer(&rr(&user, "ws-1", "forms-printer/print", "form-1", &call).await);
        assert_eq!(again, done);
        assert!(tray(&printer) == [document], "{broker:?}");

        // The printer's own word for it.
        let jobs = ask(
            &printer.uri(),
            &format!(
                "OPERATION Get-Jobs {HEAD} ATTR keyword which-jobs completed \
                 ATTR keyword requested-attributes all STATUS successful-ok \
                 DISPLAY job-id DISPLAY job-name DISPLAY job-originating-user-name DISPLAY job-state"
            ),
        )
        .await;
        let job = &done["result"]["job"];
        let line = format!("{job},case-7/ws-1/form-1,koffer,completed");
        let known: Vec<_> = jobs.lines().skip(1).collect();
        assert_eq!(known, [line], "{broker:?}");
        office.close().await;
    }
}

#[tokio::test]
async fn a_printer_out_of_paper_says_so_to_everybody_and_is_ready_when_it_has_some() {
    let (printer, _folder) = printer().await;
    let devices = [("forms-printer", Device::printer(printer.uri()))];
    let office = Office::around(Broker::Embedded, &devices).await;
    let user = office.user("ws-1");
    let filter = format!("{ROOT}/dev/forms-printer/#");
    let mut told = user.subscribe(&[&filter], &["-F", "%t %p"]);
    told.until("\"state\":\"ready\"").await;
    printer.load_paper(0).await.expect("its web page");
    let mut both = told.until("/event/paper-empty").await;
    if !both.iter().any(|line| line.contains("media-empty")) {
        both.extend(told.until("media-empty").await);
    }
    let refused = params(b"%PDF-1.4\n%%EOF\n").to_string();
    let refused = answer(&rr(&user, "ws-1", "forms-printer/print", "form-1", &refused).await);
    assert_eq!(
        (&refused["status"], &refused["effect"]),
        (&json!("unavailable"), &json!("none"))
    );
    assert!(tray(&printer).is_empty());
    printer.load_paper(50).await.expect("its web page");
    told.until("/event/paper-loaded").await;
    let workstation = office.workstation("ws-2").await;
    let state = workstation.until_state("forms-printer", &["ready"]).await;
    assert_eq!(state["reasons"], json!([]));
    office.close().await;
}

#[tokio::test]
async fn an_ipps_printer_has_to_show_the_certificate_that_was_configured() {
    let (printer, folder) = printer().await;
    // It makes one for itself with the first encrypted connection.
    let certificate = folder.path().join("keys/localhost.crt");
    let uri = printer.uri().replace("ipp://", "ipps://");
    let other =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../gateway/src/config/tests/printer.pem");
    let at = |certificate: &Path| Device::Printer {
        uri: uri.clone(),
        certificate: Some(certificate.to_owned()),
    };
    let office = Office::around(Broker::Embedded, &[("forms-printer", at(&other))]).await;
    let workstation = office.workstation("ws-1").await;
    let state = workstation
        .until_state("forms-printer", &["absent", "fault"])
        .await;
    let reason = state["reasons"].to_string();
    assert!(reason.contains("another certificate"), "{reason}");
    office.close().await;

    let office = Office::around(Broker::Embedded, &[("forms-printer", at(&certificate))]).await;
    let workstation = office.workstation("ws-1").await;
    workstation.until_state("forms-printer", &["ready"]).await;
    let document = document();
    let done = workstation
        .ask("forms-printer", "print", &params(&document), 30)
        .await;
    assert_eq!(done["status"], "ok", "{done}");
    assert!(tray(&printer) == [document]);
    office.close().await;
}

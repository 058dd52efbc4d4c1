//! A file on a chip, from a workstation's call to the card, behind the real pcscd.

use koffer_fixtures::card::{chip::Chip, pcscd::Pcscd, virtual_card::VirtualCard};
use koffer_proto::Blob;
use koffer_tests::{
    brokers::ROOT,
    office::{BROKERS, Device, Office},
    pcsc::{alone, other_program},
    rr::{answer, rr},
};
use serde_json::json;

use super::retained;

const READER: &str = "Virtual PCD 00 00";
const FILE: u16 = 0x0101;
const ADDRESS: &[u8] = b"Marktplatz 1, 12345 Musterstadt";

#[test]
fn a_chip_file_is_written_and_read_by_mosquittos_clients_alone_and_seen_by_other_programs() {
    alone(async |home| {
        let pcscd = Pcscd::start(&home).expect("pcscd");
        for broker in BROKERS {
            let chip = Chip::new("123456").with_file(FILE, vec![b'-'; 2_000]);
            let mut card = VirtualCard::new(chip);
            let devices = [("card-terminal", Device::CardTerminal(READER.to_owned()))];
            let office = Office::around(broker, &devices).await;
            let user = office.user("ws-1");
            let filter = format!("{ROOT}/dev/card-terminal/#");
            let mut told = user.subscribe(&[&filter], &["-F", "%t %p"]);
            told.until("\"state\":\"ready\"").await;
            let described = retained(&user, "card-terminal").await;
            assert_eq!(described["class"], "card-terminal", "{broker:?}");
            assert_eq!(described["driver"], "pcsc");
            assert_eq!(
                described["connection"],
                json!({"kind": "pcsc", "reader": READER})
            );
            assert_eq!(described["operations"]["write"]["effect"], "once");
            card.insert(pcscd.ports()[0]).expect("a slot");
            told.until("/event/card-inserted").await;

            let file = json!({"path": "3f00/0101"});
            let content = Blob::from(ADDRESS.to_vec());
            let write = json!({"file": file, "offset": 400, "content": content}).to_string();
            let written = answer(&rr(&user, "ws-1", "card-terminal/write", "w1", &write).await);
            assert_eq!(written["status"], "ok", "{broker:?}: {written}");
            assert_eq!(
                written["result"],
                json!({"bytes": ADDRESS.len(), "sha256": content.sha256()})
            );
            let holds = card.file(FILE);
            assert_eq!(&holds[400..400 + ADDRESS.len()], ADDRESS);

            // The same call again writes nothing.
            let executed = card.with_chip(|chip| chip.executed());
            let again = answer(&rr(&user, "ws-1", "card-terminal/write", "w1", &write).await);
            assert_eq!(again, written);
            assert_eq!(card.with_chip(|chip| chip.executed()), executed);

            let read = json!({"file": file, "offset": 400, "length": ADDRESS.len()}).to_string();
            let read = answer(&rr(&user, "ws-1", "card-terminal/read", "r1", &read).await);
            assert_eq!(read["result"]["content"], json!(content), "{read}");

            // What others see of the same reader and card.
            let list = other_program("opensc-tool", &["-l"]).expect("a list");
            assert!(list.contains(READER), "{list}");
            let dump = other_program(
                "opensc-tool",
                &[
                    "-r",
                    "0",
                    "-s",
                    "00:A4:00:0C:02:01:01",
                    "-s",
                    "00:B0:01:90:1F",
                ],
            );
            let dump = dump.expect("a dump");
            assert!(dump.contains("Marktplatz 1, 12"), "{dump}");
            let atr = card.with_chip(|chip| chip.atr());
            let atr: Vec<_> = atr.iter().map(|byte| format!("{byte:02X}")).collect();
            let args = ["--preserve-status", "-s", "INT", "2", "pcsc_scan", "-n"];
            let scanned = other_program("timeout", &args).unwrap_or_else(|text| text);
            assert!(scanned.contains(&atr.join(" ")), "{scanned}");

            card.remove();
            told.until("/event/card-removed").await;
            let gone = answer(&rr(&user, "ws-1", "card-terminal/write", "w2", &write).await);
            assert_eq!(
                (&gone["status"], &gone["effect"]),
                (&json!("unavailable"), &json!("none")),
                "{broker:?}: {gone}"
            );
            office.close().await;
        }
    });
}

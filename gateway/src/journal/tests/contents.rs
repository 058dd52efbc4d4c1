//! What is never in the file.

use std::fs;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use jiff::Timestamp;
use koffer_proto::{
    Class, Detail, EffectKind, Request,
    class::gateway::{Finding, Observation},
};
use serde_json::{Value, json};

use super::*;
use crate::{examples, journal::Resolution};

const PAN: &str = "4111111111111111";
const GROUPED: &str = "5500 0055 5555 5559";

/// Everything in the journal's files, byte for byte.
fn bytes(folder: &Folder) -> Vec<u8> {
    let mut all = Vec::new();
    for entry in fs::read_dir(folder.0.path()).unwrap() {
        all.extend(fs::read(entry.unwrap().path()).unwrap());
    }
    all
}

fn holds(haystack: &[u8], needle: &[u8]) -> bool {
    haystack
        .windows(needle.len())
        .any(|window| window == needle)
}

#[track_caller]
fn holds_none_of(folder: &Folder, secrets: &[&[u8]]) {
    let all = bytes(folder);
    for secret in secrets {
        let hex: Vec<_> = secret.iter().map(|byte| format!("{byte:02x}")).collect();
        let hex = hex.concat();
        let forms = [
            secret.to_vec(),
            STANDARD.encode(secret).into_bytes(),
            hex.to_uppercase().into_bytes(),
            hex.into_bytes(),
        ];
        for form in forms {
            let shown = String::from_utf8_lossy(&form).into_owned();
            assert!(!holds(&all, &form), "the file has {shown:?}");
        }
    }
}

#[tokio::test]
async fn a_card_number_is_masked_wherever_it_comes_from() {
    let folder = Folder::new();
    let (journal, _) = folder.start().await;
    journal.accepted(&payment(1)).await.unwrap();
    let effects = journal.effects(CallNo(1), &"till-1".parse().unwrap());
    effects.armed(evidence("baseline", PAN)).await.unwrap();
    effects.started().await.unwrap();
    effects
        .milestone(evidence("status-information", GROUPED))
        .await
        .unwrap();
    let shown = json!({"receipts": [{"lines": [{"text": format!("Karte {PAN}")}]}]});
    let failure = Failure::outcome_unknown(format!("Karte {PAN} weg")).with(Detail {
        evidence: Some(shown),
        ..Detail::default()
    });
    let lost = Completion::failed("till-1".parse().unwrap(), failure);
    journal.finished(CallNo(1), &lost).await.unwrap();

    let secrets: [&[u8]; 3] = [PAN.as_bytes(), GROUPED.as_bytes(), b"411111111111"];
    holds_none_of(&folder, &secrets);
    let found = journal.interrupted(CallNo(1)).await.unwrap().unwrap();
    assert_eq!(
        found.baseline,
        Some(evidence("baseline", "************1111"))
    );
    assert_eq!(
        found.milestones,
        [evidence("status-information", "**** **** **** 5559")]
    );
    journal.close().await;
    holds_none_of(&folder, &secrets);
}

#[tokio::test]
async fn what_names_something_is_kept_whatever_its_digits_look_like() {
    let folder = Folder::new();
    let (journal, _) = folder.start().await;
    // Its last 16 digits and the name of the device pass for card numbers.
    let name = format!("case-7/ws-1/{PAN}");
    journal.accepted(&payment(1)).await.unwrap();
    let effects = journal.effects(CallNo(1), &PAN.parse().unwrap());
    let job = |step| {
        let facts = [
            ("job-name", name.clone()),
            ("salt", PAN.to_owned()),
            ("text", format!("Karte {PAN}")),
        ];
        Evidence::new(step, facts).identified_by(&["job-name", "salt"])
    };
    effects.armed(job("baseline")).await.unwrap();
    effects.started().await.unwrap();
    effects.milestone(job("created")).await.unwrap();
    let found = journal.interrupted(CallNo(1)).await.unwrap().unwrap();
    for evidence in found.baseline.iter().chain(&found.milestones) {
        assert_eq!(evidence.fact("job-name"), Some(&*name));
        assert_eq!(evidence.fact("salt"), Some(PAN));
        assert_eq!(evidence.fact("text"), Some("Karte ************1111"));
    }

    let failure = Failure::outcome_unknown("Lost.");
    let lost = Completion::failed(PAN.parse().unwrap(), failure);
    journal.finished(CallNo(1), &lost).await.unwrap();
    let kept = journal.completion(CallNo(1)).await.unwrap();
    assert_eq!(kept.unwrap().device, Some(PAN.parse().unwrap()));
    let resolution = Resolution {
        by: PAN.parse().unwrap(),
        at: Timestamp::now(),
        finding: Finding::Done,
        observation: Observation::try_from(format!("Karte {GROUPED}")).unwrap(),
    };
    journal
        .resolved(CallNo(1), &resolution, &lost)
        .await
        .unwrap();
    journal.close().await;
    let file = bytes(&folder);
    assert!(holds(&file, format!("\"by\":\"{PAN}\"").as_bytes()));
    assert!(!holds(&file, GROUPED.as_bytes()));
}

#[tokio::test]
async fn a_digest_stays_whole_even_where_it_looks_like_a_card_number() {
    let folder = Folder::new();
    let (journal, _) = folder.start().await;
    journal.accepted(&payment(1)).await.unwrap();
    let effects = journal.effects(CallNo(1), &"till-1".parse().unwrap());
    let digest = format!("{PAN}{}", "ab".repeat(24));
    effects.armed(evidence("file", &digest)).await.unwrap();
    effects.started().await.unwrap();
    let found = journal.interrupted(CallNo(1)).await.unwrap().unwrap();
    assert_eq!(found.baseline, Some(evidence("file", &digest)));
}

/// The contract's example parameters with content that is found again.
fn params(class: Class, operation: &str, content: &[u8]) -> Value {
    let mut params = examples::named(&format!("{class}.{operation}.params"));
    let encoded = STANDARD.encode(content);
    match (class, operation) {
        (Class::DocumentPrinter, "print") => {
            params["document"]["content"] = encoded.into();
            params["document"]["sha256"] = Sha256::of(content).to_string().into();
        }
        (Class::CardTerminal, "write") => params["data"] = encoded.into(),
        (Class::CardTerminal, "transmit") => params["commands"][0]["apdu"] = encoded.into(),
        _ => {}
    }
    params
}

#[tokio::test]
async fn no_document_no_chip_data_and_no_pin_is_in_the_file_after_calls_of_each_class() {
    let content = b"\x00\xa4\x04\x0c%PDF-1.7 Meldebescheinigung Erika Mustermann";
    let answer = b"\x61\x20DG1 MUSTERMANN<<ERIKA";
    let folder = Folder::new();
    let (journal, _) = folder.start().await;
    let mut no = 0;
    let mut with_content = 0;
    for class in Class::ALL.iter().copied() {
        for spec in class.own_operations() {
            if spec.effect != EffectKind::Once {
                continue;
            }
            no += 1;
            let params = params(class, spec.name, content);
            let payload = serde_json::to_vec(&params).unwrap();
            with_content += usize::from(params.to_string().contains(&STANDARD.encode(content)));
            let request = Request::decode(class, spec.name, ContentType::Json, &payload).unwrap();
            let call = AcceptedCall {
                operation: spec,
                digest: request.digest(&"d".parse().unwrap()).unwrap(),
                ..payment(no)
            };
            journal.accepted(&call).await.unwrap();
            let effects = journal.effects(call.no, &"d".parse().unwrap());
            effects.armed(evidence("baseline", "1")).await.unwrap();
            effects.started().await.unwrap();
            let mut response = example(class, spec.name);
            if spec.name == "transmit" {
                let data = STANDARD.encode(answer);
                let result = json!({"complete": true,
                    "responses": [{"data": data, "status_word": "9000"}]});
                let result = result.to_string();
                let read =
                    Response::decode(class, "transmit", ContentType::Json, result.as_bytes());
                response = read.unwrap().unwrap();
            }
            let completion = Completion::ok("d".parse().unwrap(), response.clone());
            journal.finished(call.no, &completion).await.unwrap();
            let cut = Failure::outcome_unknown("").with(Detail::default().with_evidence(&response));
            let cut = Completion::failed("d".parse().unwrap(), cut);
            if spec.confidential {
                journal.finished(call.no, &cut).await.unwrap();
            }
        }
    }
    assert!(no >= 9 && with_content >= 3, "{no} {with_content}");
    let secrets: [&[u8]; 3] = [content, answer, b"Mustermann"];
    holds_none_of(&folder, &secrets);
    journal.close().await;
    holds_none_of(&folder, &secrets);
    assert!(
        holds(&bytes(&folder), b"document-printer"),
        "it is what was looked at"
    );
}

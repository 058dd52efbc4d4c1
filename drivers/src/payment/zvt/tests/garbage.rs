//! Whatever a terminal sends, every call ends, and never as done without proof.

use std::time::Duration;

use koffer_proto::{
    Effect, Request, Status,
    class::payment::{DiagnoseParams, EndOfDayParams, ReceiptParams, StatusParams},
};
use proptest::prelude::*;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, split};

use super::script::{BOOKED, READY, REGISTER, Say, Stage, hex, kept, pay};
use crate::{
    Contact,
    payment::zvt::codec::{
        amount::Amount,
        apdu::Assembler,
        command::{Command, control},
    },
};

/// The call's own ten minutes, what is left to settle, and the short commands before it.
const LONGEST: Duration = Duration::from_mins(12);

/// What the terminal does: bytes, and the milliseconds before them.
type Piece = (Vec<u8>, u64);

fn piece() -> impl Strategy<Value = Piece> {
    let known = prop::sample::select(
        &[
            "8000 00",
            "8483 00",
            "849C 00",
            "04FF 01 0A",
            "04FF 02 04 02",
            "040F 02 27 6C",
            BOOKED,
            BOOKED,
            "06D1 02 00 41",
            "06D1 01 81",
            "060F 00",
            "060F 01 9C",
            "061E 01 6C",
            "061E 00",
            "040F 03 27 00 04",
            "0FA1 00",
        ][..],
    );
    let bytes = prop_oneof![
        6 => known.prop_map(hex),
        1 => prop::collection::vec(any::<u8>(), 0..30),
        1 => (prop::sample::select(&[[0x04, 0x0F], [0x06, 0x0F], [0x06, 0xD3], [0x04, 0xFF]][..]),
              prop::collection::vec(any::<u8>(), 0..40)).prop_map(|(kind, body)| {
            let length = u8::try_from(body.len()).unwrap();
            [&kind[..], &[length], &body].concat()
        }),
    ];
    (bytes, prop_oneof![3 => 0_u64..20, 1 => 0_u64..200_000])
}

async fn babble(line: DuplexStream, pieces: Vec<Piece>, hangs_up: bool) {
    let (mut from, mut to) = split(line);
    let swallow = async {
        let mut sink = [0; 512];
        while from.read(&mut sink).await.is_ok_and(|count| count > 0) {}
    };
    let speak = async {
        for (bytes, pause) in pieces {
            tokio::time::sleep(Duration::from_millis(pause)).await;
            if to.write_all(&bytes).await.is_err() {
                return;
            }
        }
        if !hangs_up {
            std::future::pending::<()>().await;
        }
    };
    tokio::select! {
        () = swallow => {}
        () = speak => {}
    }
}

/// Whether a 06 0F follows a 04 0F with result 00 and the amount asked for.
fn could_be_booked(pieces: &[Piece]) -> bool {
    let bytes: Vec<u8> = pieces.iter().flat_map(|(bytes, _)| bytes.clone()).collect();
    let mut booked = false;
    for apdu in Assembler::default().feed(&bytes) {
        match Command::decode(apdu.clone()) {
            Ok(Command::StatusInformation(fields)) => {
                let amount = fields.amount().map(Amount::minor);
                booked |= fields.result() == Some(0) && amount == Some(3780);
            }
            // One with a field that nobody knows is still the end.
            _ if booked && apdu.control() == control::COMPLETION => return true,
            _ => {}
        }
    }
    false
}

fn greeting() -> Vec<Piece> {
    let steps = [REGISTER, READY].concat();
    let said = steps.iter().filter_map(|step| match step {
        Say(bytes) => Some((hex(bytes), 1)),
        _ => None,
    });
    said.collect()
}

fn play(request: Request, pieces: &[Piece], hangs_up: bool) -> (Status, Effect, Duration, bool) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .start_paused(true)
        .build()
        .unwrap();
    runtime.block_on(async {
        let mut stage = Stage::new(kept());
        let line = stage.line();
        let terminal = tokio::spawn(babble(line, pieces.to_vec(), hangs_up));
        let played = stage.run(request).await;
        terminal.abort();
        let (status, effect) = played.ended();
        let kept = played.finished.contact == Contact::Kept;
        (status, effect, played.took, kept)
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn any_stream_ends_a_payment_in_time_and_never_as_booked_without_proof(
        pieces in prop::collection::vec(piece(), 0..14), polite in any::<bool>(), hangs_up in any::<bool>(),
    ) {
        let mut all = if polite { greeting() } else { Vec::new() };
        all.extend(pieces);
        let (status, effect, took, kept) = play(pay(), &all, hangs_up);
        prop_assert!(took <= LONGEST, "{took:?}");
        if status == Status::Ok {
            prop_assert!(could_be_booked(&all));
        }
        prop_assert!(status != Status::OutcomeUnknown || (effect == Effect::Unknown && !kept));
        if effect == Effect::None {
            prop_assert!(status != Status::OutcomeUnknown);
        }
    }

    #[test]
    fn any_stream_ends_every_other_operation_in_time(
        pieces in prop::collection::vec(piece(), 0..10), hangs_up in any::<bool>(), which in 0..4,
    ) {
        let request: Request = match which {
            0 => StatusParams {}.into(),
            1 => DiagnoseParams {}.into(),
            2 => ReceiptParams {}.into(),
            _ => EndOfDayParams {}.into(),
        };
        let mut all = greeting();
        all.extend(pieces);
        let (status, effect, took, _) = play(request, &all, hangs_up);
        prop_assert!(took <= LONGEST, "{took:?}");
        prop_assert!(which == 3 || status == Status::Ok || effect == Effect::None);
    }
}

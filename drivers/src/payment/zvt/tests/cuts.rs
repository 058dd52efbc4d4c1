//! The line is cut after every byte, in both directions.

use koffer_proto::{
    Effect, Request,
    class::payment::{EndOfDayParams, ReverseParams},
};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};

use super::script::{
    ACK, BOOKED, DONE, Hear, PAYMENT, READY, REGISTER, Say, Silent, Stage, Step, TAKEN, hex, kept,
    pay, script,
};
use crate::Contact;

const REVERSAL: &[Step] = &[
    Hear("0630 06 123456 87 0231"),
    TAKEN,
    Say(BOOKED),
    ACK,
    Say("06D1 04 00 426172"),
    ACK,
    DONE,
    ACK,
];

const CLOSING: &[Step] = &[
    Hear("0650 03 123456"),
    TAKEN,
    Say("04FF 01 0F"),
    ACK,
    Say("040F 09 27 00 04 000000003780"),
    ACK,
    DONE,
    ACK,
];

#[derive(Debug, Clone, Copy)]
enum Cut {
    Said(usize),
    Heard(usize),
}

/// Plays the script until so many bytes were said or heard, then hangs up.
async fn play_until(mut line: DuplexStream, steps: &[Step], cut: Cut) {
    let (mut said, mut heard) = (0, 0);
    let over = |said, heard| match cut {
        Cut::Said(limit) => said >= limit,
        Cut::Heard(limit) => heard >= limit,
    };
    for step in steps {
        match step {
            Hear(expected) => {
                for byte in hex(expected) {
                    if over(said, heard) {
                        return;
                    }
                    assert_eq!(line.read_u8().await.unwrap(), byte);
                    heard += 1;
                }
            }
            Say(bytes) => {
                for byte in hex(bytes) {
                    if over(said, heard) {
                        return;
                    }
                    line.write_u8(byte).await.unwrap();
                    said += 1;
                }
            }
            Silent(_) => {}
        }
    }
}

fn count(steps: &[Step], of: fn(&Step) -> Option<&'static str>) -> usize {
    steps
        .iter()
        .filter_map(of)
        .map(|bytes| hex(bytes).len())
        .sum()
}

fn said(step: &Step) -> Option<&'static str> {
    match step {
        Say(bytes) => Some(bytes),
        _ => None,
    }
}

fn heard(step: &Step) -> Option<&'static str> {
    match step {
        Hear(bytes) => Some(bytes),
        _ => None,
    }
}

/// What must come of a cut there: nothing before the command, everything after 06 0F, and
/// nobody knows in between.
fn expected(before: &[Step], command: &[Step], cut: Cut) -> Effect {
    let (at, begun, done) = match cut {
        Cut::Said(at) => {
            let begun = count(before, said) + 1;
            (at, begun, begun - 1 + count(command, said))
        }
        Cut::Heard(at) => {
            // The command follows the last acknowledgement without a pause: once that has begun to
            // arrive, the command may be on its way. And it begins after 06 0F was said.
            let begun = count(before, heard) - 2;
            (at, begun, begun + count(command, heard))
        }
    };
    match at {
        at if at >= done => Effect::Done,
        at if at >= begun => Effect::Unknown,
        _ => Effect::None,
    }
}

async fn cut_everywhere(request: Request, command: &'static [Step]) {
    let before = script(&[REGISTER, READY]);
    let steps = script(&[&before, command]);
    let cuts = (0..=count(&steps, said))
        .map(Cut::Said)
        .chain((0..=count(&steps, heard)).map(Cut::Heard));
    for cut in cuts {
        let mut stage = Stage::new(kept());
        let line = stage.line();
        let played_steps = steps.clone();
        let terminal = tokio::spawn(async move { play_until(line, &played_steps, cut).await });
        let played = stage.run(request.clone()).await;
        terminal.await.unwrap();
        assert_eq!(played.ended().1, expected(&before, command, cut), "{cut:?}");
        let lost = matches!(played.finished.contact, Contact::Lost(_));
        assert_eq!(lost, played.ended().1 != Effect::Done, "{cut:?}");
        // Whatever happened, the next call works.
        stage.terminal(steps.clone());
        assert_eq!(
            stage.run(request.clone()).await.ended().1,
            Effect::Done,
            "{cut:?}"
        );
        stage.all_said().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_payment_cut_at_any_byte_ends_with_the_effect_that_is_certain() {
    cut_everywhere(pay(), PAYMENT).await;
}

#[tokio::test(start_paused = true)]
async fn a_reversal_cut_at_any_byte_ends_with_the_effect_that_is_certain() {
    let reversal = ReverseParams {
        receipt: 231.try_into().unwrap(),
        amount: None,
    };
    cut_everywhere(reversal.into(), REVERSAL).await;
}

#[tokio::test(start_paused = true)]
async fn a_closing_cut_at_any_byte_ends_with_the_effect_that_is_certain() {
    cut_everywhere(EndOfDayParams {}.into(), CLOSING).await;
}

//! A payment over a serial line: a real PTY, and frames that get lost.

use koffer_proto::{Effect, Status};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, duplex};
use tokio_serial::{SerialPort, SerialStream};

use super::script::{
    Hear, PAYMENT, READY, REGISTER, Say, Silent, Stage, Step, config, hex, pay, script,
};
use crate::{
    Driver,
    payment::zvt::{
        Address,
        codec::{
            apdu::Apdu,
            frame::{self, Decoder, Event},
        },
        driver::Zvt,
        link::Link,
    },
};

/// How the terminal treats the first writing of each frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mood {
    Attentive,
    /// Answers it with NAK, takes the second, and spoils the first writing of its own.
    Disturbed,
    /// Takes it, but its ACK gets lost.
    AckLost,
}

/// The next frame, without its acknowledgement.
async fn frame(line: &mut (impl AsyncRead + Unpin), decoder: &mut Decoder) -> Event {
    loop {
        let byte = line.read_u8().await.unwrap();
        if let Some(event) = decoder.push(byte) {
            return event;
        }
    }
}

async fn terminal(mut line: impl AsyncRead + AsyncWrite + Unpin, steps: Vec<Step>, mood: Mood) {
    let mut decoder = Decoder::default();
    for step in steps {
        match step {
            Hear(expected) => {
                let expected = Event::Frame(Apdu::from_bytes(&hex(expected)).unwrap());
                assert_eq!(frame(&mut line, &mut decoder).await, expected);
                match mood {
                    Mood::Attentive => line.write_u8(frame::ACK).await.unwrap(),
                    Mood::AckLost => {}
                    Mood::Disturbed => {
                        line.write_u8(frame::NAK).await.unwrap();
                        assert_eq!(frame(&mut line, &mut decoder).await, expected);
                        line.write_u8(frame::ACK).await.unwrap();
                    }
                }
            }
            Say(said) => {
                let bytes = frame::encode(&Apdu::from_bytes(&hex(said)).unwrap());
                if mood == Mood::Disturbed {
                    let mut spoilt = bytes.clone();
                    *spoilt.last_mut().unwrap() ^= 0xFF;
                    line.write_all(&spoilt).await.unwrap();
                    assert_eq!(frame(&mut line, &mut decoder).await, Event::Nak);
                }
                line.write_all(&bytes).await.unwrap();
                assert_eq!(frame(&mut line, &mut decoder).await, Event::Ack);
            }
            Silent(seconds) => {
                tokio::time::sleep(std::time::Duration::from_secs(seconds)).await;
            }
        }
    }
}

#[tokio::test]
async fn a_payment_over_a_pty_has_the_same_messages_in_frames() {
    let (far, near) = SerialStream::pair().unwrap();
    let path = near.name().unwrap();
    let playing = tokio::spawn(terminal(
        far,
        script(&[REGISTER, READY, READY, PAYMENT]),
        Mood::Attentive,
    ));
    let mut config = config();
    config.endpoint = Address::Serial { path, baud: 9_600 };
    let mut stage = Stage::new(config.clone());
    stage.driver = Zvt::new(config.clone(), std::sync::Arc::new(config.endpoint));
    let opened = stage.driver.open().await.unwrap();
    assert_eq!(opened.identity.serial.as_deref(), Some("68000123"));
    assert_eq!(stage.run(pay()).await.ended(), (Status::Ok, Effect::Done));
    playing.await.unwrap();
    drop(near);
}

#[tokio::test(start_paused = true)]
async fn a_disturbed_line_costs_repeats_and_nothing_else() {
    for mood in [Mood::Attentive, Mood::Disturbed] {
        let mut stage = Stage::new(config());
        let (near, far) = duplex(4096);
        stage.lines.push_front(Link::framed(near));
        let playing = tokio::spawn(terminal(far, script(&[REGISTER, READY, PAYMENT]), mood));
        let played = stage.run(pay()).await;
        assert_eq!(played.ended(), (Status::Ok, Effect::Done), "{mood:?}");
        playing.await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn a_lost_acknowledgement_never_writes_a_payment_or_an_80_00_twice() {
    let mut stage = Stage::new(config());
    let (near, far) = duplex(4096);
    stage.lines.push_front(Link::framed(near));
    // The terminal asserts that each frame comes exactly once.
    let steps = script(&[REGISTER, READY, PAYMENT]);
    let playing = tokio::spawn(terminal(far, steps, Mood::AckLost));
    let played = stage.run(pay()).await;
    assert_eq!(played.ended(), (Status::Ok, Effect::Done));
    // The terminal's own T3 must not run out meanwhile.
    assert!(played.took.as_secs() < 30, "{:?}", played.took);
    playing.await.unwrap();
}

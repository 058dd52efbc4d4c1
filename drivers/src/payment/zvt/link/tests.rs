//! What is written again, what is dropped, and how long anything is waited for.

use std::time::Duration;

use tokio::io::{DuplexStream, duplex};

use super::*;
use crate::payment::zvt::codec::frame;

fn enquiry() -> Apdu {
    Apdu::from_bytes(&[0x05, 0x01, 0x00]).unwrap()
}

fn framed() -> (Link, DuplexStream) {
    let (near, far) = duplex(4096);
    (Link::framed(near), far)
}

/// How often the frame is written if the peer answers each time with this, and what is said of it.
async fn written(repeat: Repeat, answer: Option<u8>) -> (usize, Result<(), Broken>, Duration) {
    let (mut link, mut far) = framed();
    let expected = frame::encode(&enquiry());
    let length = expected.len();
    let peer = tokio::spawn(async move {
        let (mut bytes, mut times) = (vec![0; length], 0);
        while far.read_exact(&mut bytes).await.is_ok() {
            assert_eq!(bytes, expected);
            times += 1;
            if let Some(byte) = answer {
                far.write_all(&[byte]).await.unwrap();
            }
        }
        times
    });
    let begun = Instant::now();
    let sent = link.send(&enquiry(), repeat).await;
    let took = begun.elapsed();
    drop(link);
    (peer.await.unwrap(), sent, took)
}

#[tokio::test(start_paused = true)]
async fn a_refused_frame_is_repeated_twice_and_an_unanswered_one_only_if_it_is_harmless() {
    use Repeat::{OnNak, OnNakOrSilence};
    let nak = Some(frame::NAK);
    for (repeat, answer, times, sent) in [
        (OnNak, Some(frame::ACK), 1, Ok(())),
        (OnNak, nak, 3, Err(Broken::NotAccepted)),
        (OnNakOrSilence, nak, 3, Err(Broken::NotAccepted)),
        (OnNakOrSilence, None, 3, Err(Broken::Unacknowledged)),
        (OnNak, None, 1, Ok(())),
    ] {
        let (were, came, took) = written(repeat, answer).await;
        assert_eq!((were, came), (times, sent), "{repeat:?} {answer:?}");
        let silences = if answer.is_none() { times } else { 0 };
        assert_eq!(took.as_secs(), 5 * u64::try_from(silences).unwrap());
    }
}

#[tokio::test(start_paused = true)]
async fn a_nak_that_an_ack_follows_was_noise() {
    let (mut link, mut far) = framed();
    let peer = tokio::spawn(async move {
        let mut bytes = [0; 9];
        far.read_exact(&mut bytes[..8]).await.unwrap();
        far.write_all(&[frame::NAK]).await.unwrap();
        tokio::time::sleep(Duration::from_millis(100)).await;
        far.write_all(&[frame::ACK]).await.unwrap();
        far.read(&mut bytes).await.unwrap()
    });
    assert_eq!(link.send(&enquiry(), Repeat::OnNak).await, Ok(()));
    drop(link);
    // Whatever of the frame was left, and no second one.
    assert!(peer.await.unwrap() < 8);
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_came_before_the_frame_is_none() {
    let (mut link, mut far) = framed();
    far.write_all(&[frame::NAK, frame::ACK]).await.unwrap();
    let begun = Instant::now();
    assert_eq!(link.send(&enquiry(), Repeat::OnNak).await, Ok(()));
    assert_eq!(begun.elapsed(), timing::T2);
}

#[tokio::test(start_paused = true)]
async fn a_frame_that_stops_for_t1_is_dropped_and_its_repeat_is_taken() {
    let (mut link, mut far) = framed();
    let bytes = frame::encode(&enquiry());
    far.write_all(&bytes[..5]).await.unwrap();
    let peer = tokio::spawn(async move {
        tokio::time::sleep(timing::T1 + Duration::from_millis(10)).await;
        far.write_all(&bytes).await.unwrap();
        let mut ack = [0];
        far.read_exact(&mut ack).await.unwrap();
        ack[0]
    });
    assert_eq!(link.receive().await, Ok(enquiry()));
    assert_eq!(peer.await.unwrap(), frame::ACK);
}

#[tokio::test(start_paused = true)]
async fn on_tcp_a_message_may_come_in_pieces_but_not_stand_still() {
    let (near, mut far) = duplex(64);
    let mut link = Link::bare(near);
    let peer = tokio::spawn(async move {
        for byte in [0x05, 0x01, 0x00, 0x06, 0x0F] {
            tokio::time::sleep(Duration::from_secs(4)).await;
            far.write_all(&[byte]).await.unwrap();
        }
        far
    });
    assert_eq!(link.receive().await, Ok(enquiry()));
    let begun = Instant::now();
    assert_eq!(link.receive().await, Err(Broken::Stalled));
    assert_eq!(begun.elapsed(), Duration::from_secs(8) + timing::PIECE);
    drop(peer.await.unwrap());
}

#[tokio::test(start_paused = true)]
async fn what_was_said_before_hanging_up_is_heard() {
    let (near, mut far) = duplex(64);
    let mut link = Link::bare(near);
    far.write_all(&enquiry().to_bytes()).await.unwrap();
    drop(far);
    assert_eq!(link.receive().await, Ok(enquiry()));
    assert_eq!(link.receive().await, Err(Broken::Closed));
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_stops_reading_does_not_hold_the_sender() {
    let (near, _far) = duplex(2);
    let mut link = Link::bare(near);
    let sent = link.send(&enquiry(), Repeat::OnNak).await;
    assert_eq!(sent, Err(Broken::Stalled));
}

#[test]
fn a_serial_line_is_8n2_without_flow_control() {
    let settings = line_settings("/dev/ttyS0", 9_600);
    let expected = tokio_serial::new("/dev/ttyS0", 9_600).stop_bits(tokio_serial::StopBits::Two);
    assert_eq!(settings, expected);
    assert_ne!(settings, tokio_serial::new("/dev/ttyS0", 9_600));
}

//! What happens in the reader itself: PINs on its pad, and PACE.

use std::time::Duration;

use koffer_proto::{
    Detail, Effect, Failure, Lang, ProgressEvent, Status,
    class::card_terminal::{
        PaceDone, PaceParams, PacePassword, PinChanged, PinReference, PinVerified,
    },
};
use tokio::time::Instant;

use super::{Halt, Loss, Pcsc, Session};
use crate::{
    Call,
    card::{
        iso7816::{Response, StatusWord},
        pcsc::{
            endings,
            features::{PaceOutput, PaceResult, modify_structure, pace_input, verify_structure},
            timing,
        },
    },
};

/// The reader's own words for what happens at its pad (PC/SC part 10, 2.5.2).
const PAD_TIMED_OUT: u16 = 0x6400;
const PAD_CANCELLED: u16 = 0x6401;
const PINS_DIFFER: u16 = 0x6402;
const PIN_LENGTH: u16 = 0x6403;

impl Pcsc {
    pub(super) async fn verify_pin(
        &mut self,
        pin: &PinReference,
        call: &Call,
    ) -> Result<PinVerified, Halt> {
        let pad = self.pad(pin, 1, call, |session| session.features.verify_pin);
        let (code, seconds) = pad.await?;
        let structure = verify_structure(pin, seconds, call.lang);
        let status_word = self.at_the_pad(code, structure, seconds, 1, call).await?;
        Ok(PinVerified { status_word })
    }

    pub(super) async fn change_pin(
        &mut self,
        pin: &PinReference,
        call: &Call,
    ) -> Result<PinChanged, Halt> {
        let pad = self.pad(pin, 3, call, |session| session.features.modify_pin);
        let (code, seconds) = pad.await?;
        let structure = modify_structure(pin, seconds, call.lang);
        let status_word = self.at_the_pad(code, structure, seconds, 3, call).await?;
        Ok(PinChanged { status_word })
    }

    /// The feature's code, and the seconds that a person has for each entry, so that all of them
    /// fit into the call.
    async fn pad(
        &mut self,
        pin: &PinReference,
        entries: u64,
        call: &Call,
        feature: impl Fn(&Session) -> Option<u32>,
    ) -> Result<(u32, u8), Halt> {
        if pin.min_length > pin.max_length {
            let (de, en) = ("größer als max_length", "more than max_length");
            return Err(endings::bad_field(call.lang, "pin.min_length", de, en).into());
        }
        let session = self.held_card(call).await?;
        let code = feature(&session).ok_or_else(|| {
            endings::unsupported(
                call.lang,
                "no-pin-pad",
                "Dieser Leser hat kein geeignetes Tastenfeld.",
                "This reader has no suitable PIN pad.",
            )
        })?;
        let left = call.deadline.saturating_duration_since(Instant::now());
        let left = left.saturating_sub(timing::PAD_GRACE).as_secs();
        let seconds = u8::try_from(left / entries).unwrap_or(u8::MAX);
        let seconds = seconds.min(timing::PAD_SECONDS);
        if seconds < timing::PAD_SECONDS_MIN {
            return Err(endings::stopped(crate::Stop::Deadline, call.lang).into());
        }
        Ok((code, seconds))
    }

    async fn at_the_pad(
        &mut self,
        code: u32,
        structure: Vec<u8>,
        seconds: u8,
        entries: u32,
        call: &Call,
    ) -> Result<String, Halt> {
        ask_person(call).await;
        let limit = Duration::from_secs(seconds.into()) * entries + timing::PAD_GRACE;
        let answer = self.control(code, structure, limit, call).await;
        let bytes = answer.map_err(|loss| cut_off(loss, call.lang))?;
        let Ok(Response { status_word, .. }) = Response::parse(&bytes) else {
            return Err(cut_off(Loss::Malformed, call.lang));
        };
        if status_word.is_success() {
            Ok(status_word.to_string())
        } else {
            Err(pin_failure(status_word, call.lang).into())
        }
    }

    pub(super) async fn pace(
        &mut self,
        params: &PaceParams,
        call: &Call,
    ) -> Result<PaceDone, Halt> {
        if params.can.is_some() && params.password != PacePassword::Can {
            let (de, en) = ("nur mit password = can", "only with password = can");
            return Err(endings::bad_field(call.lang, "can", de, en).into());
        }
        let bytes = |blob: &Option<koffer_proto::Blob>| {
            blob.as_ref()
                .map_or_else(Vec::new, |blob| blob.as_bytes().to_vec())
        };
        let secret = params.can.as_ref().map_or("", |can| can.as_str());
        let (chat, description) = (bytes(&params.chat), bytes(&params.certificate_description));
        let input = pace_input(params.password, &chat, secret.as_bytes(), &description);
        let input = input.map_err(|too_long| {
            let (de, en) = ("zu lang für den Leser", "too long for the reader");
            endings::bad_field(call.lang, too_long.0, de, en)
        })?;
        let session = self.held_card(call).await?;
        let code = session.features.pace.ok_or_else(|| {
            endings::unsupported(
                call.lang,
                "no-pace",
                "Dieser Leser unterstützt PACE nicht.",
                "This reader does not support PACE.",
            )
        })?;
        if secret.is_empty() {
            ask_person(call).await;
        }
        let answer = self.control(code, input, timing::PACE, call).await;
        let bytes = answer.map_err(|loss| cut_off(loss, call.lang))?;
        let Ok(output) = PaceOutput::parse(&bytes) else {
            return Err(cut_off(Loss::Malformed, call.lang));
        };
        match output.result {
            PaceResult::Established => Ok(PaceDone {
                status_word: StatusWord(output.status_word.unwrap_or(0x9000)).to_string(),
                card_access: output.card_access.into(),
                car: output.car.into(),
                previous_car: output.previous_car.into(),
                id_icc: output.id_icc.into(),
            }),
            PaceResult::Aborted => Err(pin_failure(StatusWord(PAD_CANCELLED), call.lang).into()),
            PaceResult::TimedOut => Err(pin_failure(StatusWord(PAD_TIMED_OUT), call.lang).into()),
            PaceResult::NoCard => {
                self.let_go_of_card();
                Err(Loss::Removed.without_effect(call.lang))
            }
            PaceResult::Refused(word) => Err(pin_failure(StatusWord(word), call.lang).into()),
            PaceResult::Failed(code) => {
                let message = endings::pick(
                    call.lang,
                    format!("PACE im Leser ist fehlgeschlagen ({code:08x})."),
                    format!("PACE in the reader failed ({code:08x})."),
                );
                let detail = Detail {
                    device_code: Some(format!("{code:08x}")),
                    ..endings::caused("pace-failed")
                };
                Err(Failure::without_effect(Status::DeviceFault, message)
                    .with(detail)
                    .into())
            }
        }
    }
}

async fn ask_person(call: &Call) {
    let text = endings::pick(
        call.lang,
        "Bitte am Kartenleser eingeben und bestätigen.",
        "Please type at the card reader and confirm.",
    );
    call.progress(ProgressEvent::TerminalText {
        code: "enter-pin".to_owned(),
        text,
    })
    .await;
}

/// Contact was lost at the pad: whether a try was used, or the PIN changed, is not known.
fn cut_off(loss: Loss, lang: Lang) -> Halt {
    let message = endings::pick(
        lang,
        format!(
            "{} Ob die Eingabe übernommen wurde, ist nicht bekannt.",
            loss.text().de
        ),
        format!(
            "{} Whether the entry was accepted is not known.",
            loss.text().en
        ),
    );
    let failure = Failure::unfinished(Status::DeviceFault, Effect::Unknown, message);
    loss.ends(failure.with(loss.detail()))
}

fn pin_failure(word: StatusWord, lang: Lang) -> Failure {
    let (status, cause, de, en) = match (word.0, word.tries_left()) {
        (PAD_TIMED_OUT, _) => (
            Status::TimedOut,
            "pad-timeout",
            "Es wurde nichts eingegeben.".to_owned(),
            "Nothing was typed.".to_owned(),
        ),
        (PAD_CANCELLED, _) => (
            Status::Cancelled,
            "cancelled-at-pad",
            "Am Leser abgebrochen.".to_owned(),
            "Cancelled at the reader.".to_owned(),
        ),
        (PINS_DIFFER, _) => (
            Status::Declined,
            "pins-differ",
            "Die beiden neuen PINs sind verschieden.".to_owned(),
            "The two new PINs differ.".to_owned(),
        ),
        (PIN_LENGTH, _) => (
            Status::Declined,
            "pin-length",
            "Die PIN ist zu kurz oder zu lang.".to_owned(),
            "The PIN is too short or too long.".to_owned(),
        ),
        (_, Some(0)) => (
            Status::Declined,
            "pin-blocked",
            "Die PIN ist gesperrt.".to_owned(),
            "The PIN is blocked.".to_owned(),
        ),
        (_, Some(tries)) => (
            Status::Declined,
            "wrong-pin",
            format!("Falsche Eingabe. Verbleibende Versuche: {tries}."),
            format!("Wrong entry. {tries} tries are left."),
        ),
        _ => (
            Status::Declined,
            "card-refused",
            format!("Die Karte hat abgelehnt ({word})."),
            format!("The card refused ({word})."),
        ),
    };
    Failure::without_effect(status, endings::pick(lang, de, en)).with(endings::coded(cause, word))
}

//! What became of a write or a batch that was interrupted. The card is read, never written.

use koffer_proto::{
    Detail, Effect, Failure, Outcome, Reason, Response, Sha256, Status, Text,
    class::card_terminal::{self, Written},
};
use pcsc::Protocols;
use tokio::time::{Instant, sleep, timeout};

use super::{Loss, Pcsc};
use crate::{
    Call, Fault, Interrupted, Reconciled,
    card::pcsc::{
        endings,
        file::{Holds, Reach, Read},
        record::{KeptBatch, KeptWrite},
        timing,
    },
};

/// A write that is asked about, and how it broke off.
struct Asked<'a> {
    kept: &'a KeptWrite,
    event: Text,
}

/// What the card in the reader says.
enum Said {
    /// Whether it is the card (`None`: nobody can tell), and what the region holds.
    Region(Option<bool>, Vec<u8>),
    /// It is another card.
    NotIt,
    /// It does not let itself be read.
    Unreadable,
}

impl Pcsc {
    pub(super) async fn ask_back(&mut self, interrupted: &Interrupted) -> Reconciled {
        let (write, batch) = (KeptWrite::read(interrupted), KeptBatch::read(interrupted));
        let event = self.event(interrupted);
        match (write, batch) {
            (Some(kept), _) => {
                let kept = Asked { kept: &kept, event };
                self.ask_card(&kept, interrupted).await
            }
            (None, Some(kept)) => Reconciled::Undecided(in_doubt(&kept, &event)),
            (None, None) => Reconciled::Undecided(no_records()),
        }
    }

    /// Remembers how a call broke off, for the sentence about it.
    pub(super) fn note_broken_off(&mut self, loss: Loss, call: &Call) {
        self.broken_off = Some((call.id.clone(), call.client.clone(), loss));
    }

    /// How a call broke off, as a beginning of a sentence; another life of the driver did not see
    /// it.
    fn event(&self, interrupted: &Interrupted) -> Text {
        let of_this = self
            .broken_off
            .as_ref()
            .filter(|(call, client, _)| (call, client) == (&interrupted.id, &interrupted.client));
        of_this.map_or_else(
            || Text::new("Der Aufruf wurde unterbrochen", "The call was interrupted"),
            |(_, _, loss)| loss.event(),
        )
    }

    async fn ask_card(&mut self, kept: &Asked<'_>, interrupted: &Interrupted) -> Reconciled {
        self.until_there_is_a_card().await;
        let call = Call::left_of(interrupted, Instant::now() + timing::COMPARE);
        let give_up = Instant::now() + timing::CARD_BACK;
        let said = loop {
            match self.look_at(kept.kept, &call).await {
                // Nothing is written, so it may be asked anew.
                Err(Loss::Reset | Loss::Malformed | Loss::Other(_)) if Instant::now() < give_up => {
                    sleep(timing::CARD_PAUSE).await;
                }
                said => break said,
            }
        };
        self.done_with_card(true, &call).await;
        match said {
            Ok(said) => judged(kept, &said, interrupted),
            Err(Loss::Removed) => Reconciled::Undecided(card_absent(kept)),
            // The reader is there and of no use to anybody until the other program lets go.
            Err(Loss::InUse) => {
                let text = Loss::InUse.text();
                Reconciled::Lost(Fault::new(Loss::InUse.keyword(), text.de, text.en))
            }
            Err(loss) => match loss.fault() {
                Some(fault) => Reconciled::Lost(fault),
                None => Reconciled::Undecided(unreadable(kept, loss.keyword())),
            },
        }
    }

    async fn look_at(&mut self, kept: &KeptWrite, call: &Call) -> Result<Said, Loss> {
        self.take_card(Protocols::ANY, call).await?;
        self.recognise(call).await?;
        let Some(session) = self.session() else {
            return Err(Loss::Removed);
        };
        let is_it = kept.is_of(session.mark.as_ref());
        if is_it == Some(false) {
            // Nobody's business what another card holds.
            return Ok(Said::NotIt);
        }
        let mut read = Read::new(&kept.address, kept.span, Reach::of(session.card));
        self.follow(&mut read, call).await?;
        Ok(match read.into_content() {
            Ok(region) => Said::Region(is_it, region),
            Err(_) => Said::Unreadable,
        })
    }

    async fn until_there_is_a_card(&self) {
        let (Some(monitor), Some(reader)) = (&self.monitor, &self.reader) else {
            return;
        };
        let mut sight = monitor.sight();
        let there = sight.wait_for(|sight| {
            let card = sight.readers.get(&reader.name);
            card.is_some_and(|card| card.present)
        });
        // Without one, taking it says so.
        let _ = timeout(timing::CARD_BACK, there).await;
    }
}

fn judged(kept: &Asked<'_>, said: &Said, interrupted: &Interrupted) -> Reconciled {
    let (is_it, region) = match said {
        Said::Region(is_it, region) => (is_it, region),
        Said::NotIt => return Reconciled::Undecided(another_card(kept)),
        Said::Unreadable => return Reconciled::Undecided(unreadable(kept, "file-unreadable")),
    };
    let holds = kept.kept.holds(region);
    if *is_it != Some(true) {
        return Reconciled::Undecided(not_recognised(kept, holds));
    }
    let lang = interrupted.lang;
    let failed = |effect, de: String, en: String, completed: usize| {
        let message = endings::pick(lang, de, en);
        let failure = Failure::unfinished(Status::Cancelled, effect, message).with(Detail {
            completed: Some(completed as u64),
            ..endings::caused("gateway-interrupted")
        });
        Reconciled::Settled(Outcome::Failed(failure))
    };
    match holds {
        Some(Holds::New) => {
            let written = Written {
                bytes: u32::try_from(region.len()).unwrap_or(u32::MAX),
                sha256: Sha256::of(region),
            };
            let response = card_terminal::Response::Write(written);
            Reconciled::Settled(Outcome::Ok(Response::CardTerminal(response)))
        }
        Some(Holds::Old) => failed(
            Effect::None,
            format!("{}. Die Datei ist unverändert.", kept.event.de),
            format!("{}. The file is unchanged.", kept.event.en),
            0,
        ),
        Some(Holds::Some(bytes)) => failed(
            Effect::Partial,
            format!(
                "{}. Die Datei ist nur teilweise geschrieben ({bytes} Bytes).",
                kept.event.de
            ),
            format!(
                "{}. The file is written only in part ({bytes} bytes).",
                kept.event.en
            ),
            bytes,
        ),
        None => Reconciled::Undecided(reason(
            "file-differs",
            kept,
            "Sie enthält weder den alten Inhalt noch den Anfang des neuen.",
            "It contains neither the old content nor the beginning of the new.",
        )),
    }
}

/// A sentence about the card, and what to do.
fn reason(keyword: &str, asked: &Asked<'_>, de: &str, en: &str) -> Reason {
    let (path, event) = (&asked.kept.path, &asked.event);
    Reason::new(
        keyword,
        format!(
            "{}, während die Datei {path} geschrieben wurde. {de} \
             Nicht wiederholen: Lesen Sie die Datei von derselben Karte (read), und tragen Sie das Ergebnis ein.",
            event.de
        ),
        format!(
            "{} while file {path} was written. {en} Do not repeat it: \
             read the file from the same card (read), and record the result.",
            event.en
        ),
    )
}

fn card_absent(kept: &Asked<'_>) -> Reason {
    reason(
        "card-absent",
        kept,
        "Im Leser steckt keine Karte.",
        "There is no card in the reader.",
    )
}

fn another_card(kept: &Asked<'_>) -> Reason {
    reason(
        "another-card",
        kept,
        "Im Leser steckt jetzt eine andere Karte.",
        "There is another card in the reader now.",
    )
}

fn unreadable(kept: &Asked<'_>, keyword: &str) -> Reason {
    reason(
        keyword,
        kept,
        "Die Datei auf der Karte im Leser lässt sich jetzt nicht lesen.",
        "The file on the card in the reader cannot be read now.",
    )
}

/// The card shows no serial number, or showed none when it was written.
fn not_recognised(kept: &Asked<'_>, holds: Option<Holds>) -> Reason {
    let (de, en) = match holds {
        Some(Holds::New) => ("den neuen Inhalt", "the new content"),
        Some(Holds::Old) => ("den alten Inhalt", "the old content"),
        Some(Holds::Some(_)) => (
            "nur einen Teil des neuen Inhalts",
            "only a part of the new content",
        ),
        None => ("etwas anderes", "something else"),
    };
    reason(
        "card-not-recognised",
        kept,
        &format!(
            "Ob es dieselbe Karte ist, lässt sich nicht feststellen; die Karte im Leser enthält dort {de}."
        ),
        &format!(
            "Whether it is the same card cannot be determined; the card in the reader contains {en} there."
        ),
    )
}

/// A batch: how far it came, and what may have been executed.
fn in_doubt(kept: &KeptBatch, event: &Text) -> Reason {
    let (total, through) = (kept.total, kept.through);
    let number = through + 1;
    let next = kept.next.as_deref().unwrap_or("?");
    Reason::new(
        "apdus-in-doubt",
        format!(
            "{}: {through} von {total} Befehlen sind ausgeführt; ob Befehl {number} \
             ({next}) ausgeführt wurde, weiß nur die Karte, die übrigen wurden nicht gesendet. Nicht fortsetzen und \
             nicht wiederholen: Prüfen Sie mit der Fachanwendung, was die Karte enthält, und tragen Sie das Ergebnis ein.",
            event.de
        ),
        format!(
            "{}: {through} of {total} commands are done; whether command {number} ({next}) \
             was done only the card knows, the rest was not sent. Do not go on and do not repeat it: check with \
             your application what the card contains, and record the result.",
            event.en
        ),
    )
}

fn no_records() -> Reason {
    Reason::new(
        "no-records",
        "Zu diesem Aufruf gibt es keine Aufzeichnung. Nicht wiederholen: Prüfen Sie den Inhalt der Karte und tragen Sie das Ergebnis ein.",
        "There is no record of this call. Do not repeat it: check the content of the card and record the result.",
    )
}

//! `read` and `write`: files of a card. Without a session the card is taken for the one call.

use koffer_proto::{
    Detail, Effect, Failure, Lang, ProgressEvent, Sha256, Status,
    class::card_terminal::{
        FileAddress, FileContent, FileOffset, ReadParams, WriteParams, Written,
    },
};
use pcsc::{Disposition, Protocols};

use super::{Halt, Loss, Pcsc, Session, line::stop_now};
use crate::{
    Call, NotStored,
    card::{
        iso7816::file_path,
        pcsc::{
            endings,
            file::{Address, Holds, Reach, Read, Script, Span, Verdict, Write},
            record::Traces,
        },
    },
    fail_point,
};

/// One past the last position that a 15-bit offset reaches.
const OFFSETS: usize = 0x8000;

impl Pcsc {
    /// The session, or one for this call alone (`true`).
    async fn card_for(&mut self, call: &Call) -> Result<(Session, bool), Halt> {
        if let Some(stop) = stop_now(call).await {
            return Err(endings::stopped(stop, call.lang).into());
        }
        if self.session().is_some() {
            return Ok((self.held_card(call).await?, false));
        }
        let taken = self.take_card(Protocols::ANY, call).await;
        taken.map_err(|loss| loss.without_effect(call.lang))?;
        let session = self.session().cloned();
        session
            .map(|session| (session, true))
            .ok_or_else(|| endings::not_connected(call.lang).into())
    }

    pub(super) async fn done_with_card(&mut self, borrowed: bool, call: &Call) {
        if borrowed {
            // The call has its answer; a reader that fails now is found when it is next used.
            let _ = self.give_card_back(Disposition::ResetCard, call).await;
        }
    }

    pub(super) async fn read(
        &mut self,
        params: &ReadParams,
        call: &Call,
    ) -> Result<FileContent, Halt> {
        let address = address(&params.file, call.lang)?;
        let span = Span {
            offset: params.offset.map_or(0, FileOffset::get),
            length: params.length.map(|length| length.get().into()),
        };
        let (session, borrowed) = self.card_for(call).await?;
        let mut read = Read::new(&address, span, Reach::of(session.card));
        let outcome = self.read_all(&mut read, call).await;
        self.done_with_card(borrowed, call).await;
        outcome?;
        let content = read
            .into_content()
            .map_err(|why| endings::unread(why, call.lang))?;
        Ok(FileContent {
            sha256: Sha256::of(&content),
            content: content.into(),
        })
    }

    pub(super) async fn read_all(&mut self, read: &mut Read, call: &Call) -> Result<(), Halt> {
        while let Some(outgoing) = read.next() {
            if let Some(stop) = stop_now(call).await {
                return Err(endings::stopped(stop, call.lang).into());
            }
            let answer = self.exchange(outgoing.command, call).await;
            read.received(&answer.map_err(|loss| loss.without_effect(call.lang))?);
        }
        Ok(())
    }

    pub(super) async fn write(
        &mut self,
        params: WriteParams,
        call: &Call,
    ) -> Result<Written, Halt> {
        let address = address(&params.file, call.lang)?;
        let offset = params.offset.map_or(0, FileOffset::get);
        let content = params.content.into_vec();
        if content.is_empty() || usize::from(offset) + content.len() > OFFSETS {
            let (de, en) = (
                "1 bis 32768 Bytes bis zum Ende der Datei",
                "1 to 32768 bytes up to the end of the file",
            );
            return Err(endings::bad_field(call.lang, "content", de, en).into());
        }
        let (session, borrowed) = self.card_for(call).await?;
        if borrowed {
            let recognised = self.recognise(call).await;
            recognised.map_err(|loss| loss.without_effect(call.lang))?;
        }
        let mark = self.session().and_then(|session| session.mark.as_ref());
        let traces = Traces::new(&address, offset, mark);
        let traces = traces.map_err(|_| unrecorded(call.lang))?;
        let sha256 = Sha256::of(&content);
        let bytes = u32::try_from(content.len()).unwrap_or(u32::MAX);
        let mut write = Write::new(&address, offset, content, Reach::of(session.card));
        let outcome = match self.update(&mut write, &traces, call).await {
            Ok(()) => verdict(&write, bytes, call.lang),
            Err(Broken::Ended(failure)) => Err(failure.into()),
            Err(Broken::Lost(loss)) => {
                self.after_loss(&mut write, loss, &session, &traces, call)
                    .await
            }
        };
        self.done_with_card(borrowed, call).await;
        outcome.map(|()| Written { bytes, sha256 })
    }

    async fn update(
        &mut self,
        write: &mut Write,
        traces: &Traces,
        call: &Call,
    ) -> Result<(), Broken> {
        loop {
            if !write.is_checking()
                && let Some(stop) = stop_now(call).await
            {
                return Err(stopped_between(write, stop, call.lang));
            }
            let first = write.untouched();
            let Some(outgoing) = write.next() else {
                return Ok(());
            };
            if outgoing.changes {
                let stored = store(write, traces, first, call).await;
                stored.map_err(|_| not_stored(write, call.lang))?;
            }
            let answer = self.exchange(outgoing.command, call).await;
            write.received(&answer.map_err(Broken::Lost)?);
            if outgoing.changes {
                fail_point::reach("pcsc.update-answered");
                call.progress(ProgressEvent::Advanced {
                    completed: write.confirmed() as u64,
                    total: write.content().len() as u64,
                })
                .await;
            }
        }
    }

    /// What became of an update whose dialogue broke off. Only a card that provably never left the
    /// reader is asked: another card would tell another story.
    async fn after_loss(
        &mut self,
        write: &mut Write,
        loss: Loss,
        session: &Session,
        traces: &Traces,
        call: &Call,
    ) -> Result<(), Halt> {
        if write.untouched() {
            return Err(loss.without_effect(call.lang));
        }
        let same_card = matches!(loss, Loss::Reset | Loss::Malformed | Loss::Other(_))
            && self
                .take_card(Protocols::ANY, call)
                .await
                .is_ok_and(|powered| powered.changes == session.changes);
        if same_card {
            write.recheck();
            // A second loss leaves the verdict to what is known by now.
            let _ = self.update(write, traces, call).await;
        }
        self.note_broken_off(loss, call);
        let all = write.all_confirmed();
        let (status, confirmed) = (Status::DeviceFault, write.confirmed());
        let told = |de: &str, en: &str| {
            endings::pick(
                call.lang,
                format!("{}. {de}", loss.event().de),
                format!("{}. {en}", loss.event().en),
            )
        };
        let detail = |completed: usize| Detail {
            completed: Some(completed as u64),
            ..loss.detail()
        };
        let failure = match write.holds() {
            Some(Holds::New) => return Ok(()),
            Some(Holds::Old) => Failure::unfinished(
                status,
                Effect::None,
                told("Die Datei ist unverändert.", "The file is unchanged."),
            )
            .with(detail(0)),
            Some(Holds::Some(new)) => Failure::unfinished(
                status,
                Effect::Partial,
                told(
                    "Die Datei ist nur teilweise geschrieben.",
                    "The file is written only in part.",
                ),
            )
            .with(detail(new)),
            None if all => Failure::unfinished(
                status,
                Effect::Done,
                told(
                    "Die Karte hat alles bestätigt; die Datei wurde nicht zurückgelesen.",
                    "The card confirmed everything; the file was not read back.",
                ),
            )
            .with(detail(confirmed)),
            None => Failure::outcome_unknown(told(
                "Wie viel geschrieben wurde, ist nicht bekannt. Nicht wiederholen: Lesen Sie die Datei, bevor Sie erneut schreiben.",
                "How much was written is not known. Do not repeat it: read the file before you write again.",
            ))
            .with(detail(confirmed)),
        };
        Err(loss.ends(failure))
    }
}

/// Why an update did not come to its end.
enum Broken {
    /// The call was stopped, or the journal failed.
    Ended(Failure),
    /// Contact was lost.
    Lost(Loss),
}

fn stopped_between(write: &Write, stop: crate::Stop, lang: Lang) -> Broken {
    let confirmed = write.confirmed();
    if confirmed == 0 {
        // Pieces of a chained command do nothing without its last.
        return Broken::Ended(endings::stopped(stop, lang));
    }
    let message = endings::pick(
        lang,
        format!("Nach {confirmed} Byte angehalten. Die Datei ist nur teilweise geschrieben."),
        format!("Stopped after {confirmed} bytes. The file is written only in part."),
    );
    let (status, cause) = (endings::stop_status(stop), endings::stop_cause(stop));
    Broken::Ended(in_part(status, message, cause, confirmed))
}

async fn store(write: &Write, traces: &Traces, first: bool, call: &Call) -> Result<(), NotStored> {
    if first {
        call.arm(traces.file(write)).await?;
        fail_point::reach("pcsc.write-armed");
        call.effect_may_begin().await?;
        fail_point::reach("pcsc.write-started");
    } else {
        call.milestone(traces.update(write)).await?;
        fail_point::reach("pcsc.update-recorded");
    }
    Ok(())
}

fn not_stored(write: &Write, lang: Lang) -> Broken {
    let message = endings::not_stored(lang);
    Broken::Ended(match write.confirmed() {
        0 => unrecorded(lang),
        confirmed => in_part(Status::DeviceFault, message, "journal-failed", confirmed),
    })
}

fn unrecorded(lang: Lang) -> Failure {
    Failure::without_effect(Status::DeviceFault, endings::not_stored(lang))
        .with(endings::caused("journal-failed"))
}

fn in_part(status: Status, message: String, cause: &str, completed: usize) -> Failure {
    Failure::unfinished(status, Effect::Partial, message).with(Detail {
        completed: Some(completed as u64),
        ..endings::caused(cause)
    })
}

fn verdict(write: &Write, bytes: u32, lang: Lang) -> Result<(), Halt> {
    let coded = |refusal: Option<crate::card::pcsc::file::Refusal>, completed: usize| Detail {
        completed: Some(completed as u64),
        ..refusal.map_or_else(
            || endings::caused("differs"),
            |refusal| endings::coded("card-refused", refusal.status_word),
        )
    };
    let failure = match write.verdict() {
        // The card may have complained: what it holds is what counts.
        Verdict::Written(_) => return Ok(()),
        Verdict::Untouched(refusal) => endings::declined(refusal, lang),
        Verdict::Unread(shortfall) => endings::incomplete(shortfall, lang),
        Verdict::TooShort(room) => {
            let message = endings::pick(
                lang,
                format!(
                    "An dieser Position ist nur Platz für {room} von {bytes} Byte. Es wurde nichts geschrieben."
                ),
                format!(
                    "There is room for only {room} of {bytes} bytes at this position. Nothing was written."
                ),
            );
            Failure::without_effect(Status::Declined, message).with(endings::caused("outside-file"))
        }
        Verdict::Differs(new, refusal) => Failure::unfinished(
            Status::DeviceFault,
            Effect::Partial,
            endings::pick(
                lang,
                "Die Datei enthält nicht die geschriebenen Daten.",
                "The file does not contain the data that was written.",
            ),
        )
        .with(coded(refusal, new)),
        Verdict::Unverified(confirmed, refusal) if write.all_confirmed() => Failure::unfinished(
            Status::DeviceFault,
            Effect::Done,
            endings::pick(
                lang,
                "Die Karte hat alles bestätigt; die Datei ließ sich nicht zurücklesen.",
                "The card confirmed everything; the file could not be read back.",
            ),
        )
        .with(coded(refusal, confirmed)),
        Verdict::Unverified(confirmed, refusal) => Failure::outcome_unknown(endings::pick(
            lang,
            "Die Datei ließ sich nach dem Schreiben nicht lesen.",
            "The file could not be read after it was written.",
        ))
        .with(coded(refusal, confirmed)),
    };
    Err(failure.into())
}

fn address(file: &FileAddress, lang: Lang) -> Result<Address, Failure> {
    let path = file_path(file.path.as_str()).map_err(|why| {
        let de = "Dateikennungen aus vier Hexadezimalziffern, getrennt durch /";
        endings::bad_field(lang, "file.path", de, &why.to_string())
    })?;
    let application = file.application.as_ref().map(|aid| aid.as_bytes().to_vec());
    if application
        .as_ref()
        .is_some_and(|aid| !(5..=16).contains(&aid.len()))
    {
        let (de, en) = ("5 bis 16 Bytes", "5 to 16 bytes");
        return Err(endings::bad_field(lang, "file.application", de, en));
    }
    Ok(Address { application, path })
}

//! `transmit`: a pipe for batches. Nothing is executed twice, nothing is tried again; a break in
//! the middle is an unknown outcome that says how many commands are through.

use koffer_proto::{
    Detail, Effect, Failure, Lang, ProgressEvent, Status,
    class::card_terminal::{TransmitParams, Transmitted},
};

use super::{Halt, Loss, Pcsc, line::stop_now};
use crate::{
    Call,
    card::pcsc::{
        batch::{Batch, Refused},
        endings,
        pin_policy::Objection,
        record,
    },
    fail_point,
};

impl Pcsc {
    pub(super) async fn transmit(
        &mut self,
        params: &TransmitParams,
        call: &Call,
    ) -> Result<Transmitted, Halt> {
        let mut batch =
            Batch::plan(&params.commands).map_err(|refused| refusal(refused, call.lang))?;
        self.held_card(call).await?;
        if let Some(stop) = stop_now(call).await {
            return Err(endings::stopped(stop, call.lang).into());
        }
        let stored = async {
            call.arm(record::batch(batch.total(), batch.header()))
                .await?;
            fail_point::reach("pcsc.batch-armed");
            call.effect_may_begin().await
        };
        stored.await.map_err(|_| {
            Failure::without_effect(Status::DeviceFault, endings::not_stored(call.lang))
                .with(endings::caused("journal-failed"))
        })?;
        fail_point::reach("pcsc.batch-started");
        loop {
            if batch.is_between() {
                self.may_go_on(&batch, call).await?;
            }
            let Some(sending) = batch.next() else { break };
            let (index, through) = (sending.index, batch.completed());
            let outcome = match self.send(sending.apdu, call).await {
                Ok(bytes) => batch.received(&bytes).map_err(|_| {
                    self.let_go_of_card();
                    Loss::Malformed
                }),
                Err(loss) => Err(loss),
            };
            outcome.map_err(|loss| {
                self.note_broken_off(loss, call);
                broken_off(loss, index, call.lang)
            })?;
            fail_point::reach("pcsc.apdu-answered");
            // Of the last one the completion tells.
            if batch.completed() > through && !batch.is_over() {
                call.progress(ProgressEvent::Advanced {
                    completed: batch.completed() as u64,
                    total: batch.total() as u64,
                })
                .await;
            }
        }
        Ok(batch.into_result())
    }

    /// Whether the next command of the batch may begin: the call goes on, and what is through is
    /// stored.
    async fn may_go_on(&mut self, batch: &Batch, call: &Call) -> Result<(), Halt> {
        let through = batch.completed();
        if through == 0 || batch.is_over() {
            return Ok(());
        }
        if let Some(stop) = stop_now(call).await {
            let message = endings::pick(
                call.lang,
                format!("Nach {through} Befehlen angehalten. Weitere wurden nicht gesendet."),
                format!("Stopped after {through} commands. No more were sent."),
            );
            let status = endings::stop_status(stop);
            return Err(partial(status, message, endings::stop_cause(stop), through).into());
        }
        let stored = call.milestone(record::apdu(through, batch.header())).await;
        fail_point::reach("pcsc.apdu-recorded");
        stored.map_err(|_| {
            let message = endings::not_stored(call.lang);
            partial(Status::DeviceFault, message, "journal-failed", through).into()
        })
    }
}

fn partial(status: Status, message: String, cause: &str, through: usize) -> Failure {
    Failure::unfinished(status, Effect::Partial, message).with(Detail {
        completed: Some(through as u64),
        ..endings::caused(cause)
    })
}

fn broken_off(loss: Loss, through: usize, lang: Lang) -> Halt {
    let event = loss.event();
    let message = endings::pick(
        lang,
        format!(
            "{}. {through} Befehle sind ausgeführt; ob der nächste ausgeführt wurde, ist nicht bekannt. Nicht wiederholen: Prüfen Sie die Karte.",
            event.de
        ),
        format!(
            "{}. {through} commands are done; whether the next was done is not known. Do not repeat it: look at the card.",
            event.en
        ),
    );
    let failure = Failure::outcome_unknown(message).with(Detail {
        completed: Some(through as u64),
        ..loss.detail()
    });
    loss.ends(failure)
}

fn refusal(refused: Refused, lang: Lang) -> Failure {
    match refused {
        Refused::Malformed(index, why) => {
            let field = format!("commands[{index}].apdu");
            let (de, en) = (format!("keine Befehls-APDU ({why})"), why.to_string());
            endings::bad_field(lang, &field, &de, &en)
        }
        Refused::Objected(index, why) => {
            let (cause, de, en) = match why {
                Objection::PlainPin => (
                    "plain-pin",
                    "PINs werden am Tastenfeld des Lesers eingegeben, nie über das Gateway gesendet. Benutzen Sie verify-pin oder change-pin.",
                    "PINs are typed on the reader's pad, never sent through the gateway. Use verify-pin or change-pin.",
                ),
                Objection::Hidden => (
                    "hidden-command",
                    "Dieser Befehl kann einen anderen enthalten, den das Gateway nicht lesen kann, und damit eine PIN. Senden Sie den inneren Befehl einzeln oder alle Teile in einem Aufruf.",
                    "This command may wrap another one that the gateway cannot read, and with it a PIN. Send the inner command by itself, or all of its pieces in one call.",
                ),
            };
            let message = endings::pick(lang, de, en);
            Failure::without_effect(Status::Denied, message).with(Detail {
                field: Some(format!("commands[{index}].apdu")),
                ..endings::caused(cause)
            })
        }
    }
}

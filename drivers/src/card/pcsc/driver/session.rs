//! The card session: taken by `connect`, kept across calls, let go of by `disconnect`, by a
//! removal, by any loss, and at the end.

use koffer_proto::class::card_terminal::{
    CardProtocol, ConnectParams, Connected, DisconnectParams, Disconnected, Disposition as Wish,
};
use pcsc::{Disposition, Protocol, Protocols};

use super::{
    Halt, Loss, Pcsc, Session,
    line::{bounded, stop_now},
};
use crate::{
    Call,
    card::{
        iso7816::{CardCapabilities, FileId},
        pcsc::{
            endings,
            file::{Address, Reach, Read, Script, Span, Unread},
            record::Mark,
            timing,
            worker::Powered,
        },
    },
};

/// The root of a card's files.
const ROOT: FileId = FileId(0x3F00);
/// Global data objects, the ICC serial number among them.
const EF_GDO: FileId = FileId(0x2F02);

impl Pcsc {
    /// Takes the card exclusively; anew where it was held.
    pub(super) async fn take_card(
        &mut self,
        protocols: Protocols,
        call: &Call,
    ) -> Result<Powered, Loss> {
        self.session = None;
        let Some(reader) = &self.reader else {
            return Err(Loss::Reader);
        };
        let powered = reader.worker.connect(protocols, timing::CONNECT);
        let powered = bounded(powered, call, |_| true).await;
        let powered = powered.map_err(|unanswered| self.lost(unanswered))?;
        self.session = Some(Session {
            card: CardCapabilities::of_atr(&powered.atr),
            features: powered.features,
            changes: powered.changes,
            atr: powered.atr.clone(),
            mark: None,
        });
        Ok(powered)
    }

    /// Reads the serial number of a card that was just taken, where it shows one (EF.GDO, ISO/IEC
    /// 7816-4, 8.2.2.1): a write that is interrupted is compared on this card and on no other.
    /// Only then, because selecting files later could cost the card's security state. Afterwards
    /// the root is selected, as after a reset; a card without a root is asked for nothing more.
    pub(super) async fn recognise(&mut self, call: &Call) -> Result<(), Loss> {
        let Some(session) = self.session() else {
            return Ok(());
        };
        let reach = Reach::of(session.card);
        let whole = Span {
            offset: 0,
            length: None,
        };
        let from_root = |path: &[FileId]| Address {
            application: None,
            path: [&[ROOT], path].concat(),
        };
        let mut read = Read::new(&from_root(&[EF_GDO]), whole, reach).optional();
        self.follow(&mut read, call).await?;
        let gdo = match read.into_content() {
            Ok(gdo) => gdo,
            // It is selected, and holds no number that could be trusted.
            Err(Unread::Incomplete(_)) => Vec::new(),
            Err(Unread::Refused(_)) => return Ok(()),
        };
        let nothing = Span {
            length: Some(0),
            ..whole
        };
        let mut back = Read::new(&from_root(&[]), nothing, reach);
        self.follow(&mut back, call).await?;
        if let Some(session) = &mut self.session {
            session.mark = Mark::new(&session.atr, &gdo);
        }
        Ok(())
    }

    /// A dialogue from its beginning to its end.
    pub(super) async fn follow(
        &mut self,
        script: &mut impl Script,
        call: &Call,
    ) -> Result<(), Loss> {
        while let Some(outgoing) = script.next() {
            script.received(&self.exchange(outgoing.command, call).await?);
        }
        Ok(())
    }

    pub(super) async fn connect(
        &mut self,
        params: &ConnectParams,
        call: &Call,
    ) -> Result<Connected, Halt> {
        if let Some(stop) = stop_now(call).await {
            return Err(endings::stopped(stop, call.lang).into());
        }
        let protocols = match params.protocol {
            None => Protocols::ANY,
            Some(CardProtocol::T0) => Protocols::T0,
            Some(CardProtocol::T1) => Protocols::T1,
        };
        let powered = self
            .take_card(protocols, call)
            .await
            .map_err(|loss| loss.without_effect(call.lang))?;
        let recognised = self.recognise(call).await;
        recognised.map_err(|loss| loss.without_effect(call.lang))?;
        Ok(Connected {
            atr: powered.atr.into(),
            protocol: match powered.protocol {
                Protocol::T0 => CardProtocol::T0,
                Protocol::T1 | Protocol::RAW => CardProtocol::T1,
            },
        })
    }

    /// The session, after making sure that its card is still the one that was taken. Nothing goes
    /// to the card for that.
    pub(super) async fn held_card(&mut self, call: &Call) -> Result<Session, Halt> {
        let Some(session) = self.session().cloned() else {
            return Err(endings::not_connected(call.lang).into());
        };
        let Some(reader) = &self.reader else {
            return Err(Loss::Reader.without_effect(call.lang));
        };
        let held = reader.worker.check(timing::READER_ANSWER).await;
        held.map_err(|unanswered| self.lost(unanswered).without_effect(call.lang))?;
        Ok(session)
    }

    pub(super) async fn disconnect(
        &mut self,
        params: &DisconnectParams,
        call: &Call,
    ) -> Result<Disconnected, Halt> {
        let disposition = match params.disposition {
            Wish::Leave => Disposition::LeaveCard,
            Wish::Reset => Disposition::ResetCard,
            Wish::Unpower => Disposition::UnpowerCard,
            Wish::Eject => Disposition::EjectCard,
        };
        self.give_card_back(disposition, call).await?;
        Ok(Disconnected {})
    }

    /// Ends the session; that its card is gone already is as good.
    pub(super) async fn give_card_back(
        &mut self,
        disposition: Disposition,
        call: &Call,
    ) -> Result<(), Halt> {
        let (Some(_), Some(reader)) = (self.session.take(), &self.reader) else {
            return Ok(());
        };
        let given = reader.worker.disconnect(disposition, timing::CONNECT).await;
        match given.map_err(Loss::from) {
            Ok(()) | Err(Loss::Removed | Loss::Reset | Loss::Other(_)) => Ok(()),
            Err(Loss::Hung) => {
                self.give_up_reader();
                Err(Loss::Hung.without_effect(call.lang))
            }
            Err(loss) => Err(loss.without_effect(call.lang)),
        }
    }
}

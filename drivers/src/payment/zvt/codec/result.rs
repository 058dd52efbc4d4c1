//! Result codes and terminal status codes: what they mean and what to do (chapters 10 and 11).

use Class::{
    Approved, Busy, Cancelled, Declined, DeviceFault, NeedsCardRemoved, NeedsDiagnosis,
    NeedsEndOfDay, NeedsInitialisation, NeedsPaper, NeedsRegistration, NeedsTime, Rejected,
};

use super::apdu::Control;
use super::command::control;

/// The same short sentence for clerks and technicians in German and English.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Advice {
    /// German.
    pub de: &'static str,
    /// English.
    pub en: &'static str,
}

/// What a code asks for. It does not say whether money moved: only 04 0F with result 00 says yes,
/// and only a completed reconciliation says no.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Class {
    /// Done, or ready.
    Approved,
    /// Card or host said no.
    Declined,
    /// Customer, clerk or the clock ended it.
    Cancelled,
    /// The request does not suit this terminal: the same request will fail again.
    Rejected,
    /// Terminal or its line failed.
    DeviceFault,
    /// Ask again later.
    Busy,
    /// 06 00 is needed.
    NeedsRegistration,
    /// 06 93 is needed.
    NeedsInitialisation,
    /// 06 70 is needed.
    NeedsDiagnosis,
    /// 06 50 is needed; sales are locked until then.
    NeedsEndOfDay,
    /// 06 91 is needed.
    NeedsTime,
    /// Paper, or a closed printer.
    NeedsPaper,
    /// A card is in the way.
    NeedsCardRemoved,
}

impl Class {
    /// The command that clears this state, if one does.
    pub const fn remedy(self) -> Option<Control> {
        match self {
            NeedsRegistration => Some(control::REGISTRATION),
            NeedsInitialisation => Some(control::INITIALISATION),
            NeedsDiagnosis => Some(control::DIAGNOSIS),
            NeedsEndOfDay => Some(control::END_OF_DAY),
            NeedsTime => Some(control::SET_DATE_AND_TIME),
            _ => None,
        }
    }

    /// What the clerk does now.
    pub const fn advice(self) -> Advice {
        let (de, en) = match self {
            Approved => ("Nichts zu tun.", "Nothing to do."),
            Declined => (
                "Bitten Sie um eine andere Karte oder um Bargeld.",
                "Ask for another card or for cash.",
            ),
            Cancelled => (
                "Starten Sie die Zahlung neu, wenn sie noch gewünscht ist.",
                "Start the payment anew if it is still wanted.",
            ),
            Rejected => (
                "Prüfen Sie Betrag, Beleg und Funktion. Fragen Sie sonst die Technik.",
                "Check amount, receipt and function. Otherwise ask your technician.",
            ),
            DeviceFault => (
                "Prüfen Sie Kabel und Netz, starten Sie das Terminal neu, rufen Sie sonst die Technik.",
                "Check cable and network, restart the terminal, otherwise call your technician.",
            ),
            Busy => (
                "Warten Sie, bis das Terminal fertig ist.",
                "Wait for the terminal to finish.",
            ),
            NeedsRegistration => (
                "Das Terminal wird neu angemeldet. Warten Sie kurz.",
                "The terminal is being registered again. Wait a moment.",
            ),
            NeedsInitialisation => (
                "Starten Sie die Initialisierung des Terminals.",
                "Start the terminal's initialisation.",
            ),
            NeedsDiagnosis => ("Starten Sie die Diagnose.", "Start the diagnosis."),
            NeedsEndOfDay => (
                "Führen Sie den Kassenschnitt durch. Bis dahin sind Zahlungen gesperrt.",
                "Run the end of day. Payments are locked until then.",
            ),
            NeedsTime => (
                "Lassen Sie Datum und Uhrzeit des Terminals neu setzen.",
                "Have date and time of the terminal set.",
            ),
            NeedsPaper => (
                "Legen Sie Papier ein und schließen Sie den Drucker.",
                "Insert paper and close the printer.",
            ),
            NeedsCardRemoved => ("Entnehmen Sie die Karte.", "Remove the card."),
        };
        Advice { de, en }
    }
}

type Row = (u8, Class, &'static str, &'static str);

/// The result code of BMP 27 and of 06 1E.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ResultCode(pub u8);

impl ResultCode {
    /// 00.
    pub const OK: Self = Self(0x00);
    /// 6C: cancelled by key or by time.
    pub const CANCELLED: Self = Self(0x6C);
    /// 6F: the terminal's own currency may follow.
    pub const WRONG_CURRENCY: Self = Self(0x6F);

    /// Whether a completion with this code says that the command failed. Others tell what the
    /// terminal wants or does next, such as E0 after a closing.
    pub fn is_failure(self) -> bool {
        matches!(self.class(), Declined | Rejected | Cancelled | DeviceFault)
    }

    /// What to do. A code outside the table is a fault of the device, never a success.
    pub fn class(self) -> Class {
        match self.0 {
            // Codes of the network operator or the authorising host.
            0x01..=0x63 => Declined,
            code => find(&RESULTS, code).map_or(DeviceFault, |row| row.1),
        }
    }

    /// What happened.
    pub fn meaning(self) -> Advice {
        let declined = (
            self.0,
            Declined,
            "Die Bank hat abgelehnt",
            "the bank declined",
        );
        let unknown = (
            self.0,
            DeviceFault,
            "Unbekannter Fehlercode",
            "unknown result code",
        );
        let row = match self.0 {
            0x01..=0x63 => declined,
            code => find(&RESULTS, code).unwrap_or(unknown),
        };
        Advice {
            de: row.2,
            en: row.3,
        }
    }
}

/// The code of `84 xx`: the terminal itself refused, before any card or host. Below 64 it shares
/// its numbers with the host's codes, and not their meaning.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct NackCode(pub u8);

impl NackCode {
    /// What to do.
    pub fn class(self) -> Class {
        match self.0 {
            0x00..=0x63 => Rejected,
            code => ResultCode(code).class(),
        }
    }

    /// What happened.
    pub fn meaning(self) -> Advice {
        let (de, en) = match self.0 {
            0x37 => ("Das ZVT-Passwort stimmt nicht", "the ZVT password is wrong"),
            0x00..=0x63 => (
                "Das Terminal nimmt den Auftrag nicht an",
                "the terminal does not accept the command",
            ),
            code => return ResultCode(code).meaning(),
        };
        Advice { de, en }
    }
}

/// The status code of the completion that answers a status enquiry. Its numbers overlap those of
/// [`ResultCode`] with other meanings: 51 is not the host's 51.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct TerminalStatus(pub u8);

impl TerminalStatus {
    /// 00.
    pub const READY: Self = Self(0x00);
    /// 9C.
    pub const BUSY: Self = Self(0x9C);

    /// Whether the specification has this code.
    pub fn is_listed(self) -> bool {
        find(&STATES, self.0).is_some()
    }

    /// What to do. A code outside the table is a fault of the device, never "ready".
    pub fn class(self) -> Class {
        find(&STATES, self.0).map_or(DeviceFault, |row| row.1)
    }

    /// What is the matter.
    pub fn meaning(self) -> Advice {
        let unknown = (self.0, DeviceFault, "Unbekannter Zustand", "unknown state");
        let row = find(&STATES, self.0).unwrap_or(unknown);
        Advice {
            de: row.2,
            en: row.3,
        }
    }
}

fn find(table: &[Row], code: u8) -> Option<Row> {
    table.iter().find(|row| row.0 == code).copied()
}

/// Chapter 10.
#[rustfmt::skip] // A table: one code, one line.
const RESULTS: [Row; 80] = [
    (0x00, Approved, "In Ordnung", "no error"),
    (0x64, Declined, "Die Karte ist nicht lesbar", "the card cannot be read"),
    (0x65, Declined, "Auf der Karte sind keine Daten", "the card holds no data"),
    (0x66, DeviceFault, "Das Terminal konnte den Vorgang nicht ausführen", "the terminal could not process it"),
    (0x67, Declined, "Mit girocard oder Maestro nicht erlaubt", "not allowed with girocard or Maestro"),
    (0x68, Declined, "Mit Kredit- oder Tankkarte nicht erlaubt", "not allowed with credit or fuel cards"),
    (0x6A, NeedsEndOfDay, "Der Umsatzspeicher ist voll", "the turnover memory is full"),
    (0x6B, NeedsRegistration, "Das Terminal ist nicht angemeldet", "the terminal is not registered"),
    (0x6C, Cancelled, "Abgebrochen oder Zeit abgelaufen", "cancelled or timed out"),
    (0x6E, Declined, "Die Karte ist gesperrt", "the card is blocked"),
    (0x6F, Rejected, "Diese Währung kennt das Terminal nicht", "the terminal has another currency"),
    (0x71, Declined, "Das Guthaben reicht nicht", "the credit is too low"),
    (0x72, Declined, "Der Chip antwortet nicht richtig", "the chip failed"),
    (0x73, Declined, "Die Kartendaten sind falsch", "the card data are wrong"),
    (0x74, DeviceFault, "Die Schlüssel des Terminals sind verbraucht", "the terminal has used up its keys"),
    (0x75, DeviceFault, "Ein Text ist nicht authentisch", "a text is not authentic"),
    (0x76, Declined, "Diese Karte ist hier nicht zugelassen", "this card is not on the list"),
    (0x77, Rejected, "Kassenschnitt ist nicht möglich", "end of day is not possible"),
    (0x78, Declined, "Die Karte ist abgelaufen", "the card has expired"),
    (0x79, Declined, "Die Karte gilt noch nicht", "the card is not valid yet"),
    (0x7A, Declined, "Die Karte ist unbekannt", "the card is unknown"),
    (0x7B, Declined, "Magnetstreifen bei girocard nicht erlaubt", "no stripe in place of the girocard chip"),
    (0x7C, Declined, "Magnetstreifen statt Chip nicht erlaubt", "no stripe in place of the chip"),
    (0x7D, DeviceFault, "Die Verbindung des Terminals antwortet nicht", "the terminal's modem does not answer"),
    (0x7E, Declined, "Magnetstreifen nur als Lastschrift möglich", "stripe only as a direct debit"),
    (0x83, Rejected, "Diese Funktion gibt es nicht", "the function is not possible"),
    (0x85, DeviceFault, "Dem Terminal fehlt ein Schlüssel", "the terminal lacks a key"),
    (0x89, DeviceFault, "Das PIN-Pad ist defekt", "the PIN pad is defective"),
    (0x9A, Rejected, "Das Terminal versteht die Anfrage nicht", "the terminal did not understand"),
    (0x9B, DeviceFault, "Die Verbindung zum Rechenzentrum ist gestört", "the line to the host failed"),
    (0x9C, Busy, "Das Terminal ist noch beschäftigt", "the terminal is still busy"),
    (0xA0, DeviceFault, "Die Gegenstelle ist nicht bereit", "the receiver is not ready"),
    (0xA1, DeviceFault, "Die Gegenstelle antwortet nicht", "the remote station does not answer"),
    (0xA3, DeviceFault, "Keine Verbindung zum Rechenzentrum", "no connection to the host"),
    (0xA4, DeviceFault, "GeldKarte-Umsätze nicht übertragen", "GeldKarte turnover was not submitted"),
    (0xA5, Rejected, "Durch Kartensicherheitsregeln verboten", "forbidden by card security rules"),
    (0xB1, NeedsEndOfDay, "Der Speicher ist voll", "the memory is full"),
    (0xB2, NeedsEndOfDay, "Das Händlerjournal ist voll", "the merchant journal is full"),
    (0xB4, Rejected, "Der Beleg ist schon storniert", "the receipt is already reversed"),
    (0xB5, Rejected, "Storno ist nicht möglich", "the reversal is not possible"),
    (0xB7, Rejected, "Die Reservierung passt nicht zum Betrag", "amount and reservation do not match"),
    (0xB8, Rejected, "Fehler bei der Reservierung", "the reservation failed"),
    (0xBF, DeviceFault, "Die Spannung ist zu niedrig", "the supply voltage is too low"),
    (0xC0, DeviceFault, "Die Kartenverriegelung ist defekt", "the card lock is defective"),
    (0xC1, DeviceFault, "Die Händlerkarte ist gesperrt", "the merchant card is locked"),
    (0xC2, NeedsDiagnosis, "Das Terminal braucht eine Diagnose", "the terminal needs a diagnosis"),
    (0xC3, Declined, "Der Betrag ist zu hoch", "the amount is too high"),
    (0xC4, NeedsDiagnosis, "Die Kartenprofile sind ungültig", "the card profiles are invalid"),
    (0xC5, Declined, "Diese Zahlungsart gibt es hier nicht", "the payment method is not supported"),
    (0xC6, Rejected, "Diese Währung ist nicht anwendbar", "the currency does not apply"),
    (0xC8, Rejected, "Der Betrag ist zu klein", "the amount is too small"),
    (0xC9, Rejected, "Der Höchstbetrag ist zu klein", "the largest amount is too small"),
    (0xCB, Rejected, "Nur in Euro möglich", "only possible in euro"),
    (0xCC, NeedsPaper, "Der Drucker ist nicht bereit", "the printer is not ready"),
    (0xCD, Rejected, "Bargeldauszahlung ist nicht möglich", "cashback is not possible"),
    (0xD2, Declined, "Mit dieser Bankkarte nicht erlaubt", "not allowed with this bank card"),
    (0xDC, NeedsCardRemoved, "Eine Karte steckt im Terminal", "a card is inserted"),
    (0xDD, DeviceFault, "Die Karte wird nicht ausgegeben", "the card is not ejected"),
    (0xDE, DeviceFault, "Die Karte wird nicht eingezogen", "the card is not drawn in"),
    (0xE0, Busy, "Fernwartung läuft", "remote maintenance is running"),
    (0xE2, DeviceFault, "Der Kartenleser antwortet nicht", "the card reader does not answer"),
    (0xE3, DeviceFault, "Der Verschluss ist zu", "the shutter is closed"),
    (0xE4, DeviceFault, "Das Terminal ist nicht freigeschaltet", "the terminal is not activated"),
    (0xE7, Rejected, "Eine Warengruppe fehlt", "a goods group was not found"),
    (0xE8, DeviceFault, "Die Tabelle der Warengruppen fehlt", "no goods groups are loaded"),
    (0xE9, Declined, "Die Beschränkung der Karte verbietet es", "the card's restriction forbids it"),
    (0xEA, Declined, "Diese Kartenart ist nicht freigeschaltet", "this kind of card is not activated"),
    (0xEB, DeviceFault, "Das PIN-Verfahren ist unbekannt", "the PIN algorithm is unknown"),
    (0xEC, DeviceFault, "Die PIN kann nicht geprüft werden", "the PIN cannot be processed"),
    (0xED, DeviceFault, "Das PIN-Pad ist defekt", "the PIN pad is defective"),
    (0xF0, NeedsEndOfDay, "Ein Kassenschnitt ist offen", "an end of day is open"),
    (0xF1, Declined, "Offline-Zahlung ist gescheitert", "the offline payment failed"),
    (0xF5, DeviceFault, "Fehler der Personalisierung", "personalisation (OPT) failed"),
    (0xF6, DeviceFault, "Das Terminal ist nicht personalisiert", "the terminal is not personalised (OPT)"),
    (0xFA, DeviceFault, "Offline-Umsätze nicht übertragen", "offline turnover was not transmitted"),
    (0xFB, DeviceFault, "Ein Umsatzdatensatz ist defekt", "a turnover record is defective"),
    (0xFC, DeviceFault, "Ein nötiges Gerät fehlt oder ist defekt", "a needed device is missing or broken"),
    (0xFD, Rejected, "Diese Baudrate wird nicht unterstützt", "the baud rate is not supported"),
    (0xFE, Rejected, "Diese Kasse ist dem Terminal unbekannt", "the register is unknown"),
    (0xFF, DeviceFault, "Anderer Fehler im Terminal", "another error in the terminal"),
];

/// Chapter 11.
#[rustfmt::skip] // A table: one code, one line.
const STATES: [Row; 22] = [
    (0x00, Approved, "Das Terminal ist bereit", "the terminal is ready"),
    (0x51, NeedsInitialisation, "Das Terminal muss initialisiert werden", "initialisation is required"),
    (0x62, NeedsTime, "Datum oder Uhrzeit sind falsch", "date or time is wrong"),
    (0x9C, Busy, "Das Terminal ist noch beschäftigt", "the terminal is still busy"),
    (0x9D, Rejected, "Nur ein Teil wurde ausgegeben", "only a part was issued"),
    (0xB1, NeedsEndOfDay, "Der Speicher ist voll", "the memory is full"),
    (0xB2, NeedsEndOfDay, "Das Händlerjournal ist voll", "the merchant journal is full"),
    (0xBF, DeviceFault, "Die Spannung ist zu niedrig", "the supply voltage is too low"),
    (0xC0, DeviceFault, "Die Kartenverriegelung ist defekt", "the card lock is defective"),
    (0xC1, NeedsTime, "Die Händlerkarte ist gesperrt", "the merchant card is locked"),
    (0xC2, NeedsDiagnosis, "Das Terminal braucht eine Diagnose", "the terminal needs a diagnosis"),
    (0xC4, NeedsDiagnosis, "Die Kartenprofile sind ungültig", "the card profiles are invalid"),
    (0xCC, NeedsPaper, "Der Drucker ist nicht bereit", "the printer is not ready"),
    (0xDC, NeedsCardRemoved, "Eine Karte steckt im Terminal", "a card is inserted"),
    (0xDF, DeviceFault, "Das Terminal ist außer Betrieb", "the terminal is out of order"),
    (0xE0, Busy, "Fernwartung läuft", "remote maintenance is running"),
    (0xE1, NeedsCardRemoved, "Die Karte steckt noch halb im Leser", "the card is not fully removed"),
    (0xE2, DeviceFault, "Der Kartenleser antwortet nicht", "the card reader does not answer"),
    (0xE3, DeviceFault, "Der Verschluss ist zu", "the shutter is closed"),
    (0xE4, DeviceFault, "Das Terminal ist nicht freigeschaltet", "the terminal is not activated"),
    (0xF0, NeedsEndOfDay, "Ein Kassenschnitt ist offen", "an end of day is open"),
    (0xF6, DeviceFault, "Das Terminal ist nicht personalisiert", "the terminal is not personalised (OPT)"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_has_a_class_and_sentences_in_both_languages() {
        for code in 0..=u8::MAX {
            for meaning in [ResultCode(code).meaning(), TerminalStatus(code).meaning()] {
                assert!(!meaning.de.is_empty() && !meaning.en.is_empty());
            }
            let advice = ResultCode(code).class().advice();
            assert!(advice.de.ends_with('.') && advice.en.ends_with('.'));
        }
    }

    #[test]
    fn the_tables_are_sorted_without_doubles() {
        for table in [&RESULTS[..], &STATES[..]] {
            assert!(table.is_sorted_by(|left, right| left.0 < right.0));
        }
    }

    #[test]
    fn what_the_terminal_itself_refuses_is_never_the_banks_refusal() {
        for code in 0..=u8::MAX {
            let meaning = NackCode(code).meaning();
            assert!(!meaning.de.contains("Bank hat") && !meaning.en.contains("bank declined"));
            assert_ne!(NackCode(code).class(), Approved);
        }
        assert!(NackCode(0x37).meaning().de.contains("Passwort"));
    }

    #[test]
    fn only_zero_is_approved() {
        for code in 1..=u8::MAX {
            assert_ne!(ResultCode(code).class(), Approved);
            assert_ne!(TerminalStatus(code).class(), Approved);
        }
    }

    #[test]
    fn states_that_block_sales_name_their_remedy() {
        for (code, class, remedy) in [
            (0x51, NeedsInitialisation, Some(Control(0x06, 0x93))),
            (0xC2, NeedsDiagnosis, Some(Control(0x06, 0x70))),
            (0xF0, NeedsEndOfDay, Some(Control(0x06, 0x50))),
            (0x62, NeedsTime, Some(Control(0x06, 0x91))),
            (0x9C, Busy, None),
        ] {
            assert_eq!(TerminalStatus(code).class(), class);
            assert_eq!(class.remedy(), remedy);
        }
        assert_eq!(ResultCode(0x51).class(), Declined);
        assert_eq!(ResultCode(0x6C).class(), Cancelled);
    }
}

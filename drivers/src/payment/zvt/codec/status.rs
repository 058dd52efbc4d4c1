//! Intermediate status: what the terminal shows while it works (04 FF, chapter 3.7, table 17;
//! 6A-6D from later revisions, A0-A5 from Ingenico).

use super::result::Advice;

/// Added to a code of 01-27: the same, and the card is to be removed.
const REMOVE_CARD: u8 = 0x40;

/// The code of a 04 FF. With FF, and whenever the terminal sends one, its own text (TLV 24) tells
/// more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct IntermediateStatus(pub u8);

impl IntermediateStatus {
    /// A stable word for programs, such as `insert-card`; `other` for codes not in the table.
    pub fn keyword(self) -> &'static str {
        self.row().map_or("other", |row| row.1)
    }

    /// What to show, without the request to remove the card.
    pub fn text(self) -> Advice {
        self.row().map_or(
            Advice {
                de: "Bitte die Anzeige des Terminals beachten",
                en: "Please follow the terminal's display",
            },
            |row| Advice {
                de: row.2,
                en: row.3,
            },
        )
    }

    /// The customer is to remove the card as well.
    pub const fn asks_to_remove_card(self) -> bool {
        matches!(self.0, 0x0B | 0x41..=0x49 | 0x4B..=0x5D | 0x66 | 0x67 | 0xA1 | 0xA3 | 0xA5)
    }

    /// Too late to count on an abort: the outcome is being decided or is decided. Anything may
    /// still follow; only 04 0F is a result.
    pub fn is_past_the_card(self) -> bool {
        matches!(
            self.keyword(),
            "waiting-for-host" | "approved" | "approved-fill-up" | "declined" | "auto-reversal"
        )
    }

    fn row(self) -> Option<Row> {
        let code = match self.0 {
            0x41..=0x49 | 0x4B..=0x5D | 0x66 | 0x67 => self.0 - REMOVE_CARD,
            code => code,
        };
        STATUSES.iter().find(|row| row.0 == code).copied()
    }
}

type Row = (u8, &'static str, &'static str, &'static str);

#[rustfmt::skip] // A table: one code, one line.
const STATUSES: [Row; 65] = [
    (0x00, "confirm-amount", "Betrag am Terminal bestätigen", "Confirm the amount on the terminal"),
    (0x01, "watch-pin-pad", "Bitte die Anzeige des PIN-Pads beachten", "Please follow the PIN pad"),
    (0x02, "watch-pin-pad", "Bitte die Anzeige des PIN-Pads beachten", "Please follow the PIN pad"),
    (0x03, "not-accepted", "Vorgang nicht möglich", "Not accepted"),
    (0x04, "waiting-for-host", "Warten auf das Rechenzentrum", "Waiting for the host"),
    (0x05, "auto-reversal", "Das Terminal storniert selbsttätig", "The terminal is reversing by itself"),
    (0x06, "sending-postings", "Das Terminal sendet Nachbuchungen", "The terminal is sending late bookings"),
    (0x07, "card-not-admitted", "Karte nicht zugelassen", "Card not admitted"),
    (0x08, "card-unknown", "Karte unbekannt", "Card unknown"),
    (0x09, "card-expired", "Karte abgelaufen", "Card expired"),
    (0x0A, "insert-card", "Bitte Karte einstecken oder vorhalten", "Please insert or present the card"),
    (0x0B, "remove-card", "Bitte Karte entnehmen", "Please remove the card"),
    (0x0C, "card-unreadable", "Karte nicht lesbar", "Card not readable"),
    (0x0D, "processing-error", "Vorgang abgebrochen", "Processing stopped"),
    (0x0E, "please-wait", "Bitte warten", "Please wait"),
    (0x0F, "end-of-day", "Das Terminal macht den Kassenschnitt", "The terminal is running its end of day"),
    (0x10, "card-invalid", "Karte ungültig", "Card invalid"),
    (0x11, "balance", "Guthaben wird angezeigt", "The balance is shown"),
    (0x12, "malfunction", "Fehler im Terminal", "The terminal has a fault"),
    (0x13, "payment-impossible", "Zahlung nicht möglich", "Payment not possible"),
    (0x14, "credit-too-low", "Guthaben reicht nicht", "Credit too low"),
    (0x15, "pin-wrong", "Geheimzahl falsch", "PIN wrong"),
    (0x16, "limit-too-low", "Limit reicht nicht", "Limit too low"),
    (0x17, "please-wait", "Bitte warten", "Please wait"),
    (0x18, "pin-blocked", "Geheimzahl zu oft falsch", "PIN wrong too often"),
    (0x19, "card-data-wrong", "Kartendaten falsch", "Card data wrong"),
    (0x1A, "service-mode", "Terminal im Servicemodus", "Terminal in service mode"),
    (0x1B, "approved-fill-up", "Genehmigt, bitte tanken", "Approved, please fill up"),
    (0x1C, "approved", "Zahlung erfolgt", "Approved"),
    (0x1D, "declined", "Abgelehnt", "Declined"),
    (0x26, "enter-phone-number", "Mobilnummer eingeben", "Enter the mobile number"),
    (0x27, "repeat-phone-number", "Mobilnummer wiederholen", "Repeat the mobile number"),
    (0x28, "select-currency", "Währung wird gewählt, bitte warten", "Currency is being selected, please wait"),
    (0x29, "select-language", "Sprache wird gewählt, bitte warten", "Language is being selected, please wait"),
    (0x2A, "insert-card", "Zum Laden Karte einstecken", "Insert the card to load it"),
    (0x2B, "offline-mode", "Notbetrieb ohne Netz, bitte warten", "Working offline, please wait"),
    (0x2C, "select-application", "Kartenart wird gewählt, bitte warten", "Application is being selected, please wait"),
    (0x5E, "contactless-done", "Karte kann entfernt werden", "The card may be taken away"),
    (0x68, "card-inserted", "Karte erkannt", "Card detected"),
    (0x69, "select-conversion", "Bitte Währungsumrechnung wählen", "Please choose the currency conversion"),
    (0x6A, "enter-pin", "PIN-Ziffer eingegeben", "PIN digit entered"),
    (0x6B, "enter-pin", "PIN-Ziffer eingegeben, Bestätigung möglich", "PIN digit entered, may be confirmed"),
    (0x6C, "enter-pin", "Letzte PIN-Ziffer gelöscht", "Last PIN digit deleted"),
    (0x6D, "pin-entered", "PIN eingegeben", "PIN entered"),
    (0xA0, "approved", "Zahlung erfolgt", "Payment done"),
    (0xA1, "approved", "Zahlung erfolgt, bitte Karte entnehmen", "Payment done, please remove the card"),
    (0xA2, "cancelled", "Abbruch erfolgt", "Cancelled"),
    (0xA3, "cancelled", "Abbruch erfolgt, bitte Karte entnehmen", "Cancelled, please remove the card"),
    (0xA4, "cancel-impossible", "Abbruch nicht möglich", "Cannot be cancelled"),
    (0xA5, "cancel-impossible", "Abbruch nicht möglich, bitte Karte entnehmen", "Cannot be cancelled, please remove the card"),
    (0xC7, "enter-mileage", "Kilometerstand eingeben", "Enter the mileage"),
    (0xC8, "waiting-for-clerk", "Das Terminal wartet auf die Kasse", "The terminal waits for the clerk"),
    (0xC9, "diagnosis", "Das Terminal macht eine Diagnose", "The terminal is running a diagnosis"),
    (0xCA, "initialisation", "Das Terminal initialisiert sich", "The terminal is initialising"),
    (0xCB, "journal-full", "Händlerjournal voll", "Merchant journal full"),
    (0xCC, "pin-required", "Lastschrift nicht möglich, PIN nötig", "No direct debit, PIN required"),
    (0xD2, "connecting", "Verbindung wird aufgebaut", "Connecting"),
    (0xD3, "connected", "Verbindung steht", "Connected"),
    (0xE0, "select-application", "Bitte Anwendung am Terminal wählen", "Please choose the application on the terminal"),
    (0xE1, "select-language", "Bitte Sprache am Terminal wählen", "Please choose the language on the terminal"),
    (0xE2, "clean-reader", "Bitte Reinigungskarte benutzen", "Please use the cleaning card"),
    (0xF1, "offline", "Terminal ist offline", "The terminal is offline"),
    (0xF2, "online", "Terminal ist online", "The terminal is online"),
    (0xF3, "offline-transaction", "Zahlung ohne Netz", "Offline payment"),
    (0xFF, "other", "Bitte die Anzeige des Terminals beachten", "Please follow the terminal's display"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keywords_are_stable_and_in_kebab_case() {
        for (code, keyword, remove) in [
            (0x0A, "insert-card", false),
            (0x0B, "remove-card", true),
            (0x0E, "please-wait", false),
            (0x4B, "remove-card", true),
            (0x5D, "declined", true),
            (0x5E, "contactless-done", false),
            (0x67, "repeat-phone-number", true),
            (0x6A, "enter-pin", false),
            (0x4A, "other", false),
            (0xFF, "other", false),
            (0x99, "other", false),
        ] {
            let status = IntermediateStatus(code);
            assert_eq!(
                (status.keyword(), status.asks_to_remove_card()),
                (keyword, remove),
                "{code:X}"
            );
        }
        for (_, keyword, de, en) in STATUSES {
            assert!(
                keyword
                    .bytes()
                    .all(|byte| byte.is_ascii_lowercase() || byte == b'-')
            );
            assert!(!de.is_empty() && !en.is_empty());
        }
        assert!(STATUSES.is_sorted_by(|left, right| left.0 < right.0));
    }

    #[test]
    fn every_code_that_asks_to_remove_the_card_has_its_words() {
        for code in (0..=u8::MAX).map(IntermediateStatus) {
            assert!(
                !code.asks_to_remove_card() || code.keyword() != "other",
                "{code:?}"
            );
        }
    }
}

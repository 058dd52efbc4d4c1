//! Every sentence that kofferctl says by itself, in German and English.
//!
//! What a gateway says arrives in the language that was asked for and is not here.

use std::fmt::Display;

use koffer_proto::Text;

/// Defines sentences: `name(arguments) { German, English }`.
macro_rules! sentences {
    ($($name:ident($($argument:ident),*) { $de:literal, $en:literal })*) => {
        $(pub(super) fn $name($($argument: &dyn Display),*) -> Text {
            Text::new(format!($de), format!($en))
        })*

        /// Every sentence, with the names of its arguments in their place.
        #[cfg(test)]
        fn all() -> Vec<(&'static str, Vec<&'static str>, Text)> {
            vec![$((
                stringify!($name),
                vec![$(concat!("<", stringify!($argument), ">")),*],
                $name($(&concat!("<", stringify!($argument), ">")),*),
            )),*]
        }
    };
}

sentences! {
    // The command line and the configuration.
    no_user() {
        "Wer fragt? Den Benutzernamen am Broker angeben: --user NAME, KOFFERCTL_USER oder user in \
         ~/.config/kofferctl.toml.",
        "Who asks? Give the user name at the broker: --user NAME, KOFFERCTL_USER, or user in \
         ~/.config/kofferctl.toml."
    }
    config_file(path, error) {
        "{path}: {error}. Erlaubt sind address, gateway, user, password_file und lang.",
        "{path}: {error}. It may have address, gateway, user, password_file and lang."
    }
    config_value(key, error) {
        "In der Konfiguration stimmt {key} nicht: {error}.",
        "In the configuration, {key} is wrong: {error}."
    }
    password_file(path, error) {
        "Die Passwortdatei {path} lässt sich nicht lesen: {error}.",
        "The password file {path} cannot be read: {error}."
    }
    exposed_password(path) {
        "Achtung: Andere Benutzer können {path} lesen. Abhilfe: chmod 600 {path}",
        "Caution: other users can read {path}. Remedy: chmod 600 {path}"
    }
    option(name, error) {
        "{name} stimmt nicht: {error}.",
        "{name} is wrong: {error}."
    }
    params(error) {
        "Die Parameter sind kein JSON: {error}.",
        "The parameters are no JSON: {error}."
    }
    params_file(name, error) {
        "Die Parameter lassen sich nicht lesen ({name}): {error}.",
        "The parameters cannot be read ({name}): {error}."
    }
    unreadable_file(name, error) {
        "Die Datei {name} lässt sich nicht lesen: {error}.",
        "The file {name} cannot be read: {error}."
    }
    no_document(name) {
        "{name} ist weder PDF noch JPEG noch PWG-Raster; es wurde nichts gesendet. Die Datei zuerst als PDF \
         speichern.",
        "{name} is neither PDF nor JPEG nor PWG raster; nothing was sent. Save it as PDF first."
    }
    unsaved(name, error) {
        "Die Datei {name} lässt sich nicht schreiben: {error}. Der Inhalt ist nicht gespeichert; mit einer \
         anderen Datei noch einmal lesen.",
        "The file {name} cannot be written: {error}. The content is not saved; read again with \
         another file."
    }
    random(error) {
        "Das System gibt keine Zufallszahl her: {error}.",
        "The system gives no random number: {error}."
    }
    runtime(error) {
        "kofferctl kann nicht starten: {error}.",
        "kofferctl cannot start: {error}."
    }
    output(error) {
        "Die Ausgabe lässt sich nicht schreiben: {error}.",
        "The output cannot be written: {error}."
    }

    // The broker.
    unreachable(address, error) {
        "Der Broker {address} ist nicht erreichbar: {error}. Läuft er, und stimmt --address?",
        "The broker {address} cannot be reached: {error}. Is it running, and is --address right?"
    }
    refused(address, user, reason) {
        "Der Broker {address} weist „{user}“ ab ({reason}). Benutzername und Passwort prüfen: --user, \
         --password-file oder KOFFERCTL_PASSWORD.",
        "The broker {address} refuses \"{user}\" ({reason}). Check user name and password: --user, \
         --password-file or KOFFERCTL_PASSWORD."
    }
    subscription(address, user, filter) {
        "Der Broker {address} lässt „{user}“ nicht lesen: {filter}. Stimmen --gateway und --user? Sonst \
         die Themenregeln des Brokers erweitern lassen.",
        "The broker {address} does not let \"{user}\" read {filter}. Are --gateway and --user right? \
         Else have the broker's topic rules extended."
    }
    call_refused(address, user, topic) {
        "Der Broker {address} lässt „{user}“ nicht aufrufen: {topic}. Es ist nichts geschehen. Stimmen \
         --gateway und --user?",
        "The broker {address} does not let \"{user}\" call {topic}. Nothing happened. Are --gateway \
         and --user right?"
    }
    rejected(reason) {
        "Der Broker hat den Aufruf nicht angenommen: {reason}. Es ist nichts geschehen.",
        "The broker did not take the call: {reason}. Nothing happened."
    }
    too_large(limit) {
        "Der Aufruf ist größer, als der Broker annimmt: höchstens {limit} Byte.",
        "The call is larger than the broker takes: {limit} bytes at most."
    }
    unsendable(error) {
        "Der Aufruf lässt sich nicht senden: {error}.",
        "The call cannot be sent: {error}."
    }
    never_sent(address) {
        "Der Aufruf kam in der Frist nicht zum Broker {address}. Es ist nichts geschehen.",
        "The call did not reach the broker {address} in time. Nothing happened."
    }
    line_down(reason) {
        "Verbindung zum Broker verloren ({reason}). Sie wird neu aufgebaut …",
        "Lost the connection to the broker ({reason}). Reconnecting …"
    }
    line_up() {
        "Die Verbindung steht wieder.",
        "The connection is back."
    }

    // The gateway.
    gateway_unnamed(address) {
        "Der Broker {address} zeigt nicht, welche Gateways es gibt. Das Gateway nennen: --gateway NAME, \
         KOFFERCTL_GATEWAY oder gateway in ~/.config/kofferctl.toml.",
        "The broker {address} does not show which gateways there are. Name the gateway: --gateway \
         NAME, KOFFERCTL_GATEWAY, or gateway in ~/.config/kofferctl.toml."
    }
    gateway_unseen(address, user) {
        "Am Broker {address} ist für „{user}“ kein Gateway zu sehen. Läuft kofferd? Sonst das Gateway \
         nennen: --gateway NAME.",
        "\"{user}\" sees no gateway on the broker {address}. Is kofferd running? Else name the \
         gateway: --gateway NAME."
    }
    gateways(address, names) {
        "Am Broker {address} gibt es mehrere Gateways: {names}. Eines nennen: --gateway NAME.",
        "The broker {address} has several gateways: {names}. Name one: --gateway NAME."
    }
    gateway_absent(name, address) {
        "Vom Gateway „{name}“ ist am Broker {address} nichts zu sehen. Stimmt --gateway, und läuft kofferd? \
         Es wurde nichts gesendet.",
        "Nothing is seen of gateway \"{name}\" on the broker {address}. Is --gateway right, and is \
         kofferd running? Nothing was sent."
    }
    gateway_offline(name, address) {
        "Das Gateway „{name}“ am Broker {address} ist offline. kofferd starten: systemctl start kofferd. \
         Es wurde nichts gesendet.",
        "Gateway \"{name}\" on the broker {address} is offline. Start kofferd: systemctl start \
         kofferd. Nothing was sent."
    }
    gateway_left() {
        "Das Gateway ist offline gegangen. Es wird weiter auf den Ausgang gewartet …",
        "The gateway went offline. Still waiting for the outcome …"
    }
    stale() {
        "Das Gateway ist offline: Das ist der letzte bekannte Stand.",
        "The gateway is offline: this is the last that is known."
    }
    no_events() {
        "Dieser Benutzer darf keine Ereignisse lesen; sie fehlen hier.",
        "This user may not read events; they are missing here."
    }
    unknown_device(name, devices) {
        "Das Gateway hat kein Gerät und keine Rolle „{name}“. Es gibt: {devices}.",
        "The gateway has no device and no role \"{name}\". It has: {devices}."
    }
    calls_not_read(error) {
        "Reservierung und Aufrufe fehlen hier: {error}",
        "The claim and the calls are missing here: {error}"
    }
    no_answer_to_read() {
        "Die Antwort des Gateways ist nicht zu lesen.",
        "The gateway's answer cannot be read."
    }
    no_devices() {
        "Das Gateway hat keine Geräte.",
        "The gateway has no devices."
    }

    // The course of a call.
    call_id(id) {
        "Aufruf {id}  (bei fehlender Antwort denselben Aufruf wiederholen: --call {id})",
        "Call {id}  (if no answer comes, ask for the same call again: --call {id})"
    }
    maybe_sent() {
        "Die Verbindung brach beim Senden ab; der Aufruf kann angekommen sein. Es wird weiter gewartet …",
        "The connection broke while sending; the call may have arrived. Still waiting …"
    }
    asked_again(id) {
        "Derselbe Aufruf wird noch einmal gesendet ({id}); er geschieht dadurch nicht zweimal.",
        "Sending the same call again ({id}); it does not happen twice by that."
    }
    not_asked_again() {
        "Das Gateway wurde neu gestartet und führt kein dauerhaftes Journal. Der Aufruf wird NICHT noch \
         einmal gesendet: Er könnte zweimal geschehen.",
        "The gateway restarted and keeps no durable journal. The call is NOT sent again: it could \
         happen twice."
    }
    cancelling() {
        "Der Abbruch ist angefordert; es wird auf den Ausgang gewartet. Noch einmal Strg-C: nicht warten.",
        "Asked to cancel; waiting for the outcome. Ctrl-C again: do not wait."
    }
    cancel_heard() {
        "Der Abbruch ist angenommen.",
        "The cancellation was taken."
    }
    cancel_too_late() {
        "Zum Abbrechen ist es zu spät; der Ausgang folgt.",
        "It is too late to cancel; the outcome follows."
    }
    cancel_unknown() {
        "Das Gateway kennt den Aufruf nicht; es gibt nichts abzubrechen.",
        "The gateway does not know the call; there is nothing to cancel."
    }
    cancel_failed(message) {
        "Der Abbruch gelang nicht: {message}",
        "The cancellation failed: {message}"
    }
    left() {
        "Abgebrochen.",
        "Left."
    }
    left_open(id) {
        "Ohne Ausgang verlassen: Der Aufruf kann noch laufen. Nachfragen mit demselben Befehl und \
         --call {id}, nie mit neuer Kennung.",
        "Left without an outcome: the call may still run. Ask with the same command and --call {id}, \
         never under a new id."
    }
    no_completion(id) {
        "Es kam keine Antwort in der Frist. Nachfragen mit demselben Befehl und --call {id}.",
        "No answer came in time. Ask with the same command and --call {id}."
    }
    no_completion_once(id) {
        "Es kam keine Antwort in der Frist: Ob es geschehen ist, ist hier NICHT BEKANNT. Nicht neu \
         aufrufen! Nachfragen mit demselben Befehl und --call {id}.",
        "No answer came in time: whether it happened is NOT KNOWN here. Do not call anew! Ask with \
         the same command and --call {id}."
    }
    no_completion_forgotten(id) {
        "Es kam keine Antwort, und das Gateway wurde inzwischen ohne dauerhaftes Journal neu gestartet: Ob \
         es geschehen ist, ist NICHT BEKANNT. Nicht wiederholen, auch nicht mit --call {id}! Am Gerät \
         nachsehen.",
        "No answer came, and the gateway restarted meanwhile without a durable journal: whether it \
         happened is NOT KNOWN. Do not repeat it, not even with --call {id}! Look at the device."
    }
    unreadable(id) {
        "Die Antwort ist nicht zu lesen: Ob es geschehen ist, ist hier NICHT BEKANNT. Nicht neu aufrufen! \
         Nachfragen mit --call {id} oder am Gerät nachsehen.",
        "The answer cannot be read: whether it happened is NOT KNOWN here. Do not call anew! Ask \
         with --call {id}, or look at the device."
    }

    // The end of a call: status.
    status_ok() { "Erledigt.", "Done." }
    status_bad_request() { "Der Aufruf ist fehlerhaft.", "The call is malformed." }
    status_unsupported() { "Das kann das Gerät nicht.", "The device cannot do that." }
    status_denied() { "Nicht erlaubt.", "Not allowed." }
    status_unknown_device() { "Unbekanntes Gerät.", "Unknown device." }
    status_unavailable() { "Das Gerät ist nicht einsatzbereit.", "The device is not ready." }
    status_busy() { "Das Gerät ist ausgelastet.", "The device is busy." }
    status_claimed() { "Das Gerät ist reserviert.", "The device is claimed." }
    status_expired() { "Die Frist war vorbei.", "The deadline had passed." }
    status_conflict() { "Die Aufrufkennung ist vergeben.", "The call id is taken." }
    status_declined() { "Abgelehnt.", "Declined." }
    status_cancelled() { "Abgebrochen.", "Cancelled." }
    status_timed_out() { "Nicht in der Frist fertig.", "Not finished in time." }
    status_device_fault() { "Das Gerät hat einen Fehler.", "The device failed." }
    status_outcome_unknown() { "AUSGANG UNBEKANNT.", "OUTCOME UNKNOWN." }
    status_strange(status) {
        "Unbekannter Status „{status}“.",
        "Unknown status \"{status}\"."
    }

    // The end of a call: what became of it.
    paid(amount, receipt) {
        "Bezahlt: {amount}, Beleg {receipt}. Das Geld ist geflossen.",
        "Paid: {amount}, receipt {receipt}. The money moved."
    }
    refunded(amount, receipt) {
        "Gutgeschrieben: {amount}, Beleg {receipt}. Das Geld ist geflossen.",
        "Refunded: {amount}, receipt {receipt}. The money moved."
    }
    reversed(amount, receipt) {
        "Storniert: {amount}, Beleg {receipt}. Das Geld ist zurückgebucht.",
        "Reversed: {amount}, receipt {receipt}. The money is booked back."
    }
    recovered() {
        "Der Ausgang wurde nach einer Störung am Gerät festgestellt.",
        "The outcome was found out at the device after contact was lost."
    }
    money_done() { "Das Geld ist geflossen.", "The money moved." }
    money_none() { "Es ist kein Geld geflossen.", "No money moved." }
    money_partial() {
        "Das Geld ist nur zum Teil geflossen.",
        "The money moved in part only."
    }
    money_unknown() {
        "Es ist NICHT BEKANNT, ob Geld geflossen ist. NICHT WIEDERHOLEN!",
        "It is NOT KNOWN whether money moved. DO NOT REPEAT!"
    }
    closing_done() { "Der Kassenschnitt ist gemacht.", "The business day is closed." }
    closing_none() { "Der Kassenschnitt ist nicht gemacht.", "The business day is not closed." }
    closing_partial() {
        "Der Kassenschnitt ist nur zum Teil gemacht.",
        "The business day is closed in part only."
    }
    closing_unknown() {
        "Es ist NICHT BEKANNT, ob der Kassenschnitt gemacht ist. NICHT WIEDERHOLEN!",
        "It is NOT KNOWN whether the business day is closed. DO NOT REPEAT!"
    }
    paper_done() { "Es ist gedruckt.", "It is printed." }
    paper_none() { "Es ist nichts gedruckt.", "Nothing is printed." }
    paper_partial() { "Es ist nur zum Teil gedruckt.", "It is printed in part only." }
    paper_unknown() {
        "Es ist NICHT BEKANNT, ob gedruckt ist. NICHT WIEDERHOLEN, erst nachsehen!",
        "It is NOT KNOWN whether it is printed. DO NOT REPEAT, look first!"
    }
    printed(device, sheets) {
        "Gedruckt an {device}, Blatt: {sheets}.",
        "Printed on {device}, sheets: {sheets}."
    }
    printed_uncounted(device) { "Gedruckt an {device}.", "Printed on {device}." }
    printed_unproven(device) {
        "{device} hat alles angenommen und meldet nicht, ob Papier kam.",
        "{device} took all of it and does not say whether paper came out."
    }
    chip_done() { "Der Chip ist geschrieben.", "The chip is written." }
    chip_none() { "Der Chip ist unverändert.", "The chip is unchanged." }
    chip_partial() {
        "Der Chip ist nur zum Teil geschrieben.",
        "The chip is written in part only."
    }
    chip_unknown() {
        "Es ist NICHT BEKANNT, ob der Chip geschrieben ist. NICHT WIEDERHOLEN, erst lesen!",
        "It is NOT KNOWN whether the chip is written. DO NOT REPEAT, read it first!"
    }
    card_connected() {
        "Die Karte ist bereit und bleibt es für weitere Aufrufe.",
        "The card is ready and stays so for further calls."
    }
    card_disconnected() { "Die Karte ist freigegeben.", "The card is let go of." }
    card_read(bytes) { "Gelesen, Byte: {bytes}.", "Read, bytes: {bytes}." }
    card_written(bytes) {
        "Geschrieben und zurückgelesen, Byte: {bytes}.",
        "Written and read back, bytes: {bytes}."
    }
    saved(name) { "Gespeichert: {name}", "Saved: {name}" }
    batch_done(count) {
        "Alle Befehle sind angenommen: {count}",
        "All commands are accepted: {count}"
    }
    batch_stopped(number, word) {
        "Angehalten nach Befehl {number}: Die Antwort {word} war nicht erlaubt.",
        "Stopped after command {number}: the answer {word} was not accepted."
    }
    deed_done() { "Es ist geschehen.", "It happened." }
    deed_none() { "Es ist nichts geschehen.", "Nothing happened." }
    deed_partial() { "Es ist nur zum Teil geschehen.", "It happened in part only." }
    deed_unknown() {
        "Es ist NICHT BEKANNT, ob es geschehen ist. NICHT WIEDERHOLEN!",
        "It is NOT KNOWN whether it happened. DO NOT REPEAT!"
    }
    resolve(call, client) {
        "Am Gerät nachsehen. Wer das Recht hat, trägt dann ein, was war: kofferctl resolve {call} --client {client}",
        "Look at the device. Who has the right then notes what happened: kofferctl resolve {call} --client {client}"
    }
    some_unresolved(count) {
        "NICHT WIEDERHOLEN: bei {count} Aufruf(en) ist unbekannt, was geschehen ist. Am Gerät nachsehen, dann: kofferctl resolve",
        "DO NOT REPEAT: of {count} call(s) nobody knows what happened. Look at the device, then: kofferctl resolve"
    }
    nothing_unresolved() {
        "Kein Aufruf wartet auf eine Klärung.",
        "No call waits to be resolved."
    }
    unresolved(number, device, operation, client, call, since) {
        "{number}. {device}: {operation} ({client}, Aufruf {call}, angenommen {since})",
        "{number}. {device}: {operation} ({client}, call {call}, accepted {since})"
    }
    which_call(count) {
        "Welcher Aufruf? 1 bis {count}, sonst Abbruch:",
        "Which call? 1 to {count}, anything else leaves:"
    }
    which_finding() {
        "Was zeigt das Gerät? 1 = ausgeführt, 2 = nicht ausgeführt, 3 = teilweise, sonst Abbruch:",
        "What does the device show? 1 = done, 2 = not done, 3 = partly, anything else leaves:"
    }
    what_was_seen() {
        "Woran sehen Sie das? (Beleg, Ausdruck, Anzeige; wird mit Ihrem Namen festgehalten):",
        "What do you see? (receipt, printout, display; it is put on record with your name):"
    }
    resolve_needs() {
        "Zum Eintragen: kofferctl resolve AUFRUF --finding done|not-done|partial --saw '…'",
        "To note it: kofferctl resolve CALL --finding done|not-done|partial --saw '…'"
    }
    field(name) { "Feld: {name}", "Field: {name}" }
    device_code(code) { "Code des Geräts: {code}", "The device's code: {code}" }
    claimed_by(client) { "Reserviert von: {client}", "Claimed by: {client}" }
    retry_after(seconds) {
        "Frühestens in {seconds} s noch einmal versuchen.",
        "Try again in {seconds} s at the earliest."
    }
    completed(count) { "Davon geschehen: {count}", "Of it done: {count}" }
    claim_held(token, until) {
        "Reserviert bis {until}. Weitere Aufrufe mit: --claim {token}",
        "Claimed until {until}. Further calls with: --claim {token}"
    }
    released() { "Die Reservierung ist beendet.", "The claim is ended." }
    signal_delivered() { "Der laufende Aufruf hat das Signal.", "The running call has the signal." }
    signal_not_expected() {
        "Der Aufruf nimmt das Signal jetzt nicht an.",
        "The call does not take the signal now."
    }
    signal_unknown() {
        "Das Gateway kennt den Aufruf nicht.",
        "The gateway does not know the call."
    }
    ignored(names) {
        "Unbekannte Angaben hatten keine Wirkung: {names}. Schreibweise prüfen.",
        "Unknown fields had no effect: {names}. Check their spelling."
    }
    no_calls() { "Kein Aufruf wartet oder läuft.", "No call waits or runs." }
    test_passed() { "Der Selbsttest ist bestanden.", "The self-test passed." }
    test_failed() { "Der Selbsttest ist NICHT bestanden.", "The self-test did NOT pass." }

    test_skipped() {
        "Der Selbsttest hat nichts geprüft: Auf dieser Stufe gibt es hier nichts zu prüfen.",
        "The self-test tested nothing: there is nothing to test at this level."
    }

    // Progress.
    queued(ahead) { "wartet; davor: {ahead}", "waits; ahead: {ahead}" }
    started() { "das Gerät beginnt", "the device begins" }
    sheets(count) { "Blatt fertig: {count}", "sheets done: {count}" }
    advanced(completed, total) { "{completed} von {total}", "{completed} of {total}" }
    attempt(number, of) { "Versuch {number} von {of}", "attempt {number} of {of}" }
    finger_placed() { "Finger liegt auf", "finger placed" }
    finger_removed() { "Finger abgehoben", "finger removed" }
    pen_down() { "Stift setzt auf", "pen down" }
    page(number) { "Seite {number} gescannt", "page {number} scanned" }
    feeder_empty() { "Einzug leer", "feeder empty" }

    // The journal.
    journal_nothing() {
        "Kein Aufruf im Journal passt dazu.",
        "No call in the journal fits."
    }
    journal_in_order(path) {
        "{path} ist in Ordnung und bleibt, wo es ist.",
        "{path} is in order and stays where it is."
    }
    journal_set_aside(path) {
        "Das Journal war beschädigt und liegt jetzt in {path}; kofferd beginnt ein neues. Was vorher \
         offen war, weiß kofferd nicht mehr: vor der nächsten Zahlung an jedem Gerät nachsehen, und \
         kofferd neu starten.",
        "The journal was damaged and is in {path} now; kofferd begins a new one. What was open before, \
         kofferd no longer knows: look at every device before the next payment, and restart kofferd."
    }
    journal_accepted() { "angenommen", "accepted" }
    journal_begun() { "begonnen, ohne Ende", "begun, no end" }
    journal_resolved() { "geklärt", "resolved" }
    journal_target() { "Gerufen", "Called" }
    journal_accepted_at() { "Angenommen", "Accepted" }
    journal_digest() { "SHA256", "SHA-256" }
    journal_number() { "Nummer", "Number" }
    time() { "Zeit", "Time" }

    // Words in tables and receipts.
    device() { "Gerät", "Device" }
    class() { "Klasse", "Class" }
    state() { "Zustand", "State" }
    since() { "Seit", "Since" }
    driver() { "Treiber", "Driver" }
    address() { "Adresse", "Address" }
    vendor() { "Hersteller", "Vendor" }
    firmware() { "Firmware-Version", "Firmware" }
    supplies() { "Vorräte", "Supplies" }
    capabilities() { "Fähigkeiten", "Capabilities" }
    operations() { "Vorgänge", "Operations" }
    roles() { "Rollen", "Roles" }
    claim() { "Reservierung", "Claim" }
    queue() { "Warteschlange", "Queue" }
    counters() { "Zähler", "Counters" }
    self_test() { "Selbsttest", "Self-test" }
    duration() { "Dauer", "Duration" }
    not_told() { "nicht bekannt", "not known" }
    nobody() { "niemand", "nobody" }
    nothing() { "keine", "none" }
    state_since(state, since) { "{state} seit {since}", "{state} since {since}" }
    claim_of(client, until) { "{client} bis {until}", "{client} until {until}" }
    role_served_here(role, others) {
        "{role}: bedient von diesem Gerät; Vertretung: {others}",
        "{role}: served by this device; stands in for it: {others}"
    }
    role_served_by(role, device, others) {
        "{role}: zurzeit bedient von {device}; Reihenfolge: {others}",
        "{role}: served by {device} now; order: {others}"
    }
    role_not_served(role, others) {
        "{role}: zurzeit von keinem Gerät bedient; Reihenfolge: {others}",
        "{role}: served by no device now; order: {others}"
    }
    waiting(count) { "{count} wartend", "{count} waiting" }
    driver_restarts(count) {
        "Neustarts des Treibers: {count}",
        "driver restarts: {count}"
    }
    last_self_test(outcome, level, at) {
        "{outcome} ({level}, {at})",
        "{outcome} at level {level}, {at}"
    }
    model() { "Modell", "Model" }
    reasons() { "Grund", "Reason" }
    client() { "Von", "Client" }
    call() { "Aufruf", "Call" }
    operation() { "Vorgang", "Operation" }
    outcome_unknown_because() { "Ausgang unbekannt, weil", "Outcome unknown because" }
    phase() { "Stand", "Phase" }
    deadline() { "Frist", "Deadline" }
    step() { "Schritt", "Step" }
    result() { "Ergebnis", "Result" }
    remark() { "Bemerkung", "Remark" }
    card() { "Karte", "Card" }
    count() { "Anzahl", "Count" }
    sum() { "Summe", "Sum" }
    amount() { "Betrag", "Amount" }
    receipt_number() { "Beleg", "Receipt" }
    trace() { "Trace-Nr.", "Trace" }
    terminal() { "Terminal-ID", "Terminal" }
    pan() { "Kartennr.", "Card no." }
    atr() { "ATR der Karte", "Card's ATR" }
    protocol() { "Protokoll", "Protocol" }
    authorisation() { "Genehmigung", "Authorised" }
    copy_customer() { "Kundenbeleg", "Customer receipt" }
    copy_merchant() { "Händlerbeleg", "Merchant receipt" }
    copy_administration() { "Verwaltungsbeleg", "Administration receipt" }
    copy_other() { "Beleg", "Receipt" }
    sign_here() { "Unterschrift nötig", "signature required" }
    gone() { "entfernt", "removed" }
    attached() { "Angesteckt", "Attached" }
    attached_by() { "Art", "By" }
    usb_id() { "vid:pid", "VID:PID" }
    serial_number() { "Seriennr.", "Serial" }
    port() { "Buchse", "Port" }
    device_or_reason() { "Gerät oder Grund", "Device or reason" }
    nothing_unbound() {
        "Alles, was angesteckt ist, ist ein Gerät.",
        "Everything that is attached is a device."
    }
    health(calls, outbox, memory) {
        "Aufrufe offen: {calls}, Postausgang: {outbox}, Speicher: {memory} MiB",
        "calls open: {calls}, outbox: {outbox}, memory: {memory} MiB"
    }
    long_value(count) { "({count} Zeichen)", "({count} characters)" }
    yes() { "ja", "yes" }
    no() { "nein", "no" }
}

/// Defines words for keywords of the wire: `name { keyword => German, English }`. A keyword of a
/// later gateway stays as it is.
macro_rules! words {
    ($($(#[$doc:meta])* $name:ident { $($keyword:literal => $de:literal, $en:literal;)* })*) => {
        $($(#[$doc])* pub(super) fn $name(keyword: &str) -> Text {
            match keyword {
                $($keyword => Text::new($de, $en),)*
                other => Text::new(other, other),
            }
        })*
    };
}

words! {
    /// How a device is.
    device_state {
        "starting" => "verbindet", "starting";
        "ready" => "bereit", "ready";
        "busy" => "beschäftigt", "busy";
        "claimed" => "reserviert", "claimed";
        "degraded" => "eingeschränkt", "degraded";
        "fault" => "Störung", "fault";
        "absent" => "nicht da", "absent";
    }
    /// Where a call stands.
    call_phase {
        "queued" => "wartet", "queued";
        "running" => "läuft", "running";
        "effect-begun" => "läuft, Wirkung begonnen", "running, effect begun";
    }
    /// How a step of a self-test ended, or all of it.
    step_outcome {
        "passed" => "bestanden", "passed";
        "failed" => "NICHT bestanden", "FAILED";
        "skipped" => "nicht geprüft", "skipped";
    }
    /// How deep a self-test goes.
    test_level {
        "internal" => "intern", "internal";
        "external" => "extern", "external";
        "interactive" => "mit Bedienung", "interactive";
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_sentence_is_there_in_german_and_in_english_with_all_it_has_to_say() {
        for (name, arguments, text) in all() {
            assert!(!text.de.is_empty() && !text.en.is_empty(), "{name}");
            assert_ne!(text.de, text.en, "{name} is not translated");
            for argument in arguments {
                assert!(text.de.contains(argument), "{name} de: {argument}");
                assert!(text.en.contains(argument), "{name} en: {argument}");
            }
        }
    }

    #[test]
    fn every_state_of_a_device_and_every_end_of_a_step_has_its_german_word() {
        use koffer_proto::DeviceState::{Absent, Busy, Claimed, Degraded, Fault, Ready, Starting};
        for state in [Starting, Ready, Busy, Claimed, Degraded, Fault, Absent] {
            let word = device_state(state.as_str());
            assert_eq!(word.en, state.as_str());
            assert_ne!(word.de, word.en);
        }
        for outcome in ["passed", "failed", "skipped"] {
            assert_ne!(step_outcome(outcome).de, outcome);
        }
        assert_eq!(device_state("asleep").de, "asleep");
    }

    #[test]
    fn german_sentences_use_german_quotation_marks() {
        for (name, _, text) in all() {
            assert!(!text.de.contains('"'), "{name}: {}", text.de);
        }
    }
}

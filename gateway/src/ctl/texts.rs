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
        "Der Benutzername fehlt. Angeben mit --user NAME, KOFFERCTL_USER oder user in \
         ~/.config/kofferctl.toml.",
        "The user name is missing. Give it with --user NAME, KOFFERCTL_USER, or user in \
         ~/.config/kofferctl.toml."
    }
    config_file(path, error) {
        "{path}: {error}. Erlaubt sind address, gateway, user, password_file und lang.",
        "{path}: {error}. Allowed are address, gateway, user, password_file and lang."
    }
    config_value(key, error) {
        "Falscher Wert für {key} in der Konfiguration: {error}.",
        "Wrong value for {key} in the configuration: {error}."
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
        "Ungültige Angabe für {name}: {error}.",
        "Invalid value for {name}: {error}."
    }
    params(error) {
        "Die Parameter sind kein gültiges JSON: {error}.",
        "The parameters are not valid JSON: {error}."
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
        "{name} ist weder PDF noch JPEG noch PWG-Raster. Es wurde nichts gesendet. Die \
         Datei zuerst als PDF speichern.",
        "{name} is neither PDF nor JPEG nor PWG raster. Nothing was sent. Save it as PDF \
         first."
    }
    unsaved(name, error) {
        "Die Datei {name} lässt sich nicht schreiben: {error}. Der Inhalt ist nicht \
         gespeichert. Noch einmal lesen und eine andere Datei angeben.",
        "The file {name} cannot be written: {error}. The content is not saved. Read again \
         and name another file."
    }
    random(error) {
        "Das System liefert keine Zufallszahl: {error}.",
        "The system provides no random number: {error}."
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
        "Der Broker {address} lehnt „{user}“ ab ({reason}). Benutzername und Passwort \
         prüfen: --user, --password-file oder KOFFERCTL_PASSWORD.",
        "The broker {address} refuses \"{user}\" ({reason}). Check user name and password: \
         --user, --password-file or KOFFERCTL_PASSWORD."
    }
    subscription(address, user, filter) {
        "Der Broker {address} erlaubt „{user}“ nicht, {filter} zu lesen. --gateway und \
         --user prüfen; sonst fehlt das Recht in den Topic-Regeln des Brokers.",
        "The broker {address} does not allow \"{user}\" to read {filter}. Check --gateway \
         and --user; otherwise the right is missing in the broker's topic rules."
    }
    call_refused(address, user, topic) {
        "Der Broker {address} erlaubt „{user}“ den Aufruf {topic} nicht. Es wurde nichts \
         ausgeführt. --gateway und --user prüfen.",
        "The broker {address} does not allow \"{user}\" to call {topic}. Nothing was done. \
         Check --gateway and --user."
    }
    rejected(reason) {
        "Der Broker hat den Aufruf abgelehnt: {reason}. Es wurde nichts ausgeführt.",
        "The broker rejected the call: {reason}. Nothing was done."
    }
    too_large(limit) {
        "Der Aufruf ist zu groß: Der Broker nimmt höchstens {limit} Byte an.",
        "The call is too large: the broker accepts {limit} bytes at most."
    }
    unsendable(error) {
        "Der Aufruf lässt sich nicht senden: {error}.",
        "The call cannot be sent: {error}."
    }
    never_sent(address) {
        "Der Aufruf hat den Broker {address} nicht rechtzeitig erreicht. Es wurde nichts \
         ausgeführt.",
        "The call did not reach the broker {address} in time. Nothing was done."
    }
    line_down(reason) {
        "Verbindung zum Broker verloren ({reason}). Sie wird neu aufgebaut …",
        "Lost the connection to the broker ({reason}). Reconnecting …"
    }
    line_up() { "Die Verbindung ist wiederhergestellt.", "The connection is back." }

    // The gateway.
    gateway_unnamed(address) {
        "Der Broker {address} zeigt nicht, welche Gateways es gibt. Das Gateway angeben: \
         --gateway NAME, KOFFERCTL_GATEWAY oder gateway in ~/.config/kofferctl.toml.",
        "The broker {address} does not show which gateways there are. Name the gateway: \
         --gateway NAME, KOFFERCTL_GATEWAY, or gateway in ~/.config/kofferctl.toml."
    }
    gateway_unseen(address, user) {
        "„{user}“ sieht am Broker {address} kein Gateway. Läuft kofferd? Sonst das Gateway \
         angeben: --gateway NAME.",
        "\"{user}\" sees no gateway on the broker {address}. Is kofferd running? Otherwise \
         name the gateway: --gateway NAME."
    }
    gateways(address, names) {
        "Am Broker {address} gibt es mehrere Gateways: {names}. Eines angeben: --gateway \
         NAME.",
        "The broker {address} has several gateways: {names}. Name one: --gateway NAME."
    }
    gateway_absent(name, address) {
        "Am Broker {address} gibt es kein Gateway „{name}“. Stimmt --gateway, und läuft \
         kofferd? Es wurde nichts gesendet.",
        "There is no gateway \"{name}\" on the broker {address}. Is --gateway right, and is \
         kofferd running? Nothing was sent."
    }
    gateway_offline(name, address) {
        "Das Gateway „{name}“ am Broker {address} ist offline. kofferd starten: systemctl start kofferd. \
         Es wurde nichts gesendet.",
        "Gateway \"{name}\" on the broker {address} is offline. Start kofferd: systemctl start \
         kofferd. Nothing was sent."
    }
    gateway_left() {
        "Das Gateway ist jetzt offline. Es wird weiter auf das Ergebnis gewartet …",
        "The gateway went offline. Still waiting for the outcome …"
    }
    stale() {
        "Das Gateway ist offline. Angezeigt wird der letzte bekannte Stand.",
        "The gateway is offline. Shown is the last known state."
    }
    no_events() {
        "Dieser Benutzer darf keine Ereignisse lesen; sie werden nicht angezeigt.",
        "This user may not read events; they are not shown."
    }
    unknown_device(name, devices) {
        "Das Gateway hat kein Gerät und keine Rolle „{name}“. Vorhanden: {devices}.",
        "The gateway has no device and no role \"{name}\". It has: {devices}."
    }
    calls_not_read(error) {
        "Reservierung und Aufrufe fehlen in dieser Anzeige: {error}",
        "The claim and the calls are missing here: {error}"
    }
    no_answer_to_read() {
        "Die Antwort des Gateways ist nicht lesbar.",
        "The gateway's answer cannot be read."
    }
    no_devices() {
        "Das Gateway hat keine Geräte.",
        "The gateway has no devices."
    }

    // The course of a call.
    call_id(id) {
        "Aufruf {id}  (kommt keine Antwort, denselben Aufruf wiederholen: --call {id})",
        "Call {id}  (if no answer comes, repeat the same call: --call {id})"
    }
    maybe_sent() {
        "Die Verbindung brach beim Senden ab. Der Aufruf kann angekommen sein; es wird \
         weiter gewartet …",
        "The connection broke while sending. The call may have arrived; still waiting …"
    }
    asked_again(id) {
        "Derselbe Aufruf wird noch einmal gesendet ({id}). Er wird dadurch nicht zweimal \
         ausgeführt.",
        "Sending the same call again ({id}). It will not run twice."
    }
    not_asked_again() {
        "Das Gateway wurde neu gestartet und führt kein Journal auf dem Datenträger. Der \
         Aufruf wird NICHT noch einmal gesendet: Er könnte zweimal ausgeführt werden.",
        "The gateway restarted and keeps no journal on disk. The call is NOT sent again: it \
         could run twice."
    }
    cancelling() {
        "Abbruch angefordert; es wird auf das Ergebnis gewartet. Noch einmal Strg-C: nicht \
         länger warten.",
        "Cancellation requested; waiting for the outcome. Ctrl-C again: stop waiting."
    }
    cancel_heard() { "Abbruch angenommen.", "Cancellation accepted." }
    cancel_too_late() {
        "Zum Abbrechen ist es zu spät; das Ergebnis folgt.",
        "It is too late to cancel; the outcome follows."
    }
    cancel_unknown() {
        "Das Gateway kennt diesen Aufruf nicht; es gibt nichts abzubrechen.",
        "The gateway does not know this call; there is nothing to cancel."
    }
    cancel_failed(message) {
        "Der Abbruch ist fehlgeschlagen: {message}",
        "The cancellation failed: {message}"
    }
    left() { "Beendet.", "Stopped." }
    left_open(id) {
        "Beendet, bevor das Ergebnis bekannt war: Der Aufruf kann noch laufen. Nachfragen \
         mit demselben Befehl und --call {id}, nie mit neuer Kennung.",
        "Stopped before the outcome was known: the call may still be running. Ask again \
         with the same command and --call {id}, never under a new id."
    }
    no_completion(id) {
        "Keine Antwort innerhalb der Frist. Nachfragen mit demselben Befehl und --call \
         {id}.",
        "No answer in time. Ask again with the same command and --call {id}."
    }
    no_completion_once(id) {
        "Keine Antwort innerhalb der Frist: Ob der Aufruf ausgeführt wurde, ist hier NICHT \
         BEKANNT. Nicht neu aufrufen! Nachfragen mit demselben Befehl und --call {id}.",
        "No answer in time: whether the call was carried out is NOT KNOWN here. Do not make \
         a new call! Ask again with the same command and --call {id}."
    }
    no_completion_forgotten(id) {
        "Keine Antwort, und das Gateway wurde inzwischen ohne Journal auf dem Datenträger \
         neu gestartet: Ob der Aufruf ausgeführt wurde, ist NICHT BEKANNT. Nicht \
         wiederholen, auch nicht mit --call {id}! Am Gerät nachsehen.",
        "No answer, and the gateway restarted meanwhile without a journal on disk: whether \
         the call was carried out is NOT KNOWN. Do not repeat it, not even with --call \
         {id}! Look at the device."
    }
    unreadable(id) {
        "Die Antwort ist nicht lesbar: Ob der Aufruf ausgeführt wurde, ist hier NICHT \
         BEKANNT. Nicht neu aufrufen! Nachfragen mit --call {id} oder am Gerät nachsehen.",
        "The answer cannot be read: whether the call was carried out is NOT KNOWN here. Do \
         not make a new call! Ask again with --call {id}, or look at the device."
    }

    // The end of a call: status.
    status_ok() { "Erledigt.", "Done." }
    status_bad_request() { "Der Aufruf ist fehlerhaft.", "The call is malformed." }
    status_unsupported() {
        "Das Gerät kann diesen Vorgang nicht ausführen.",
        "The device cannot do that."
    }
    status_denied() { "Nicht erlaubt.", "Not allowed." }
    status_unknown_device() { "Unbekanntes Gerät.", "Unknown device." }
    status_unavailable() { "Das Gerät ist nicht einsatzbereit.", "The device is not ready." }
    status_busy() { "Das Gerät ist ausgelastet.", "The device is busy." }
    status_claimed() { "Das Gerät ist reserviert.", "The device is claimed." }
    status_expired() { "Die Frist war abgelaufen.", "The deadline had passed." }
    status_conflict() {
        "Die Aufrufkennung ist schon vergeben.",
        "The call id is already in use."
    }
    status_declined() { "Abgelehnt.", "Declined." }
    status_cancelled() { "Abgebrochen.", "Cancelled." }
    status_timed_out() { "Nicht rechtzeitig fertig.", "Not finished in time." }
    status_device_fault() { "Gerätefehler.", "Device fault." }
    status_outcome_unknown() { "ERGEBNIS UNBEKANNT.", "OUTCOME UNKNOWN." }
    status_strange(status) {
        "Unbekannter Status „{status}“.",
        "Unknown status \"{status}\"."
    }

    // The end of a call: what became of it.
    paid(amount, receipt) {
        "Bezahlt: {amount}, Beleg {receipt}. Zahlung gebucht.",
        "Paid: {amount}, receipt {receipt}. Payment booked."
    }
    refunded(amount, receipt) {
        "Gutgeschrieben: {amount}, Beleg {receipt}. Gutschrift gebucht.",
        "Refunded: {amount}, receipt {receipt}. Refund booked."
    }
    reversed(amount, receipt) {
        "Storniert: {amount}, Beleg {receipt}. Storno gebucht.",
        "Reversed: {amount}, receipt {receipt}. Reversal booked."
    }
    recovered() {
        "Das Ergebnis wurde nach einer Unterbrechung vom Gerät gelesen.",
        "The outcome was read from the device after an interruption."
    }
    money_done() { "Der Vorgang ist gebucht.", "The transaction is booked." }
    money_none() { "Es wurde nichts gebucht.", "Nothing was booked." }
    money_partial() { "Nur ein Teil wurde gebucht.", "Only a part was booked." }
    money_unknown() {
        "Es ist NICHT BEKANNT, ob gebucht wurde. NICHT WIEDERHOLEN!",
        "It is NOT KNOWN whether it was booked. DO NOT REPEAT!"
    }
    closing_done() { "Der Kassenschnitt ist durchgeführt.", "The business day is closed." }
    closing_none() {
        "Der Kassenschnitt wurde nicht durchgeführt.",
        "The business day was not closed."
    }
    closing_partial() {
        "Der Kassenschnitt wurde nur teilweise durchgeführt.",
        "The business day was closed only in part."
    }
    closing_unknown() {
        "Es ist NICHT BEKANNT, ob der Kassenschnitt durchgeführt wurde. NICHT WIEDERHOLEN!",
        "It is NOT KNOWN whether the business day was closed. DO NOT REPEAT!"
    }
    paper_done() { "Gedruckt.", "Printed." }
    paper_none() { "Es wurde nichts gedruckt.", "Nothing was printed." }
    paper_partial() { "Nur ein Teil wurde gedruckt.", "Only a part was printed." }
    paper_unknown() {
        "Es ist NICHT BEKANNT, ob gedruckt wurde. NICHT WIEDERHOLEN! Zuerst am Drucker \
         nachsehen.",
        "It is NOT KNOWN whether it was printed. DO NOT REPEAT! Look at the printer first."
    }
    printed(device, sheets) {
        "Gedruckt auf {device}: {sheets} Blatt.",
        "Printed on {device}, sheets: {sheets}."
    }
    printed_uncounted(device) { "Gedruckt auf {device}.", "Printed on {device}." }
    printed_unproven(device) {
        "{device} hat das Dokument vollständig angenommen und meldet nicht, ob gedruckt \
         wurde.",
        "{device} accepted the whole document and does not report whether it was printed."
    }
    chip_done() { "Die Karte ist beschrieben.", "The card was written." }
    chip_none() { "Die Karte ist unverändert.", "The card is unchanged." }
    chip_partial() {
        "Die Karte ist nur teilweise beschrieben.",
        "The card was written only in part."
    }
    chip_unknown() {
        "Es ist NICHT BEKANNT, ob die Karte beschrieben wurde. NICHT WIEDERHOLEN! Zuerst \
         die Karte lesen.",
        "It is NOT KNOWN whether the card was written. DO NOT REPEAT! Read the card first."
    }
    card_connected() {
        "Die Karte ist verbunden und bleibt es für weitere Aufrufe.",
        "The card is connected and stays so for further calls."
    }
    card_disconnected() { "Die Karte ist freigegeben.", "The card is released." }
    card_read(bytes) { "{bytes} Byte gelesen.", "{bytes} bytes read." }
    card_written(bytes) {
        "{bytes} Byte geschrieben und zurückgelesen.",
        "{bytes} bytes written and read back."
    }
    saved(name) { "Gespeichert: {name}", "Saved: {name}" }
    batch_done(count) { "Ausgeführte Befehle: {count}", "Commands carried out: {count}" }
    batch_stopped(number, word) {
        "Nach Befehl {number} angehalten: Das Statuswort {word} war nicht zugelassen.",
        "Stopped after command {number}: the status word {word} was not accepted."
    }
    deed_done() { "Ausgeführt.", "Done." }
    deed_none() { "Es wurde nichts ausgeführt.", "Nothing was done." }
    deed_partial() { "Nur teilweise ausgeführt.", "Done only in part." }
    deed_unknown() {
        "Es ist NICHT BEKANNT, ob der Aufruf ausgeführt wurde. NICHT WIEDERHOLEN!",
        "It is NOT KNOWN whether the call was carried out. DO NOT REPEAT!"
    }
    resolve(call, client) {
        "Am Gerät nachsehen. Eine berechtigte Person trägt dann das Ergebnis ein: kofferctl \
         resolve {call} --client {client}",
        "Look at the device. An authorised person then records the result: kofferctl \
         resolve {call} --client {client}"
    }
    some_unresolved(count) {
        "NICHT WIEDERHOLEN: Bei {count} Aufruf(en) ist das Ergebnis unbekannt. Am Gerät \
         nachsehen, dann: kofferctl resolve",
        "DO NOT REPEAT: the outcome of {count} call(s) is unknown. Look at the device, \
         then: kofferctl resolve"
    }
    nothing_unresolved() {
        "Kein Aufruf wartet auf Klärung.",
        "No call is waiting to be resolved."
    }
    unresolved(number, device, operation, client, call, since) {
        "{number}. {device}: {operation} ({client}, Aufruf {call}, angenommen {since})",
        "{number}. {device}: {operation} ({client}, call {call}, accepted {since})"
    }
    which_call(count) {
        "Welcher Aufruf? 1 bis {count}; jede andere Eingabe bricht ab:",
        "Which call? 1 to {count}; anything else cancels:"
    }
    which_finding() {
        "Was zeigt das Gerät? 1 = ausgeführt, 2 = nicht ausgeführt, 3 = teilweise \
         ausgeführt; jede andere Eingabe bricht ab:",
        "What does the device show? 1 = done, 2 = not done, 3 = partly done; anything else \
         cancels:"
    }
    what_was_seen() {
        "Woran erkennen Sie das? (Beleg, Ausdruck, Anzeige; wird mit Ihrem Namen \
         gespeichert):",
        "How do you know? (receipt, printout, display; it is recorded with your name):"
    }
    resolve_needs() {
        "Ergebnis eintragen: kofferctl resolve AUFRUF --finding done|not-done|partial --saw \
         '…'",
        "To record the result: kofferctl resolve CALL --finding done|not-done|partial --saw \
         '…'"
    }
    field(name) { "Feld: {name}", "Field: {name}" }
    device_code(code) { "Code des Geräts: {code}", "The device's code: {code}" }
    claimed_by(client) { "Reserviert von: {client}", "Claimed by: {client}" }
    retry_after(seconds) {
        "Frühestens in {seconds} s noch einmal versuchen.",
        "Try again in {seconds} s at the earliest."
    }
    completed(count) { "Davon ausgeführt: {count}", "Of these, done: {count}" }
    claim_held(token, until) {
        "Reserviert bis {until}. Weitere Aufrufe mit: --claim {token}",
        "Claimed until {until}. Further calls with: --claim {token}"
    }
    released() { "Die Reservierung ist aufgehoben.", "The claim is released." }
    signal_delivered() {
        "Der laufende Aufruf hat das Signal erhalten.",
        "The running call received the signal."
    }
    signal_not_expected() {
        "Der Aufruf nimmt das Signal zurzeit nicht an.",
        "The call does not accept the signal now."
    }
    signal_unknown() {
        "Das Gateway kennt diesen Aufruf nicht.",
        "The gateway does not know this call."
    }
    ignored(names) {
        "Unbekannte Angaben hatten keine Wirkung: {names}. Schreibweise prüfen.",
        "Unknown fields had no effect: {names}. Check their spelling."
    }
    no_calls() { "Keine wartenden oder laufenden Aufrufe.", "No calls queued or running." }
    test_passed() { "Selbsttest bestanden.", "Self-test passed." }
    test_failed() { "Selbsttest NICHT bestanden.", "Self-test NOT passed." }

    test_skipped() {
        "Es gab nichts zu prüfen: Auf dieser Stufe kann dieses Gerät nicht getestet werden.",
        "Nothing was tested: this device has no test at this level."
    }

    // Progress.
    queued(ahead) { "in der Warteschlange; davor: {ahead}", "queued; ahead: {ahead}" }
    started() { "Vorgang läuft", "started" }
    sheets(count) { "{count} Blatt gedruckt", "sheets printed: {count}" }
    advanced(completed, total) { "{completed} von {total}", "{completed} of {total}" }
    attempt(number, of) { "Versuch {number} von {of}", "attempt {number} of {of}" }
    finger_placed() { "Finger aufgelegt", "finger placed" }
    finger_removed() { "Finger abgehoben", "finger removed" }
    pen_down() { "Stift aufgesetzt", "pen down" }
    page(number) { "Seite {number} gescannt", "page {number} scanned" }
    feeder_empty() { "Dokumenteneinzug leer", "feeder empty" }

    // The journal.
    journal_nothing() { "Kein passender Aufruf im Journal.", "No matching call in the journal." }
    journal_in_order(path) {
        "{path} ist in Ordnung und wird nicht verschoben.",
        "{path} is sound and is not moved."
    }
    journal_set_aside(path) {
        "Das Journal war beschädigt und liegt jetzt in {path}; kofferd legt ein neues an. \
         Aufrufe, die offen waren, kennt kofferd nicht mehr: vor der nächsten Zahlung jedes \
         Gerät prüfen und kofferd neu starten.",
        "The journal was damaged and is in {path} now; kofferd creates a new one. kofferd \
         no longer knows the calls that were open: check every device before the next \
         payment, and restart kofferd."
    }
    journal_accepted() { "angenommen", "accepted" }
    journal_begun() { "begonnen, nicht beendet", "begun, not ended" }
    journal_resolved() { "geklärt", "resolved" }
    journal_target() { "Aufgerufen", "Called" }
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
    outcome_unknown_because() { "Ergebnis unbekannt, weil", "Outcome unknown because" }
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
    attached() { "Angeschlossen", "Attached" }
    attached_by() { "Art", "By" }
    usb_id() { "vid:pid", "VID:PID" }
    serial_number() { "Seriennr.", "Serial" }
    port() { "USB-Port", "Port" }
    device_or_reason() { "Gerät oder Grund", "Device or reason" }
    nothing_unbound() {
        "Alles Angeschlossene wird von einem Gerät verwendet.",
        "Everything attached is used by a device."
    }
    health(calls, outbox, memory) {
        "offene Aufrufe: {calls}, wartende Nachrichten: {outbox}, Speicher: {memory} MiB",
        "open calls: {calls}, waiting messages: {outbox}, memory: {memory} MiB"
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

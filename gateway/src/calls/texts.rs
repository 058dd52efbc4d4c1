//! What callers are told when a call is refused: what happened and what to do, in German and
//! English.

use koffer_proto::{
    CallId, CallIdError, Class, ClientId, DecodeError, DecodeRequestError, DeviceId, OperationSpec,
    Reason, Segment, Text, Wrong, class::gateway::Finding,
};

use super::expected;
use crate::journal::Resolution;

pub(super) fn retained() -> Text {
    Text::new(
        "Der Aufruf ist mit „retain“ gesendet. Ohne „retain“ senden.",
        "The call was sent with the retain flag. Send it without.",
    )
}

pub(super) fn misdirected(field: &str, why: &str) -> Text {
    let (german, english) = if field == "topic" {
        (
            "Das Topic ist kein Aufruf. Senden an koffer/1/<Gateway>/call/<Client>/<Gerät>/<Operation>, \
             Namen in Kleinbuchstaben.",
            "The topic is not a call. Publish to koffer/1/<gateway>/call/<client>/<device>/<operation>, \
             names in lower case.",
        )
    } else {
        (
            "Das Response Topic fehlt oder ist keines für eigene Antworten (MQTT 5): \
             koffer/1/<Gateway>/reply/<Client>/… angeben.",
            "The response topic is missing or not one of your own replies (MQTT 5): \
             say koffer/1/<gateway>/reply/<client>/…",
        )
    };
    Text::new(german, format!("{english} ({why})"))
}

pub(super) fn call_id(error: &CallIdError) -> Text {
    Text::new(
        "Die Correlation Data (Aufrufkennung) fehlt oder ist zu lang: 1 bis 64 Byte, je Aufruf neu.",
        error.to_string(),
    )
}

pub(super) fn content_type() -> Text {
    Text::new(
        "Content Type fehlt oder ist unbekannt: application/json oder application/cbor angeben.",
        "The content type is missing or unknown: say application/json or application/cbor.",
    )
}

pub(super) fn no_expiry() -> Text {
    Text::new(
        "Message Expiry Interval fehlt: ohne Frist wird nichts ausgeführt.",
        "The message expiry interval is missing: nothing runs without a deadline.",
    )
}

pub(super) fn expired() -> Text {
    Text::new(
        "Die Frist ist abgelaufen, bevor der Aufruf an der Reihe war. Es wurde nichts ausgeführt.",
        "The deadline passed before it was the call's turn. Nothing was done.",
    )
}

pub(super) fn redelivered() -> Text {
    Text::new(
        "Der Aufruf kam nach einer Verbindungsstörung verspätet an und wurde nicht ausgeführt. \
         Bei Bedarf mit neuer Aufrufkennung wiederholen.",
        "The call arrived late after a connection failure and was not run. \
         If it is still wanted, call again with a new call id.",
    )
}

pub(super) fn redelivered_after_restart() -> Text {
    Text::new(
        "Der Aufruf kam vor einem Neustart des Gateways schon einmal an; ob er ausgeführt wurde, \
         ist nicht bekannt. Nicht wiederholen, am Gerät nachsehen.",
        "The call had arrived before the gateway restarted; whether it ran is not known. \
         Do not repeat it; look at the device.",
    )
}

pub(super) fn too_large(bytes: usize, limit: usize) -> Text {
    Text::new(
        format!("Der Aufruf hat {bytes} Byte; erlaubt sind {limit}."),
        format!("The call has {bytes} bytes; the limit is {limit}."),
    )
}

pub(super) fn answer_too_large(bytes: usize, limit: usize) -> Text {
    Text::new(
        format!("Die Antwort hat {bytes} Byte; der Broker nimmt höchstens {limit}."),
        format!("The answer has {bytes} bytes; the broker takes {limit} at most."),
    )
}

pub(super) fn unknown_client(client: &ClientId) -> Text {
    Text::new(
        format!("„{client}“ steht nicht in der Konfiguration unter [clients]."),
        format!("\"{client}\" is not in the configuration under [clients]."),
    )
}

pub(super) fn not_allowed(client: &ClientId, class: Class, operation: &str) -> Text {
    Text::new(
        format!(
            "„{client}“ darf „{operation}“ ({class}) nicht ausführen. Recht in der Konfiguration \
             unter [clients.{client}] eintragen lassen."
        ),
        format!(
            "\"{client}\" may not run \"{operation}\" ({class}). The right is given in the \
             configuration under [clients.{client}]."
        ),
    )
}

pub(super) fn not_your_call() -> Text {
    Text::new(
        "Nur eine Technikerin oder ein Techniker darf Aufrufe anderer steuern.",
        "Only a technician may steer the calls of others.",
    )
}

pub(super) fn take_over_denied() -> Text {
    Text::new(
        "Nur eine Technikerin oder ein Techniker darf eine Reservierung übernehmen.",
        "Only a technician may take over a claim.",
    )
}

pub(super) fn unknown_device(target: &Segment) -> Text {
    Text::new(
        format!("Es gibt kein Gerät und keine Rolle „{target}“."),
        format!("There is no device and no role \"{target}\"."),
    )
}

pub(super) fn request(error: &DecodeRequestError, spec: Option<&OperationSpec>) -> Text {
    let english = error.to_string();
    match error {
        DecodeRequestError::Params(error) if !error.field.is_empty() => {
            let expected = spec.and_then(|spec| expected::text(spec, &error.field));
            field(error, expected)
        }
        DecodeRequestError::NoSuchOperation {
            class,
            operation,
            known,
        } => Text::new(
            format!("„{operation}“ gibt es bei {class} nicht; möglich sind: {known}."),
            english,
        ),
        DecodeRequestError::Params(_) => Text::new(
            format!("Die Angaben des Aufrufs stimmen nicht: {english}"),
            english,
        ),
    }
}

/// Which field of a call is wrong, and what belongs there.
fn field(error: &DecodeError, expected: Option<Text>) -> Text {
    let name = &error.field;
    let Some(expected) = expected else {
        let problem = &error.problem;
        return Text::new(format!("{name}: {problem}."), format!("{name}: {problem}."));
    };
    let Text { de, en } = &expected;
    let problem = &error.problem;
    match error.wrong {
        Wrong::Missing => Text::new(
            format!("{name} fehlt: {de}."),
            format!("{name} is missing: {en}."),
        ),
        Wrong::Kind => Text::new(format!("{name}: {de}."), format!("{name}: {en}.")),
        Wrong::Value => Text::new(
            format!("{name} passt nicht: {de}. ({problem})"),
            format!("{name} does not fit: {en}. ({problem})"),
        ),
    }
}

pub(super) fn conflict() -> Text {
    Text::new(
        "Unter dieser Aufrufkennung lief schon ein anderer Aufruf. Je Aufruf eine neue Kennung \
         verwenden.",
        "Another call ran under this call id. Use a new id for every call.",
    )
}

pub(super) fn busy(device: &DeviceId) -> Text {
    Text::new(
        format!(
            "Vor „{device}“ warten schon zu viele Aufrufe dieses Arbeitsplatzes. Gleich noch einmal \
             versuchen."
        ),
        format!("Too many calls of this client wait for \"{device}\". Try again in a moment."),
    )
}

pub(super) fn overloaded() -> Text {
    Text::new(
        "Das Gateway hat zu viele offene Aufrufe. Gleich noch einmal versuchen.",
        "The gateway has too many open calls. Try again in a moment.",
    )
}

pub(super) fn journal_well() -> Text {
    Text::new(
        "Das Journal des Gateways ist beschreibbar.",
        "The gateway's journal can be written.",
    )
}

pub(super) fn clock_well() -> Text {
    Text::new(
        "Die Uhr des Gateways ist in Ordnung.",
        "The gateway's clock is in order.",
    )
}

pub(super) fn too_many_listen() -> Text {
    Text::new(
        "Zu viele Anfragen warten schon auf die Antwort dieses Aufrufs. Die Antwort kommt dort an.",
        "Too many requests already wait for the answer of this call. The answer is sent to those.",
    )
}

pub(super) fn too_much_held(client: &ClientId) -> Text {
    Text::new(
        format!(
            "Offene Aufrufe und nicht abgeholte Antworten von „{client}“ belegen schon zu viel \
             Speicher. Erst Antworten abwarten oder Aufrufe abbrechen."
        ),
        format!(
            "ActiveCall calls and answers that wait for \"{client}\" take too much memory already. Wait \
             for answers or cancel calls first."
        ),
    )
}

pub(super) fn not_decoded() -> Text {
    Text::new(
        "Die Angaben des Aufrufs konnten nicht gelesen werden.",
        "The payload of the call could not be read.",
    )
}

pub(super) fn claimed(device: &DeviceId, holder: &ClientId) -> Text {
    Text::new(
        format!("„{device}“ ist für „{holder}“ reserviert."),
        format!("\"{device}\" is claimed by \"{holder}\"."),
    )
}

pub(super) fn no_such_claim(device: &DeviceId) -> Text {
    Text::new(
        format!("Die Reservierung von „{device}“ ist ungültig oder abgelaufen. Neu reservieren."),
        format!("The claim on \"{device}\" is invalid or has ended. Claim it again."),
    )
}

pub(super) fn unavailable(device: &DeviceId, reasons: &Text) -> Text {
    Text::new(
        format!("„{device}“ ist nicht einsatzbereit: {}", reasons.de),
        format!("\"{device}\" is not ready: {}", reasons.en),
    )
}

/// The sentences of several reasons, one after the other.
pub(super) fn all(reasons: &[Reason]) -> Text {
    let join = |of: fn(&Text) -> &str| {
        let texts: Vec<_> = reasons.iter().map(|reason| of(&reason.text)).collect();
        texts.join(" ")
    };
    Text::new(join(|text| &text.de), join(|text| &text.en))
}

pub(super) fn starting() -> Text {
    Text::new(
        "Das Gerät wird gerade verbunden.",
        "The device is being connected.",
    )
}

pub(super) fn no_longer_kept() -> Text {
    Text::new(
        "Der Aufruf ist beendet; seine Antwort enthielt vertrauliche Inhalte und wird nicht mehr \
         aufbewahrt.",
        "The call has ended; its answer held confidential content and is no longer kept.",
    )
}

pub(super) fn going_down() -> Text {
    Text::new(
        "Das Gateway wird gerade beendet. Nach dem Neustart noch einmal versuchen.",
        "The gateway is going down. Try again after it has restarted.",
    )
}

pub(super) fn cancelled_in_queue() -> Text {
    Text::new(
        "Abgebrochen, bevor der Aufruf an der Reihe war.",
        "Cancelled before it was the call's turn.",
    )
}

pub(super) fn not_stored(why: &Text) -> Text {
    Text::new(
        format!(
            "Es wurde nichts begonnen: Der Aufruf lässt sich nicht im Journal speichern. {}",
            why.de
        ),
        format!(
            "Nothing was started: the call cannot be stored in the journal. {}",
            why.en
        ),
    )
}

pub(super) fn settling() -> Text {
    Text::new(
        "Der Vorgang wurde unterbrochen. Das Ergebnis wird mit den Aufzeichnungen des Geräts geklärt.",
        "The call was interrupted. The outcome is being determined from the device's own records.",
    )
}

pub(super) fn still_settling() -> Text {
    Text::new(
        "Der Ausgang wird noch mit den Aufzeichnungen des Geräts geklärt. Bitte die Antwort abwarten.",
        "The outcome is still being determined from the device's own records. Please wait for the answer.",
    )
}

pub(super) fn restarted_before_it_began() -> Text {
    Text::new(
        "Das Gateway wurde neu gestartet, bevor der Aufruf an der Reihe war. Es wurde nichts ausgeführt; \
         bei Bedarf mit neuer Aufrufkennung wiederholen.",
        "The gateway restarted before it was the call's turn. Nothing was done; \
         if it is still wanted, call again with a new call id.",
    )
}

pub(super) fn restarted_after_it_began() -> Text {
    Text::new(
        "Das Gateway wurde während des Vorgangs neu gestartet. Nicht wiederholen, am Gerät nachsehen.",
        "The gateway restarted during the call. Do not repeat it; look at the device.",
    )
}

pub(super) fn not_journalled() -> Reason {
    Reason::new(
        "not-journalled",
        "Das Journal enthält zu diesem Aufruf keine Angaben, mit denen sich das Ergebnis klären lässt. Nicht wiederholen, am Gerät nachsehen.",
        "The journal has no record of this call that shows the outcome. Do not repeat it; look at the device.",
    )
}

pub(super) fn device_gone(device: &DeviceId) -> Reason {
    Reason::new(
        "device-gone",
        format!(
            "Das Gerät „{device}“ ist weder konfiguriert noch angeschlossen und kann nicht gefragt werden. Nicht \
             wiederholen, am Gerät nachsehen."
        ),
        format!(
            "The device \"{device}\" is neither configured nor plugged in and cannot be asked. Do not repeat \
             it; look at the device."
        ),
    )
}

pub(super) fn no_longer_journalled() -> Text {
    Text::new(
        "Der Aufruf ist beendet; sein Ergebnis ist nicht mehr gespeichert. Nicht wiederholen, in den Belegen nachsehen.",
        "The call has ended; its outcome is no longer stored. Do not repeat it; look at the receipts.",
    )
}

pub(super) fn not_read(why: &Text) -> Text {
    Text::new(
        format!(
            "Der Aufruf ist beendet, aber das Journal ist nicht lesbar. Nicht wiederholen, am Gerät nachsehen. {}",
            why.de
        ),
        format!(
            "The call has ended, but the journal cannot be read. Do not repeat it; look at the device. {}",
            why.en
        ),
    )
}

/// Why a device stays out of use, or wants attention: nobody knows what it did, and who may say.
/// For everybody: the call's id, its client and what it was about are told to those who may resolve
/// it.
pub(super) fn unresolved(operation: &OperationSpec) -> Reason {
    let name = operation.name;
    Reason::new(
        "outcome-unknown",
        format!(
            "Bei einem Aufruf „{name}“ ist nicht bekannt, ob er ausgeführt wurde. Nicht wiederholen: \
             „kofferctl resolve“ zeigt, was zu prüfen ist, und speichert das Ergebnis."
        ),
        format!(
            "Whether a call \"{name}\" was carried out is not known. Do not repeat it: \
             \"kofferctl resolve\" shows what to look at, and records the result."
        ),
    )
}

pub(super) fn nothing_to_resolve((client, call): &(ClientId, CallId)) -> Text {
    Text::new(
        format!("Kein Aufruf {call} von „{client}“ wartet auf Klärung."),
        format!("No call {call} of \"{client}\" is waiting to be resolved."),
    )
}

pub(super) fn may_not_resolve(client: &ClientId) -> Text {
    Text::new(
        format!(
            "„{client}“ darf den Ausgang nicht eintragen. Das darf die Technik, oder wer in der \
             Konfiguration „resolve = true“ hat."
        ),
        format!(
            "\"{client}\" may not say what became of it. A technician may, or who has \
             \"resolve = true\" in the configuration."
        ),
    )
}

/// What is answered once a person has said what became of a call.
pub(super) fn resolved(resolution: &Resolution) -> Text {
    let Resolution {
        by,
        at,
        finding,
        observation,
    } = resolution;
    let (de, en) = match finding {
        Finding::Done => ("ausgeführt", "done"),
        Finding::NotDone => ("nicht ausgeführt", "not done"),
        Finding::Partial => ("teilweise ausgeführt", "partly done"),
    };
    let observation = observation.as_str();
    Text::new(
        format!("Von „{by}“ am {at} festgestellt: {de}. „{observation}“"),
        format!("Found by \"{by}\" at {at}: {en}. \"{observation}\""),
    )
}

pub(super) fn no_such_operation(class: Class, operation: &Segment) -> Text {
    Text::new(
        format!("Bei {class} gibt es kein „{operation}“."),
        format!("A {class} has no operation \"{operation}\"."),
    )
}

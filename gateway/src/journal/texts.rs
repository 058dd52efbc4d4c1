//! What people are told of a journal that cannot be used, in German and English.

use std::fmt::Display;

/// Defines sentences: `name(arguments) { German, English }`.
macro_rules! sentences {
    ($($name:ident($($argument:ident),*) { $de:literal, $en:literal })*) => {
        $(pub(super) fn $name($($argument: &dyn Display),*) -> (String, String) {
            (format!($de), format!($en))
        })*
    };
}

sentences! {
    missing(at) {
        "{at} gibt es nicht. Ordner anlegen oder einhängen; er muss dem Benutzer koffer gehören.",
        "{at} does not exist. Create or mount the folder; it must belong to the user koffer."
    }
    read_only(at) {
        "{at} lässt sich nicht schreiben. Rechte und Datenträger prüfen: ls -l, mount.",
        "{at} cannot be written. Check permissions and disk: ls -l, mount."
    }
    disk_full(at) {
        "Der Datenträger mit {at} ist voll. Platz schaffen (df -h); danach geht es ohne Neustart \
         weiter.",
        "The disk with {at} is full. Make room (df -h); then it goes on without a restart."
    }
    bound_reached(at) {
        "{at} hat die Grenze erreicht, und alles darin ist noch offen. Offene Fälle klären, oder \
         [journal] max_mib erhöhen und kofferd neu starten.",
        "{at} has reached its bound, and all in it is still open. Resolve what is open, or raise \
         [journal] max_mib and restart kofferd."
    }
    damaged(at, what) {
        "{at} ist beschädigt ({what}). Die Technik ansprechen; nach Sichtung: \
         kofferctl journal --set-aside",
        "{at} is damaged ({what}). Call the technician; after a look at it: \
         kofferctl journal --set-aside"
    }
    too_new(at, version) {
        "{at} hat eine neuere Fassung ({version}), als diese Software kennt. Die neuere Software \
         wieder installieren.",
        "{at} has a newer version ({version}) than this software knows. Install the newer software \
         again."
    }
    in_use(at) {
        "{at} gehört gerade einem anderen Prozess. Ihn beenden: fuser -v {at}",
        "{at} belongs to another process at the moment. End it: fuser -v {at}"
    }
    failed(at, what) {
        "{at} lässt sich nicht lesen oder schreiben ({what}). Rechte und Datenträger prüfen: ls -l, \
         dmesg.",
        "{at} cannot be read or written ({what}). Check permissions and disk: ls -l, dmesg."
    }
    not_read(at) {
        "Was in {at} von früher steht, ist noch nicht gelesen. kofferd neu starten: \
         systemctl restart kofferd",
        "What {at} has from before has not been read yet. Restart kofferd: \
         systemctl restart kofferd"
    }
    too_large(bytes) {
        "Ein Eintrag von {bytes} Byte ist zu groß für das Journal. Bitte der Technik melden.",
        "An entry of {bytes} bytes is too large for the journal. Please tell the technician."
    }
    no_such_call() {
        "Das Journal kennt den Aufruf nicht. Bitte der Technik melden.",
        "The journal does not know the call. Please tell the technician."
    }
    repeated(call) {
        "Das Journal hat die Nummer des Aufrufs {call} schon vergeben. kofferd neu starten: \
         systemctl restart kofferd",
        "The journal has given away the number of call {call} already. Restart kofferd: \
         systemctl restart kofferd"
    }
    behind() {
        "Das Journal kommt mit dem Schreiben nicht nach. Etwas später noch einmal versuchen.",
        "The journal cannot keep up with writing. Try again a little later."
    }
    closed() {
        "Das Gateway wird gerade beendet.",
        "The gateway is going down."
    }
}

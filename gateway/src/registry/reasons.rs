//! Why a device is at fault where its driver cannot say: for clerks and technicians.

use koffer_drivers::Fault;
use koffer_proto::Reason;

pub(super) fn silent() -> Fault {
    Fault::new(
        "no-answer",
        "Das Gerät antwortet nicht. Strom und Kabel prüfen.",
        "The device does not answer. Check power and cable.",
    )
}

pub(super) fn hung() -> Reason {
    Reason::new(
        "driver-hung",
        "Der Treiber hat lange nach der Frist nicht geantwortet und wurde neu gestartet.",
        "The driver did not answer long after the deadline and was restarted.",
    )
}

pub(super) fn records_not_read() -> Reason {
    Reason::new(
        "driver-failed",
        "Der Treiber konnte nicht feststellen, was aus dem Vorgang wurde. Nicht wiederholen, am Gerät \
         nachsehen.",
        "The driver failed to find out what became of the call. Do not repeat it; look at the device.",
    )
}

pub(super) fn crashed(given_up: bool) -> Reason {
    if given_up {
        Reason::new(
            "driver-given-up",
            "Der Treiber ist mehrmals nacheinander abgestürzt. Gerät prüfen, dann „reset“ aufrufen.",
            "The driver crashed several times in a row. Check the device, then call reset.",
        )
    } else {
        Reason::new(
            "driver-crashed",
            "Der Treiber ist abgestürzt und wird neu gestartet.",
            "The driver crashed and is being restarted.",
        )
    }
}

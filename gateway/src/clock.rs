//! Whether the clock can be right. What is journalled, printed and paid carries its time.

use std::path::Path;

use jiff::Timestamp;
use koffer_proto::{Reason, Text};

/// No gateway of this version ran before: moved along with each release.
const RELEASED: &str = "2026-11-01T00:00:00Z";

/// Where systemd-timesyncd says that it has set the clock since the start (systemd-timesyncd(8)).
const TIMESYNC: &str = "/run/systemd/timesync";

/// The clock may be right and may be wrong: nothing has set it since the start.
pub(crate) const NOT_SYNCHRONISED: &str = "clock-not-synchronised";

/// What is wrong with the clock, as far as can be known here.
pub(crate) fn trouble(now: Timestamp) -> Option<Reason> {
    trouble_with(now, Path::new(TIMESYNC))
}

fn trouble_with(now: Timestamp, timesync: &Path) -> Option<Reason> {
    let released = RELEASED.parse().unwrap_or(Timestamp::MIN);
    if now < released {
        let text = Text::new(
            format!("Die Uhr geht falsch: sie zeigt {now}. Uhrzeit stellen (timedatectl)."),
            format!("The clock is wrong: it shows {now}. Set it (timedatectl)."),
        );
        return Some(Reason::new("clock-wrong", text.de, text.en));
    }
    let unset = timesync.is_dir() && !timesync.join("synchronized").exists();
    unset.then(|| {
        Reason::new(
            NOT_SYNCHRONISED,
            "Die Uhr wurde seit dem Start nicht mit einer Zeitquelle abgeglichen. Netz und Zeitserver \
             prüfen (timedatectl).",
            "The clock was not synchronised since the start. Check the network and the time server \
             (timedatectl).",
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_before_the_release_is_wrong_and_one_that_was_never_set_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let timesync = folder.path().join("timesync");
        let keyword =
            |now: &str| trouble_with(now.parse().unwrap(), &timesync).map(|reason| reason.keyword);
        let right = "2026-12-01T08:15:30Z";
        assert_eq!(
            keyword("2020-01-01T00:00:00Z").as_deref(),
            Some("clock-wrong")
        );
        assert_eq!(keyword(right), None, "without timesyncd nothing is known");
        std::fs::create_dir(&timesync).unwrap();
        assert_eq!(keyword(right).as_deref(), Some("clock-not-synchronised"));
        std::fs::write(timesync.join("synchronized"), "").unwrap();
        assert_eq!(keyword(right), None);
    }
}

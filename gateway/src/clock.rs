//! Whether the clock can be right. What is journalled, printed and paid carries its time.

use std::{collections::BTreeMap, path::Path};

use jiff::{SignedDuration, Timestamp, civil::DateTime, tz::TimeZone};
use koffer_proto::{Completion, DeviceId, Outcome, Reason, Response, Text, class::payment};

/// No gateway of this version ran before: moved along with each release.
const RELEASED: &str = "2026-11-01T00:00:00Z";

/// Where systemd-timesyncd says that it has set the clock since the start (systemd-timesyncd(8)).
const TIMESYNC: &str = "/run/systemd/timesync";

/// The clock may be right and may be wrong: nothing has set it since the start.
pub(crate) const NOT_SYNCHRONISED: &str = "clock-not-synchronised";

/// A payment terminal's clock shows a local time without a year. No time zone explains more than this.
const ZONES: SignedDuration = SignedDuration::from_hours(15);

/// What the clocks of payment terminals say of this one.
#[derive(Debug, Default)]
pub(crate) struct Comparison {
    /// The time of each terminal that last differed.
    differ: BTreeMap<DeviceId, String>,
}

impl Comparison {
    /// Compares the time in the result of a payment that has just ended.
    pub(crate) fn hear(&mut self, completion: &Completion<Response>, now: Timestamp) {
        let Some(device) = &completion.device else {
            return;
        };
        let Some((told, differs)) = terminal_time(completion)
            .and_then(|told| Some((told, distance(told, now)?)))
            .map(|(told, distance)| (told, distance > ZONES))
        else {
            return;
        };
        if !differs {
            self.differ.remove(device);
        } else if self
            .differ
            .insert(device.clone(), told.to_owned())
            .is_none()
        {
            tracing::warn!(%device, terminal_time = told, %now, "the clocks differ");
        }
    }

    /// That the clocks differ, with the first terminal whose clock does.
    pub(crate) fn trouble(&self) -> Option<Reason> {
        let (device, told) = self.differ.first_key_value()?;
        Some(Reason::new(
            "clock-differs",
            format!(
                "Die Uhren weichen voneinander ab: {device} meldete {told} (Monat-Tag, Uhrzeit). Uhr des Gateways \
                 (timedatectl) und des Terminals prüfen."
            ),
            format!(
                "The clocks differ: {device} reported {told} (month-day, time). Check the clock of the gateway \
                 (timedatectl) and of the terminal."
            ),
        ))
    }
}

/// The time of a booking that was made just now; what is read from the books is older.
fn terminal_time(completion: &Completion<Response>) -> Option<&str> {
    use payment::Response::{Pay, Refund, Reverse};
    match &completion.outcome {
        Outcome::Ok(Response::Payment(Pay(it) | Reverse(it) | Refund(it))) if !it.recovered => {
            it.terminal_time.as_deref()
        }
        _ => None,
    }
}

/// How far `MM-DDThh:mm:ss` is from now, in the year in which it is nearest.
fn distance(told: &str, now: Timestamp) -> Option<SignedDuration> {
    let year = now.to_zoned(TimeZone::UTC).year();
    (year - 1..=year + 1)
        .filter_map(|year| format!("{year:04}-{told}").parse::<DateTime>().ok())
        .filter_map(|it| it.to_zoned(TimeZone::UTC).ok())
        .map(|it| it.timestamp().duration_since(now).abs())
        .min()
}

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
    use crate::examples;

    fn paid(terminal_time: Option<&str>, recovered: bool) -> Completion<Response> {
        let mut result = examples::named("payment.pay.result");
        result["recovered"] = recovered.into();
        match terminal_time {
            Some(time) => result["terminal_time"] = time.into(),
            None => drop(result.as_object_mut().unwrap().remove("terminal_time")),
        }
        let json = result.to_string();
        let response = Response::decode(
            koffer_proto::Class::Payment,
            "pay",
            koffer_proto::ContentType::Json,
            json.as_bytes(),
        );
        Completion {
            device: Some("ec-terminal".parse().unwrap()),
            outcome: Outcome::Ok(response.unwrap().unwrap()),
            ignored: Vec::new(),
        }
    }

    #[test]
    fn a_clock_that_no_time_zone_brings_to_the_terminal_s_is_told_until_they_agree() {
        let now = "2020-01-01T00:20:00Z".parse().unwrap();
        let mut clocks = Comparison::default();
        let keyword = |clocks: &Comparison| clocks.trouble().map(|reason| reason.keyword);
        for agrees in ["01-01T01:19:30", "12-31T12:21:00", "01-01T14:20:00"] {
            clocks.hear(&paid(Some(agrees), false), now);
            assert_eq!(keyword(&clocks), None, "{agrees}");
        }
        for says_nothing in [
            paid(None, false),
            paid(Some("07-24T10:00:00"), true),
            paid(Some("99-99T99:99:99"), false),
        ] {
            clocks.hear(&says_nothing, now);
            assert_eq!(keyword(&clocks), None, "{says_nothing:?}");
        }
        clocks.hear(&paid(Some("12-01T01:45:00"), false), now);
        assert_eq!(keyword(&clocks).as_deref(), Some("clock-differs"));
        clocks.hear(&paid(None, false), now);
        assert_eq!(keyword(&clocks).as_deref(), Some("clock-differs"));
        clocks.hear(
            &paid(Some("02-29T01:45:00"), false),
            "2024-02-29T00:46:00Z".parse().unwrap(),
        );
        assert_eq!(keyword(&clocks), None);
    }

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

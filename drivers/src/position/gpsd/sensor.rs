//! One receiver at gpsd: asked, never told what to do.

use std::{io, time::Duration};

use async_trait::async_trait;
use koffer_proto::{
    Identity,
    class::position::{Fix, PositionStatus},
};

use super::{
    GpsdConfig,
    codec::{DEVICES, Line, POLL, Poll, Receiver, WATCH, line},
};
use crate::{Fault, lines::Lines, sensor::Sensor};

/// gpsd's own lines have some 10 kB at most.
const LONGEST_LINE: usize = 64 * 1024;
/// Lines that may come before an answer: versions, what is watched, receivers that come and go.
const MOST_LINES: usize = 64;

#[derive(Debug)]
pub(super) struct Gps {
    config: GpsdConfig,
    /// Away while an exchange goes on.
    link: Option<Lines>,
}

impl Gps {
    pub(super) fn new(config: GpsdConfig) -> Self {
        Self { config, link: None }
    }

    async fn ask(&mut self) -> io::Result<(Vec<Receiver>, Poll)> {
        let mut link = if let Some(link) = self.link.take() {
            link
        } else {
            let mut link = Lines::connect(&self.config.server, LONGEST_LINE).await?;
            link.send(WATCH).await?;
            link
        };
        link.send(DEVICES).await?;
        link.send(POLL).await?;
        let mut receivers = Vec::new();
        for _ in 0..MOST_LINES {
            match line(&link.line().await?) {
                Line::Devices(told) => receivers = told,
                Line::Poll(poll) => {
                    self.link = Some(link);
                    return Ok((receivers, poll));
                }
                Line::Error(message) => return Err(io::Error::other(message)),
                Line::Other => {}
            }
        }
        Err(io::ErrorKind::InvalidData.into())
    }

    fn unreachable(&self, error: &io::Error) -> Fault {
        let server = &self.config.server;
        Fault::new(
            "not-reachable",
            format!(
                "Der Dienst gpsd an {server} antwortet nicht ({error}). Prüfen: systemctl status gpsd"
            ),
            format!(
                "The service gpsd at {server} does not answer ({error}). Check: systemctl status gpsd"
            ),
        )
    }

    fn is_ours(&self, node: &str) -> bool {
        let wanted = self.config.receiver.as_deref();
        wanted.is_none_or(|wanted| wanted == node)
    }
}

#[async_trait]
impl Sensor for Gps {
    type Reading = PositionStatus;

    /// Receivers tell once a second.
    const PERIOD: Duration = Duration::from_secs(2);

    async fn read(&mut self) -> Result<(Identity, PositionStatus), Fault> {
        let asked = self.ask().await;
        let (receivers, poll) = asked.map_err(|error| self.unreachable(&error))?;
        let receiver = receivers
            .into_iter()
            .find(|receiver| self.is_ours(&receiver.path))
            .ok_or_else(|| {
                Fault::new(
                    "no-receiver",
                    "gpsd hat keinen GPS-Empfänger. Kabel des Empfängers prüfen; gpsd zeigt ihn dann mit: gpsmon",
                    "gpsd has no GPS receiver. Check the receiver's cable; gpsd then shows it with: gpsmon",
                )
            })?;
        let ours = |(node, _): &(String, PositionStatus)| *node == receiver.path;
        let report = poll.reports.into_iter().find(ours);
        let nothing = PositionStatus {
            fix: Fix::None,
            place: None,
            time: None,
            satellites: None,
        };
        Ok((
            receiver.identity,
            report.map_or(nothing, |(_, status)| status),
        ))
    }

    fn disconnect(&mut self) {
        self.link = None;
    }

    fn silent(&self) -> Fault {
        self.unreachable(&io::ErrorKind::TimedOut.into())
    }
}

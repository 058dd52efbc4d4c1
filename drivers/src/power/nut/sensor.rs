//! One UPS at a server: asked, never told what to do.

use std::{io, time::Duration};

use async_trait::async_trait;
use koffer_proto::Identity;

use super::{
    NutConfig,
    codec::{Line, Variables, line, list_variables},
};
use crate::{Fault, lines::Lines, power::Reading, sensor::Sensor};

/// NUT's own lines have 1,024 bytes at most.
const LONGEST_LINE: usize = 4_096;
/// A large UPS has some two hundred variables.
const MOST_LINES: usize = 2_000;

#[derive(Debug)]
pub(super) struct Ups {
    config: NutConfig,
    /// Away while an exchange goes on.
    link: Option<Lines>,
}

impl Ups {
    pub(super) fn new(config: NutConfig) -> Self {
        Self { config, link: None }
    }

    async fn list(&mut self) -> Result<Variables, Fault> {
        let mut link = match self.link.take() {
            Some(link) => link,
            None => Lines::connect(&self.config.server, LONGEST_LINE)
                .await
                .map_err(|error| self.unreachable(&error))?,
        };
        let ask = link.send(&list_variables(&self.config.ups)).await;
        ask.map_err(|error| self.unreachable(&error))?;
        let mut variables = Variables::default();
        for _ in 0..MOST_LINES {
            let text = link
                .line()
                .await
                .map_err(|error| self.unreachable(&error))?;
            match line(&text) {
                Line::Variable(name, value) => variables.set(&name, &value),
                Line::Begin | Line::Other => {}
                Line::Error(keyword) => return Err(self.refused(&keyword)),
                Line::End => {
                    self.link = Some(link);
                    return Ok(variables);
                }
            }
        }
        Err(self.unreachable(&io::ErrorKind::InvalidData.into()))
    }

    fn unreachable(&self, error: &io::Error) -> Fault {
        let server = &self.config.server;
        Fault::new(
            "not-reachable",
            format!(
                "Der USV-Dienst {server} antwortet nicht ({error}). Prüfen: systemctl status nut-server"
            ),
            format!(
                "The UPS service {server} does not answer ({error}). Check: systemctl status nut-server"
            ),
        )
    }

    fn refused(&self, keyword: &str) -> Fault {
        let ups = &self.config.ups;
        match keyword {
            "UNKNOWN-UPS" => Fault::new(
                "unknown-ups",
                format!("Der USV-Dienst kennt keine USV {ups}. Namen prüfen: upsc -l"),
                format!("The UPS service knows no UPS {ups}. Check the name: upsc -l"),
            ),
            "DATA-STALE" | "DRIVER-NOT-CONNECTED" => no_data(ups),
            other => Fault::new(
                "ups-refused",
                format!("Der USV-Dienst lehnt die Abfrage von {ups} ab ({other})."),
                format!("The UPS service refuses to tell of {ups} ({other})."),
            ),
        }
    }
}

fn no_data(ups: &str) -> Fault {
    Fault::new(
        "no-data",
        format!(
            "Die USV {ups} meldet nichts. Kabel zur USV prüfen, dann den NUT-Treiber neu starten."
        ),
        format!("The UPS {ups} tells nothing. Check its cable, then restart the NUT driver."),
    )
}

#[async_trait]
impl Sensor for Ups {
    type Reading = Reading;

    /// upsd itself asks a UPS every two seconds.
    const PERIOD: Duration = Duration::from_secs(2);

    async fn read(&mut self) -> Result<(Identity, Reading), Fault> {
        let variables = self.list().await?;
        variables.reading().ok_or_else(|| no_data(&self.config.ups))
    }

    fn disconnect(&mut self) {
        self.link = None;
    }

    fn silent(&self) -> Fault {
        self.unreachable(&io::ErrorKind::TimedOut.into())
    }
}

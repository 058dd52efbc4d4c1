//! What a technician configures of a chip card terminal, and which readers there are.

use std::sync::Arc;

use async_trait::async_trait;
use koffer_proto::{Class, Connection, GatewayId, Reason, class::gateway::Attachment};
use koffer_settings::{Key, NamePattern, Parsed, Preset, Section};
use tokio::sync::watch;

use super::{Monitor, PcscConfig, driver, monitor::Sight};
use crate::{
    Driver, DriverConfig, DriverFactory, DriverName, Endpoint, Listing, Plugged, PluggedConfig,
    factory::{READER_NAME, driver_key},
};

/// USB class of card readers (CCID).
const SMART_CARD: u8 = 0x0b;

/// The driver's entry in the table of drivers.
pub static FACTORY: DriverFactory = DriverFactory {
    name: "pcsc",
    class: Class::CardTerminal,
    section: &SECTION,
    configured: |table, _| {
        let reader = table.get(&READER)?;
        Ok(Arc::new(PcscConfig { reader }))
    },
    address_key: READER.name,
    plugged: Some(Plugged {
        by: Attachment::Pcsc,
        section: None,
        rule: |_, _| Ok(Arc::new(Found)),
        list: Some(|| {
            let monitor = Monitor::shared();
            let mut sight = monitor.sight();
            sight.mark_changed();
            Box::new(Readers {
                sight,
                _monitor: monitor,
            })
        }),
        explain: Some(|usb_classes| usb_classes.contains(&SMART_CARD).then(see_pcsc)),
    }),
    // A write, then a batch.
    fail_points: &[
        "pcsc.write-armed",
        "pcsc.write-started",
        "pcsc.update-answered",
        "pcsc.update-recorded",
        "pcsc.batch-armed",
        "pcsc.batch-started",
        "pcsc.apdu-answered",
        "pcsc.apdu-recorded",
    ],
};

impl DriverConfig for PcscConfig {
    fn factory(&self) -> &'static DriverFactory {
        &FACTORY
    }

    fn address(&self) -> String {
        self.reader.to_string()
    }

    fn endpoint(&self) -> Endpoint {
        Endpoint::Reader(self.reader.clone())
    }

    fn connection(&self) -> Connection {
        Connection::Pcsc {
            reader: self.reader.to_string(),
        }
    }

    fn driver(&self, _: &GatewayId) -> Box<dyn Driver> {
        driver(self.clone())
    }
}

/// The reader that a rule finds.
#[derive(Debug)]
struct Found;

impl PluggedConfig for Found {
    fn factory(&self) -> &'static DriverFactory {
        &FACTORY
    }

    fn at(&self, found: &str) -> Arc<dyn DriverConfig> {
        let reader = NamePattern::exactly(found);
        Arc::new(PcscConfig { reader })
    }
}

/// The readers that the PC/SC service knows.
struct Readers {
    sight: watch::Receiver<Sight>,
    /// Its thread ends with the last handle.
    _monitor: Monitor,
}

#[async_trait]
impl Listing for Readers {
    async fn next(&mut self) -> Vec<String> {
        // The sender lives as long as the handle.
        let _ = self.sight.changed().await;
        self.sight
            .borrow_and_update()
            .readers
            .keys()
            .cloned()
            .collect()
    }
}

fn see_pcsc() -> Reason {
    Reason::new(
        "see-pcsc",
        "Ein Kartenleser für den PC/SC-Dienst. Eine Regel mit by = \"pcsc\" schreiben; fehlt er dort, läuft der Dienst nicht oder ihm fehlt der Treiber.",
        "A card reader of the PC/SC service. Write a rule with by = \"pcsc\"; if it is missing there, the service is not running or has no driver for it.",
    )
}

static DRIVER: Key<DriverName> = driver_key(r#"driver = "pcsc""#);

static READER: Key<Parsed<NamePattern>> = Key {
    name: "reader",
    form: READER_NAME,
    preset: Preset::Required,
    example: r#"reader = "REINER SCT cyberJack RFID komfort*""#,
    about: "Which reader it is: its whole name as `pcsc_scan -r` lists it, where `*` stands for anything \
            and case does not matter. Names end in a number that changes with the order of plugging, \
            so a `*` mostly ends the pattern; of several readers that fit, the first by name is taken.",
};

static SECTION: Section = Section {
    path: r#"devices.<name>, driver = "pcsc""#,
    about: "A chip card terminal that the system's PC/SC service (pcscd) knows; class `card-terminal`.",
    keys: &[&DRIVER, &READER],
    tables: &[],
};

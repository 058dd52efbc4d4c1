//! What is attached to the machine, as the machine tells.

use koffer_proto::class::gateway::{AttachedThing, Attachment};

use crate::config::Wanted;

/// Something that is attached. What it does not say of itself is `None`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Found {
    /// How it is attached; never [`Attachment::Configured`].
    pub(crate) by: Attachment,
    /// The serial line's node, the USB port, the reader's name. No two of a kind at a time.
    pub(crate) name: String,
    /// Further names of the node.
    pub(crate) links: Vec<String>,
    pub(crate) vid: Option<String>,
    pub(crate) pid: Option<String>,
    pub(crate) serial: Option<String>,
    /// USB bus and port path, e.g. `1-1.4`.
    pub(crate) port: Option<String>,
    pub(crate) interface: Option<String>,
    /// Maker and model.
    pub(crate) model: Option<String>,
    /// Of the device and its interfaces.
    pub(crate) usb_classes: Vec<u8>,
}

impl Found {
    /// Something of which nothing but its name is known.
    pub(crate) fn new(by: Attachment, name: impl Into<String>) -> Self {
        Self {
            by,
            name: name.into(),
            links: Vec::new(),
            vid: None,
            pid: None,
            serial: None,
            port: None,
            interface: None,
            model: None,
            usb_classes: Vec::new(),
        }
    }

    /// Every name under which the machine knows it.
    pub(crate) fn names(&self) -> Vec<&str> {
        let names = std::iter::once(&self.name).chain(&self.links);
        names.map(String::as_str).collect()
    }

    /// Whether a rule wants it.
    pub(crate) fn fits(&self, wanted: &Wanted) -> bool {
        let holds =
            |wanted: &Option<String>, found: &Option<String>| wanted.is_none() || wanted == found;
        self.by == wanted.by
            && holds(&wanted.vid, &self.vid)
            && holds(&wanted.pid, &self.pid)
            && holds(&wanted.serial, &self.serial)
            && holds(&wanted.port, &self.port)
            && holds(&wanted.interface, &self.interface)
            && wanted
                .reader
                .as_ref()
                .is_none_or(|reader| reader.fits(&self.name))
    }

    /// Whether it is the same thing in the same socket, whatever node it has got this time.
    pub(crate) fn is_again(&self, earlier: &Self) -> bool {
        let by_node = self.port.is_none();
        self.by == earlier.by
            && self.vid == earlier.vid
            && self.pid == earlier.pid
            && self.serial == earlier.serial
            && self.port == earlier.port
            && self.interface == earlier.interface
            && (!by_node || self.name == earlier.name)
    }

    /// What stands for `{place}` in a device's name.
    pub(crate) fn place(&self, place: &str) -> Option<&str> {
        match place {
            "port" => self.port.as_deref(),
            "serial" => self.serial.as_deref(),
            "interface" => self.interface.as_deref(),
            _ => None,
        }
    }

    /// As the contract tells of it.
    pub(crate) fn told(&self) -> AttachedThing {
        AttachedThing {
            by: self.by,
            name: self.name.clone(),
            vid: self.vid.clone(),
            pid: self.pid.clone(),
            serial: self.serial.clone(),
            port: self.port.clone(),
            interface: self.interface.clone(),
            model: self.model.clone(),
            usb_classes: self
                .usb_classes
                .iter()
                .map(|class| format!("{class:02x}"))
                .collect(),
            device: None,
            reason: None,
        }
    }
}

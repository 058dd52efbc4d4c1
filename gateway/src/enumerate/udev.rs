//! Serial lines and USB devices through udev, on a thread of its own: sysfs and netlink block.

use std::{
    ffi::OsStr,
    io,
    os::{fd::AsFd, unix::net::UnixStream},
    thread,
};

use koffer_proto::class::gateway::Attachment;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use tokio::sync::mpsc;
use udev::{Device, Enumerator, EventType, MonitorBuilder, MonitorSocket};

use super::{found::Found, usb::Descriptors};

/// How often everything is looked at anew, in milliseconds: the kernel drops events where too many
/// come at once.
const LOOK_AGAIN: u16 = 60_000;

/// USB class of hubs.
const HUB: u8 = 0x09;

/// `TYPE` of a UART that the kernel made room for and that is not there (`PORT_UNKNOWN`).
const NO_UART: &str = "0";

/// What is seen.
#[derive(Debug)]
pub(super) enum Seen {
    /// Something is there, new or not.
    Here(Found),
    /// Something is not there any more.
    Gone(Attachment, String),
    /// This is all there is of these kinds.
    All(Vec<Attachment>, Vec<Found>),
}

/// A thread that looks; it ends when this is dropped.
pub(super) struct Watcher {
    _wake: UnixStream,
}

impl Watcher {
    /// Begins to look. Where udev is not to be had, it is said once, and nothing is seen.
    pub(super) fn start(tell: mpsc::Sender<Seen>) -> Option<Self> {
        let started = UnixStream::pair().and_then(|(wake, sleep)| {
            thread::Builder::new()
                .name("udev".to_owned())
                .spawn(move || {
                    if let Err(error) = watch(&tell, &sleep) {
                        not_here(&error);
                    }
                })?;
            Ok(Self { _wake: wake })
        });
        started.inspect_err(not_here).ok()
    }
}

fn not_here(error: &io::Error) {
    tracing::info!(%error, "udev is not here: only configured devices and card readers are seen");
}

/// Until the other end of `sleep` is closed, or nobody listens.
fn watch(tell: &mpsc::Sender<Seen>, sleep: &UnixStream) -> io::Result<()> {
    // Listening comes first, so that nothing slips through between the two.
    let socket = MonitorBuilder::new()?
        .match_subsystem("tty")?
        .match_subsystem_devtype("usb", "usb_device")?
        .listen()?;
    let mut descriptors = Descriptors::default();
    loop {
        let kinds = vec![Attachment::Serial, Attachment::Usb];
        let all = Seen::All(kinds, everything(&mut descriptors)?);
        if tell.blocking_send(all).is_err() {
            return Ok(());
        }
        while wait(&socket, sleep)? {
            for event in socket.iter() {
                let seen = match event.event_type() {
                    EventType::Remove | EventType::Unbind => gone(&event),
                    _ => found(&event, &mut descriptors).map(Seen::Here),
                };
                if let Some(seen) = seen
                    && tell.blocking_send(seen).is_err()
                {
                    return Ok(());
                }
            }
        }
        if is_closed(sleep)? {
            return Ok(());
        }
    }
}

/// Whether something came; `false`: it is time to look again, or to end.
fn wait(socket: &MonitorSocket, sleep: &UnixStream) -> io::Result<bool> {
    let mut both = [
        PollFd::new(socket.as_fd(), PollFlags::POLLIN),
        PollFd::new(sleep.as_fd(), PollFlags::POLLIN),
    ];
    match poll(&mut both, PollTimeout::from(LOOK_AGAIN)) {
        Ok(_) | Err(nix::errno::Errno::EINTR) => {}
        Err(error) => return Err(error.into()),
    }
    let [socket, sleep] = both;
    let asked_to_end = sleep.any().unwrap_or(false);
    Ok(socket.any().unwrap_or(false) && !asked_to_end)
}

fn is_closed(sleep: &UnixStream) -> io::Result<bool> {
    let mut one = [PollFd::new(sleep.as_fd(), PollFlags::POLLIN)];
    Ok(poll(&mut one, PollTimeout::ZERO)? > 0)
}

fn everything(descriptors: &mut Descriptors) -> io::Result<Vec<Found>> {
    let mut all = Vec::new();
    for subsystem in ["tty", "usb"] {
        let mut enumerator = Enumerator::new()?;
        enumerator.match_subsystem(subsystem)?;
        let devices = enumerator.scan_devices()?;
        all.extend(devices.filter_map(|device| found(&device, descriptors)));
    }
    Ok(all)
}

fn gone(device: &Device) -> Option<Seen> {
    if is(device.subsystem(), "tty") {
        let node = device.devnode()?.to_string_lossy().into_owned();
        Some(Seen::Gone(Attachment::Serial, node))
    } else {
        let port = device.sysname().to_string_lossy().into_owned();
        Some(Seen::Gone(Attachment::Usb, port))
    }
}

fn found(device: &Device, descriptors: &mut Descriptors) -> Option<Found> {
    if is(device.subsystem(), "tty") {
        serial_line(device)
    } else if is(device.devtype(), "usb_device") {
        usb_device(device, descriptors)
    } else {
        None
    }
}

fn serial_line(device: &Device) -> Option<Found> {
    // Consoles and pseudo-terminals hang on nothing.
    device.parent()?;
    if attribute(device, "type").as_deref() == Some(NO_UART) {
        return None;
    }
    let node = device.devnode()?.to_string_lossy().into_owned();
    let mut found = Found::new(Attachment::Serial, node);
    let links = device.property_value("DEVLINKS").and_then(OsStr::to_str);
    found.links = links
        .unwrap_or_default()
        .split_ascii_whitespace()
        .map(str::to_owned)
        .collect();
    found.links.sort();
    if let Ok(Some(usb)) = device.parent_with_subsystem_devtype("usb", "usb_device") {
        describe(&mut found, &usb);
    }
    if let Ok(Some(interface)) = device.parent_with_subsystem_devtype("usb", "usb_interface") {
        found.interface = attribute(&interface, "bInterfaceNumber");
    }
    Some(found)
}

fn usb_device(device: &Device, descriptors: &mut Descriptors) -> Option<Found> {
    let port = device.sysname().to_string_lossy().into_owned();
    // Root hubs are called usb1, usb2, …
    if !port.contains('-') {
        return None;
    }
    let mut found = Found::new(Attachment::Usb, port.clone());
    describe(&mut found, device);
    found.usb_classes = descriptors.classes().remove(&port).unwrap_or_default();
    (found.usb_classes != [HUB]).then_some(found)
}

/// What the kernel read of a USB device when it was plugged in.
fn describe(found: &mut Found, usb: &Device) {
    found.port = Some(usb.sysname().to_string_lossy().into_owned());
    found.vid = attribute(usb, "idVendor");
    found.pid = attribute(usb, "idProduct");
    found.serial = attribute(usb, "serial");
    let own = ["manufacturer", "product"].map(|name| attribute(usb, name));
    let listed = ["ID_VENDOR_FROM_DATABASE", "ID_MODEL_FROM_DATABASE"].map(|name| {
        usb.property_value(name)
            .and_then(OsStr::to_str)
            .map(str::to_owned)
    });
    let [maker, model] = own;
    let [listed_maker, listed_model] = listed;
    let words: Vec<_> = [maker.or(listed_maker), model.or(listed_model)]
        .into_iter()
        .flatten()
        .collect();
    found.model = (!words.is_empty()).then(|| words.join(" "));
}

/// An attribute as text, without what makers pad it with; `None` where nothing is left.
fn attribute(device: &Device, name: &str) -> Option<String> {
    let text = device
        .attribute_value(name)?
        .to_string_lossy()
        .trim()
        .to_owned();
    (!text.is_empty()).then_some(text)
}

fn is(found: Option<&OsStr>, expected: &str) -> bool {
    found == Some(OsStr::new(expected))
}

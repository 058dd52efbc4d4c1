//! `[devices.<name>]` with `driver = "ipp"`: a document printer.

use std::{
    fs,
    io::{self, Read},
    path::{Path, PathBuf},
};

use koffer_drivers::printer::ipp::{CertificateError, PrinterUri, certificate_digest};
use koffer_proto::{Sha256, Text};

use super::{
    devices::{self, Driver},
    finding::{Reported, text},
    form::{Choice, Parsed},
    key::{Key, Preset, Section},
    table::Table,
};

/// The largest certificate file that is read; real ones have a few kilobytes.
const MAX_CERTIFICATE_BYTES: u64 = 64 * 1024;

/// A printer that speaks IPP.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IppConfig {
    /// Where it is.
    pub address: PrinterUri,
    /// The digest of the one certificate that it must show.
    pub certificate: Option<Sha256>,
}

impl IppConfig {
    /// What only one device can be connected to: the same with TLS and without.
    pub(super) fn port(&self) -> String {
        let authority = self.address.authority().to_lowercase();
        format!("{authority}{}", self.address.path)
    }
}

static DRIVER: Key<Choice<Driver>> = devices::driver(r#"driver = "ipp""#);

static ADDRESS: Key<Parsed<PrinterUri>> = Key {
    name: "address",
    form: Parsed {
        de: "ipp://host:port/pfad oder ipps://… (ohne Angabe Port 631 und /ipp/print)",
        en: "ipp://host:port/path or ipps://… (port 631 and /ipp/print if left out)",
        parse: address,
    },
    preset: Preset::Required,
    example: r#"address = "ipps://192.0.2.8/ipp/print""#,
    about: "Where the printer is: `ipp://` in plain text, `ipps://` with TLS. Port 631 and the path \
            `/ipp/print` hold where none is written; `ippfind` and the printer's own page show them. \
            The printer itself, not a CUPS queue: a queue prints again what it was printing when it died.",
};

static CERTIFICATE_FILE: Key<Parsed<PathBuf>> = Key {
    name: "certificate_file",
    form: Parsed {
        de: "ein absoluter Pfad",
        en: "an absolute path",
        parse: absolute,
    },
    preset: Preset::Optional,
    example: r#"certificate_file = "/etc/koffer/forms-printer-1.pem""#,
    about: "A PEM file with the certificate that an `ipps` printer must show, and no other; printers \
            sign theirs themselves. Made with `echo | openssl s_client -connect 192.0.2.8:631 | \
            openssl x509`. Without it an authority of the system must vouch for the printer's name. \
            The file is read at the start.",
};

pub(super) static SECTION: Section = Section {
    path: r#"devices.<name>, driver = "ipp""#,
    about: "A document printer that speaks IPP itself (IPP Everywhere, AirPrint, Mopria); class \
            `document-printer`. Its jobs belong to the user `koffer`, and their names begin with the \
            gateway's id.",
    keys: &[&DRIVER, &ADDRESS, &CERTIFICATE_FILE],
    tables: &[],
};

fn address(text: &str) -> Result<PrinterUri, Text> {
    text.parse().map_err(|_| {
        text!(
            "»{text}« ist keine Adresse eines Druckers",
            "\"{text}\" is no address of a printer"
        )
    })
}

fn absolute(text: &str) -> Result<PathBuf, Text> {
    let path = PathBuf::from(text);
    if path.is_absolute() {
        Ok(path)
    } else {
        Err(text!(
            "»{text}« ist kein absoluter Pfad",
            "\"{text}\" is no absolute path"
        ))
    }
}

pub(super) fn read(table: &Table<'_>) -> Result<IppConfig, Reported> {
    let address = table.get(&ADDRESS);
    let file = table.find(&CERTIFICATE_FILE);
    let certificate = file?.map(|path| certificate(table, &path));
    let address = address?;
    if certificate.is_some() && !address.tls {
        return Err(table.mistake(
            CERTIFICATE_FILE.name,
            text!(
                "{address} zeigt kein Zertifikat",
                "{address} shows no certificate"
            ),
            text!(
                "{name} entfernen, oder als Adresse ipps:// schreiben.",
                "Remove {name}, or write ipps:// as the address.",
                name = CERTIFICATE_FILE.name
            ),
        ));
    }
    Ok(IppConfig {
        address,
        certificate: certificate.transpose()?,
    })
}

/// The digest of the certificate in this file.
fn certificate(table: &Table<'_>, path: &Path) -> Result<Sha256, Reported> {
    let shown = path.display();
    let read = fs::File::open(path).and_then(|file| {
        let mut pem = Vec::new();
        file.take(MAX_CERTIFICATE_BYTES).read_to_end(&mut pem)?;
        Ok(pem)
    });
    let pem = read.map_err(|error| {
        let remedy = if error.kind() == io::ErrorKind::PermissionDenied {
            text!(
                "Lesen erlauben, das Zertifikat ist kein Geheimnis: chmod a+r {shown}",
                "Allow reading, the certificate is no secret: chmod a+r {shown}"
            )
        } else {
            make(path)
        };
        table.mistake(
            CERTIFICATE_FILE.name,
            text!(
                "{shown} kann nicht gelesen werden ({error})",
                "{shown} cannot be read ({error})"
            ),
            remedy,
        )
    })?;
    certificate_digest(&pem).map_err(|error| {
        let what = match error {
            CertificateError::Pem => text!(
                "in {shown} steht kein Zertifikat im PEM-Format",
                "there is no certificate in PEM form in {shown}"
            ),
            CertificateError::Content => text!(
                "das Zertifikat in {shown} ist unlesbar",
                "the certificate in {shown} cannot be understood"
            ),
        };
        table.mistake(CERTIFICATE_FILE.name, what, make(path))
    })
}

/// How such a file is made.
fn make(path: &Path) -> Text {
    let shown = path.display();
    text!(
        "Vom Drucker holen: echo | openssl s_client -connect DRUCKER:631 | openssl x509 > {shown}",
        "Get it from the printer: echo | openssl s_client -connect PRINTER:631 | openssl x509 > {shown}"
    )
}

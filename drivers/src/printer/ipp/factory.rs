//! What a technician configures of a document printer.

use std::{
    fs,
    io::{self, Read},
    path::{Path, PathBuf},
    sync::Arc,
};

use koffer_proto::{Class, Connection, GatewayId, Sha256, Text};
use koffer_settings::{Key, Parsed, Preset, Reported, Section, Table, absolute_path, text};

use super::{CertificateError, IppConfig, PrinterUri, certificate_digest, driver};
use crate::{Driver, DriverConfig, DriverFactory, DriverName, Endpoint, factory::driver_key};

/// The largest certificate file that is read; real ones have a few kilobytes.
const MAX_CERTIFICATE_BYTES: u64 = 64 * 1024;

/// The driver's entry in the table of drivers.
pub static FACTORY: DriverFactory = DriverFactory {
    name: "ipp",
    class: Class::DocumentPrinter,
    section: &SECTION,
    configured: |table, _| Ok(Arc::new(read(table)?)),
    address_key: ADDRESS.name,
    plugged: None,
    // A print.
    fail_points: &[
        "ipp.armed",
        "ipp.created",
        "ipp.recorded",
        "ipp.started",
        "ipp.answered",
        "ipp.delivered",
        "ipp.over",
    ],
};

impl DriverConfig for IppConfig {
    fn factory(&self) -> &'static DriverFactory {
        &FACTORY
    }

    fn address(&self) -> String {
        self.uri.to_string()
    }

    /// The same with TLS and without.
    fn endpoint(&self) -> Endpoint {
        Endpoint::Network {
            authority: self.uri.authority(),
            path: self.uri.path.clone(),
        }
    }

    fn connection(&self) -> Connection {
        Connection::Url {
            url: self.uri.to_string(),
        }
    }

    /// Gateways may share a printer: the jobs of each are told apart by its id.
    fn driver(&self, gateway: &GatewayId) -> Box<dyn Driver> {
        driver(Self {
            namespace: gateway.to_string(),
            ..self.clone()
        })
    }
}

static DRIVER: Key<DriverName> = driver_key(r#"driver = "ipp""#);

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
    form: absolute_path(),
    preset: Preset::Optional,
    example: r#"certificate_file = "/etc/koffer/forms-printer-1.pem""#,
    about: "A PEM file with the certificate that an `ipps` printer must show, and no other; printers \
            sign theirs themselves. Made with `echo | openssl s_client -connect 192.0.2.8:631 | \
            openssl x509`. Without it an authority of the system must vouch for the printer's name. \
            The file is read at the start.",
};

static SECTION: Section = Section {
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

fn read(table: &Table<'_>) -> Result<IppConfig, Reported> {
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
        certificate: certificate.transpose()?,
        ..IppConfig::new(address)
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

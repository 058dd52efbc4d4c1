//! What a technician sets for one printer.

use std::{fmt, str::FromStr};

use koffer_proto::Sha256;

/// The port of both `ipp` and `ipps` (RFC 8010, 4; RFC 7472).
const DEFAULT_PORT: u16 = 631;
/// Where IPP Everywhere printers listen (PWG 5100.14).
const DEFAULT_PATH: &str = "/ipp/print";

/// One printer: where it is, and as whom to print.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IppConfig {
    /// Where it is.
    pub uri: PrinterUri,
    /// `requesting-user-name` of every request: jobs are recognised by it, so it stays the same.
    pub user: String,
    /// What the names of this gateway's jobs begin with: keeps them apart from those of another
    /// gateway at the same printer, whose unfinished jobs are not ours to clean up.
    pub namespace: String,
    /// SHA-256 of the certificate (DER) that an `ipps` printer shows. Without it the system's
    /// authorities must vouch for the printer's name, which a printer out of the box never meets.
    pub certificate: Option<Sha256>,
}

impl IppConfig {
    /// A printer with everything but its place as it usually is.
    pub fn new(uri: PrinterUri) -> Self {
        Self {
            uri,
            user: "koffer".to_owned(),
            namespace: "koffer".to_owned(),
            certificate: None,
        }
    }
}

/// `ipp://host[:port][/path]` or `ipps://…`; port 631 and `/ipp/print` unless named.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PrinterUri {
    /// Whether TLS is spoken from the first byte (RFC 7472).
    pub tls: bool,
    /// Name or address; an IPv6 address without brackets.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// Begins with a slash.
    pub path: String,
}

/// A text is no printer's URI.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no printer: ipp://host:port/ipp/print or ipps://…")]
pub struct UriError(String);

impl PrinterUri {
    /// `host:port` as it stands in a URI.
    pub fn authority(&self) -> String {
        if self.host.contains(':') {
            format!("[{}]:{}", self.host, self.port)
        } else {
            format!("{}:{}", self.host, self.port)
        }
    }
}

impl FromStr for PrinterUri {
    type Err = UriError;

    fn from_str(text: &str) -> Result<Self, UriError> {
        parse(text).ok_or_else(|| UriError(text.to_owned()))
    }
}

impl fmt::Display for PrinterUri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.tls { "ipps" } else { "ipp" };
        write!(f, "{scheme}://{}{}", self.authority(), self.path)
    }
}

fn parse(text: &str) -> Option<PrinterUri> {
    let (scheme, rest) = text.split_once("://")?;
    let tls = match scheme {
        "ipp" => false,
        "ipps" => true,
        _ => return None,
    };
    let (authority, path) = match rest.find('/') {
        Some(slash) => rest.split_at(slash),
        None => (rest, DEFAULT_PATH),
    };
    let path = if path == "/" { DEFAULT_PATH } else { path };
    let visible = |b: u8| b.is_ascii_graphic() && !b"?#\"<>\\^`{|}".contains(&b);
    let (host, port) = match authority.strip_prefix('[') {
        Some(rest) => {
            let (host, port) = rest.split_once(']')?;
            host.parse::<std::net::Ipv6Addr>().ok()?;
            (host, port)
        }
        None => authority.split_at(authority.find(':').unwrap_or(authority.len())),
    };
    let port = match port {
        "" => DEFAULT_PORT,
        port => port.strip_prefix(':')?.parse().ok().filter(|p| *p != 0)?,
    };
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-._".contains(&b);
    let named = host.contains(':') || host.bytes().all(plain);
    (named && !host.is_empty() && path.bytes().all(visible)).then(|| PrinterUri {
        tls,
        host: host.to_owned(),
        port,
        path: path.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_printer_is_a_host_with_or_without_port_and_path() {
        for (text, expected) in [
            (
                "ipp://printer.example",
                Some("ipp://printer.example:631/ipp/print"),
            ),
            ("ipps://192.0.2.4/", Some("ipps://192.0.2.4:631/ipp/print")),
            (
                "ipp://localhost:8631/ipp/print/a",
                Some("ipp://localhost:8631/ipp/print/a"),
            ),
            ("ipp://[::1]:8631", Some("ipp://[::1]:8631/ipp/print")),
            ("http://printer", None),
            ("ipp://", None),
            ("ipp://user:secret@printer", None),
            ("ipp://printer:0", None),
            ("ipp://printer:x", None),
            ("ipp://[zz]", None),
            ("ipp://printer/a b", None),
            ("ipp://printer/?waitjob=false", None),
            ("printer", None),
        ] {
            let shown = text.parse::<PrinterUri>().map(|uri| uri.to_string());
            assert_eq!(shown.ok().as_deref(), expected, "{text}");
        }
    }
}

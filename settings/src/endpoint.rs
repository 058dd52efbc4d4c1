//! Network addresses as people write them.

use std::{fmt, net::Ipv6Addr};

/// A host and a port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostPort {
    /// Name or address; IPv6 without brackets.
    pub host: String,
    /// The port, never 0.
    pub port: u16,
}

impl fmt::Display for HostPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { host, port } = self;
        if host.contains(':') {
            write!(f, "[{host}]:{port}")
        } else {
            write!(f, "{host}:{port}")
        }
    }
}

impl HostPort {
    /// Reads `host:port` or `[ipv6]:port`; without a port `default_port`, where there is one.
    pub fn parse(text: &str, default_port: Option<u16>) -> Option<Self> {
        let (host, rest) = if let Some(text) = text.strip_prefix('[') {
            let (host, rest) = text.split_once(']')?;
            host.parse::<Ipv6Addr>().ok()?;
            (host, rest)
        } else {
            let (host, rest) = text.split_at(text.find(':').unwrap_or(text.len()));
            let fits = |c: char| c.is_ascii_alphanumeric() || ".-_".contains(c);
            if host.is_empty() || !host.chars().all(fits) {
                return None;
            }
            (host, rest)
        };
        let port = match rest.strip_prefix(':') {
            Some(port) => port.parse().ok().filter(|port| *port != 0)?,
            None if rest.is_empty() => default_port?,
            None => return None,
        };
        Some(Self {
            host: host.to_owned(),
            port,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_a_host_and_a_port() {
        for (text, expected) in [
            ("127.0.0.1:1883", Some("127.0.0.1:1883")),
            ("broker.local:1883", Some("broker.local:1883")),
            ("[::1]:1883", Some("[::1]:1883")),
            ("terminal", Some("terminal:20007")),
            ("[fe80::1]", Some("[fe80::1]:20007")),
            ("", None),
            (":1883", None),
            ("::1", None),
            ("[host]:1", None),
            ("host:0", None),
            ("host:65536", None),
            ("host:", None),
            ("ho st:1", None),
            ("host/x:1", None),
            ("[::1]x", None),
        ] {
            let parsed = HostPort::parse(text, Some(20007));
            assert_eq!(parsed.map(|a| a.to_string()).as_deref(), expected, "{text}");
        }
        assert_eq!(HostPort::parse("host", None), None);
    }
}

//! Where a control channel listens.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;

/// `tcp://127.0.0.1:4711` (port 0 lets the system choose) or `unix:///run/sim.sock`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Endpoint {
    /// Loopback only.
    Tcp(SocketAddr),
    /// The path of the socket; at most 107 bytes.
    Unix(PathBuf),
}

/// Why a text is no address of a control channel.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EndpointError {
    /// Neither form.
    #[error("`{0}` is no control address: write tcp://127.0.0.1:PORT or unix:///PATH")]
    Form(String),
    /// Not the machine's own address.
    #[error("{0} is not a loopback address: control channels have no password, use 127.0.0.1")]
    NotLoopback(SocketAddr),
}

impl Endpoint {
    /// Any free port of 127.0.0.1.
    pub fn any() -> Self {
        Self::Tcp(SocketAddr::from(([127, 0, 0, 1], 0)))
    }
}

impl FromStr for Endpoint {
    type Err = EndpointError;

    fn from_str(text: &str) -> Result<Self, EndpointError> {
        let form = || EndpointError::Form(text.to_owned());
        if let Some(path) = text.strip_prefix("unix://") {
            return Ok(Self::Unix(path.into()));
        }
        let address = text.strip_prefix("tcp://").ok_or_else(form)?;
        let address: SocketAddr = address.parse().map_err(|_| form())?;
        if address.ip().is_loopback() {
            Ok(Self::Tcp(address))
        } else {
            Err(EndpointError::NotLoopback(address))
        }
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => write!(f, "tcp://{address}"),
            Self::Unix(path) => write!(f, "unix://{}", path.display()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_this_machine_may_control_a_simulator() {
        for text in [
            "tcp://127.0.0.1:0",
            "tcp://[::1]:99",
            "unix:///run/sim.sock",
        ] {
            assert_eq!(text.parse::<Endpoint>().unwrap().to_string(), text);
        }
        assert!(matches!(
            "tcp://0.0.0.0:1".parse::<Endpoint>(),
            Err(EndpointError::NotLoopback(_))
        ));
        for text in ["", "127.0.0.1:1", "tcp://localhost"] {
            assert!(matches!(
                text.parse::<Endpoint>(),
                Err(EndpointError::Form(_))
            ));
        }
    }
}

//! Where the terminal is plugged in: a TCP port, or a pseudo-terminal with a name that stays.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use tokio::net::{TcpListener, TcpStream};

use super::line::Line;
use super::pty::Pty;

/// Where to plug the terminal in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Plug {
    /// With port 0 the system chooses.
    Tcp(SocketAddr),
    /// A new pseudo-terminal, and a symbolic link to it that survives its replacement.
    Pty(Option<PathBuf>),
}

/// Where an ECR finds the terminal, as kofferd's configuration writes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Address {
    /// `tcp://127.0.0.1:20007`
    Tcp(SocketAddr),
    /// `serial:///dev/pts/3`
    Serial(PathBuf),
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => write!(f, "tcp://{address}"),
            Self::Serial(path) => write!(f, "serial://{}", path.display()),
        }
    }
}

#[derive(Debug)]
pub(super) enum Port {
    Tcp {
        /// `None` while the power is off.
        listener: Option<TcpListener>,
        address: SocketAddr,
    },
    Pty {
        /// A line nobody has taken yet.
        fresh: Option<Pty>,
        /// The line while the power is off.
        dark: Option<Pty>,
        link: Option<PathBuf>,
        path: PathBuf,
    },
}

impl Port {
    pub(super) async fn open(plug: &Plug) -> io::Result<Self> {
        match plug {
            Plug::Tcp(address) => {
                let listener = TcpListener::bind(address).await?;
                let address = listener.local_addr()?;
                Ok(Self::Tcp {
                    listener: Some(listener),
                    address,
                })
            }
            Plug::Pty(link) => {
                let pty = Pty::open()?;
                if let Some(link) = link {
                    point(link, pty.path())?;
                }
                Ok(Self::Pty {
                    path: pty.path().to_owned(),
                    fresh: Some(pty),
                    dark: None,
                    link: link.clone(),
                })
            }
        }
    }

    pub(super) fn address(&self) -> Address {
        match self {
            Self::Tcp { address, .. } => Address::Tcp(*address),
            Self::Pty { link, path, .. } => Address::Serial(link.as_ref().unwrap_or(path).clone()),
        }
    }

    /// Waits for the next ECR. A serial line is there at once, and once.
    pub(super) async fn accept(&mut self) -> io::Result<Line> {
        match self {
            Self::Tcp {
                listener: Some(listener),
                ..
            } => {
                let (stream, _) = listener.accept().await?;
                stream.set_nodelay(true)?;
                Ok(Line::tcp(stream))
            }
            Self::Pty { fresh, .. } => match fresh.take() {
                Some(pty) => Ok(Line::serial(pty)),
                None => std::future::pending().await,
            },
            Self::Tcp { listener: None, .. } => std::future::pending().await,
        }
    }

    /// The serial line is gone: puts a new one in its place. Nothing to do for TCP.
    pub(super) fn replace_serial(&mut self) -> io::Result<()> {
        if let Self::Pty {
            fresh, link, path, ..
        } = self
        {
            let pty = Pty::open()?;
            if let Some(link) = link {
                point(link, pty.path())?;
            }
            pty.path().clone_into(path);
            *fresh = Some(pty);
        }
        Ok(())
    }

    /// Power off: nobody can connect. A serial line is still there, and silent.
    pub(super) fn off(&mut self) -> io::Result<()> {
        if let Self::Tcp { listener, .. } = self {
            *listener = None;
            return Ok(());
        }
        self.replace_serial()?;
        if let Self::Pty { fresh, dark, .. } = self {
            *dark = fresh.take();
        }
        Ok(())
    }

    /// Power on, at the same address as before.
    pub(super) async fn on(&mut self) -> io::Result<()> {
        match self {
            Self::Tcp { listener, address } => {
                *listener = Some(TcpListener::bind(*address).await?);
                Ok(())
            }
            Self::Pty { .. } => {
                self.replace_serial()?;
                if let Self::Pty { dark, .. } = self {
                    *dark = None;
                }
                Ok(())
            }
        }
    }
}

impl Drop for Port {
    fn drop(&mut self) {
        if let Self::Pty {
            link: Some(link), ..
        } = self
        {
            // Gone already is as good.
            let _ = std::fs::remove_file(link);
        }
    }
}

/// Makes or moves the link in one step, so that an ECR never finds it missing.
fn point(link: &Path, target: &Path) -> io::Result<()> {
    let mut name = link.as_os_str().to_owned();
    name.push(".new");
    let new = PathBuf::from(name);
    match std::fs::remove_file(&new) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    std::os::unix::fs::symlink(target, &new)?;
    std::fs::rename(&new, link)
}

/// Closes with RST in place of FIN.
pub(super) fn reset(stream: &TcpStream) {
    // If it fails the connection is gone already, which is what was wanted.
    let _ = stream.set_zero_linger();
}

//! What a client may make the gateway hold before it is known, and in packets that are not whole
//! yet: a packet is kept in memory until its last byte has come.

use std::{
    future::Future,
    io,
    pin::Pin,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll, ready},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
    sync::{OwnedSemaphorePermit, Semaphore},
    time::Sleep,
};

use super::connect::LARGEST_CONNECT;

/// A browser's request for the upgrade, with its cookies.
const LARGEST_REQUEST: usize = 16 * 1024;
/// A packet of which more than this has come takes a place among the large ones.
const LARGE: usize = 64 * 1024;
/// Large packets under way at once, over all users.
const LARGE_PACKETS: usize = 4;
/// The last byte of a large packet has to come so long after its first: 32 MiB at 2 Mbit/s.
const LARGE_PATIENCE: Duration = Duration::from_mins(2);

/// The places for large packets: one for each user, few for all.
#[derive(Debug)]
pub(super) struct Places(Arc<Semaphore>);

impl Default for Places {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(LARGE_PACKETS)))
    }
}

/// The place of one user.
#[derive(Debug, Clone)]
pub(super) struct Share {
    own: Arc<Semaphore>,
    all: Arc<Semaphore>,
}

impl Places {
    pub(super) fn share(&self) -> Share {
        Share {
            own: Arc::new(Semaphore::new(1)),
            all: Arc::clone(&self.0),
        }
    }
}

/// What a connection may send; shared by its socket and what reads packets from it.
#[derive(Debug, Clone, Default)]
pub(super) struct Meter(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    /// Set once the client is known. `None`: it need not wait for a place.
    share: OnceLock<Option<Share>>,
    /// Bytes that have come of the packet that is not whole yet.
    begun: AtomicUsize,
}

impl Meter {
    /// The client is known, and may send large packets with this share of the places.
    pub(super) fn let_through(&self, share: Option<Share>) {
        // It is made known once.
        let _ = self.0.share.set(share);
    }

    /// So much has been read of the packet that is not whole yet.
    pub(super) fn begun(&self, bytes: usize) {
        self.0.begun.store(bytes, Ordering::Relaxed);
    }
}

type Held = (OwnedSemaphorePermit, OwnedSemaphorePermit);

/// A place among the large packets.
enum Place {
    None,
    Asked(Pin<Box<dyn Future<Output = Option<Held>> + Send + Sync>>),
    Held {
        _permits: Held,
        patience: Pin<Box<Sleep>>,
    },
}

/// A client's socket, read no further than its meter allows.
pub(super) struct Metered {
    socket: TcpStream,
    meter: Meter,
    /// What may still come before the client is known.
    left: usize,
    place: Place,
}

impl Metered {
    pub(super) fn new(socket: TcpStream, meter: Meter) -> Self {
        Self {
            socket,
            meter,
            left: LARGEST_REQUEST + LARGEST_CONNECT,
            place: Place::None,
        }
    }

    /// Ready when the next bytes may be read.
    fn poll_place(&mut self, cx: &mut Context<'_>, share: &Share) -> Poll<io::Result<()>> {
        if self.meter.0.begun.load(Ordering::Relaxed) <= LARGE {
            self.place = Place::None;
        }
        loop {
            match &mut self.place {
                Place::None if self.meter.0.begun.load(Ordering::Relaxed) <= LARGE => {
                    return Poll::Ready(Ok(()));
                }
                Place::None => {
                    let Share { own, all } = share.clone();
                    self.place = Place::Asked(Box::pin(async move {
                        let own = own.acquire_owned().await.ok()?;
                        Some((own, all.acquire_owned().await.ok()?))
                    }));
                }
                Place::Asked(place) => {
                    let Some(permits) = ready!(place.as_mut().poll(cx)) else {
                        return Poll::Ready(Err(io::ErrorKind::NotConnected.into()));
                    };
                    self.place = Place::Held {
                        _permits: permits,
                        patience: Box::pin(tokio::time::sleep(LARGE_PATIENCE)),
                    };
                }
                Place::Held { patience, .. } => {
                    if patience.as_mut().poll(cx).is_ready() {
                        let late = "a large packet took too long";
                        return Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, late)));
                    }
                    return Poll::Ready(Ok(()));
                }
            }
        }
    }
}

impl AsyncRead for Metered {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let metered = self.get_mut();
        let known = Arc::clone(&metered.meter.0);
        let known = known.share.get();
        if let Some(Some(share)) = known {
            ready!(metered.poll_place(cx, share))?;
        }
        let before = buf.filled().len();
        ready!(Pin::new(&mut metered.socket).poll_read(cx, buf))?;
        let read = buf.filled().len() - before;
        if known.is_none() {
            let Some(left) = metered.left.checked_sub(read) else {
                return Poll::Ready(Err(io::Error::other("too much before CONNECT")));
            };
            metered.left = left;
        }
        metered.meter.0.begun.fetch_add(read, Ordering::Relaxed);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Metered {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().socket).poll_write(cx, buf)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().socket).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().socket).poll_shutdown(cx)
    }
}

//! MQTT over WebSocket (MQTT 5, chapter 6): the HTTP upgrade, and what bounds a client of which
//! nobody knows yet who it is.

use std::{
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll},
};

use mqtt5::broker::websocket_server::WebSocketStreamWrapper;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
};
use tokio_tungstenite::{
    accept_hdr_async_with_config,
    tungstenite::{
        Error,
        handshake::server::{ErrorResponse, Request, Response},
        http::{HeaderValue, StatusCode, header::SEC_WEBSOCKET_PROTOCOL},
        protocol::WebSocketConfig,
    },
};

use super::{connect::LARGEST_CONNECT, line::Socket};

const PATH: &str = "/mqtt";
const PROTOCOL: &str = "mqtt";
/// A browser's request with its cookies.
const LARGEST_REQUEST: usize = 16 * 1024;
/// What may come with a packet in one message.
const BESIDE_A_PACKET: usize = 64 * 1024;

/// Lets everything through, once the client is known.
#[derive(Debug, Clone, Default)]
pub(super) struct Known(Arc<AtomicBool>);

impl Known {
    pub(super) fn let_through(&self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Makes the upgrade.
pub(super) async fn accept(
    socket: TcpStream,
    known: Known,
    max_packet_size: usize,
) -> Result<Box<dyn Socket>, Error> {
    let socket = Metered {
        socket,
        left: LARGEST_REQUEST + LARGEST_CONNECT,
        known,
    };
    // The crate's own limit of a frame, 16 MiB, is less than what we announce.
    let most = max_packet_size + BESIDE_A_PACKET;
    let config = WebSocketConfig::default()
        .read_buffer_size(16 * 1024)
        .max_message_size(Some(most))
        .max_frame_size(Some(most));
    let stream = accept_hdr_async_with_config(socket, upgrade, Some(config)).await?;
    Ok(Box::new(WebSocketStreamWrapper::new(stream)))
}

#[expect(
    clippy::result_large_err,
    reason = "the callback's type is the crate's"
)]
fn upgrade(request: &Request, mut response: Response) -> Result<Response, ErrorResponse> {
    if request.uri().path() != PATH {
        let mut refusal = ErrorResponse::new(Some(format!("MQTT is at {PATH}\n")));
        *refusal.status_mut() = StatusCode::NOT_FOUND;
        return Err(refusal);
    }
    let offered = request.headers().get_all(SEC_WEBSOCKET_PROTOCOL);
    let mqtt = offered
        .iter()
        .filter_map(|line| line.to_str().ok())
        .flat_map(|line| line.split(','))
        .any(|protocol| protocol.trim() == PROTOCOL);
    if mqtt {
        let chosen = HeaderValue::from_static(PROTOCOL);
        response
            .headers_mut()
            .insert(SEC_WEBSOCKET_PROTOCOL, chosen);
    }
    Ok(response)
}

/// Bounds what is read from a client before it is known: a message is kept in memory until it is
/// whole.
struct Metered {
    socket: TcpStream,
    left: usize,
    known: Known,
}

impl AsyncRead for Metered {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let metered = self.get_mut();
        let before = buf.filled().len();
        let polled = Pin::new(&mut metered.socket).poll_read(cx, buf);
        if polled.is_ready() && !metered.known.0.load(Ordering::Relaxed) {
            let read = buf.filled().len() - before;
            let Some(left) = metered.left.checked_sub(read) else {
                return Poll::Ready(Err(io::Error::other("too much before CONNECT")));
            };
            metered.left = left;
        }
        polled
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

//! One question, one answer, over a connection of its own (RFC 8010, 3.4: HTTP POST).
//!
//! A connection per exchange costs a handshake and buys certainty: no connection that the
//! printer has meanwhile given up on is ever used for a request that must not be repeated, and
//! an exchange that is dropped takes its connection with it.

use std::{io, sync::Arc, time::Duration};

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::{Request, client::conn::http1, header};
use hyper_util::rt::TokioIo;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    time::timeout,
};
use tokio_rustls::{
    TlsConnector,
    rustls::{ClientConfig, pki_types::ServerName},
};

use super::{
    config::{IppConfig, PrinterUri},
    timing, tls,
    wire::{Answer, Unreadable},
};

/// The longest answer that is read: bounds what a device can make us hold.
const LONGEST_ANSWER: usize = 512 * 1024;

/// Why a question has no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum Broken {
    /// No connection; nothing of the question was sent.
    #[error("no connection: {0}")]
    Unreachable(String),
    /// The connection ended; the question may have arrived, wholly or in part.
    #[error("the connection ended: {0}")]
    Lost(String),
    /// The printer took too long.
    #[error("no answer in time")]
    Silent,
    /// The printer's web server answered instead of its IPP service.
    #[error("HTTP status {0}")]
    Http(u16),
    /// What came is no answer.
    #[error(transparent)]
    Unreadable(#[from] Unreadable),
}

/// The way to one printer.
pub(super) struct Link {
    uri: PrinterUri,
    tls: Option<Result<Arc<ClientConfig>, String>>,
}

trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}
impl<S: AsyncRead + AsyncWrite + Unpin + Send> Stream for S {}

impl Link {
    pub(super) fn new(config: &IppConfig) -> Self {
        let tls = || tls::client(config.certificate).map_err(|e| e.to_string());
        Self {
            uri: config.uri.clone(),
            tls: config.uri.tls.then(tls),
        }
    }

    /// Asks and waits as long as a question may take.
    pub(super) async fn ask(&self, question: Bytes) -> Result<Answer, Broken> {
        self.ask_within(timing::ANSWER, question).await
    }

    /// Asks and waits at most so long.
    pub(super) async fn ask_within(
        &self,
        longest: Duration,
        question: Bytes,
    ) -> Result<Answer, Broken> {
        let stream = self.connect().await?;
        timeout(longest, self.post(stream, question))
            .await
            .unwrap_or(Err(Broken::Silent))
    }

    /// Asks and waits without limit: a printer reads a document as fast as it prints, and stops
    /// reading when paper runs out. The caller watches, and drops this to give up.
    pub(super) async fn send(&self, question: Bytes) -> Result<Answer, Broken> {
        let stream = self.connect().await?;
        self.post(stream, question).await
    }

    async fn connect(&self) -> Result<Box<dyn Stream>, Broken> {
        timeout(timing::CONNECT, self.handshake())
            .await
            .unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
            .map_err(|e| Broken::Unreachable(e.to_string()))
    }

    async fn handshake(&self) -> io::Result<Box<dyn Stream>> {
        let stream = TcpStream::connect((self.uri.host.as_str(), self.uri.port)).await?;
        stream.set_nodelay(true)?;
        let config = match &self.tls {
            None => return Ok(Box::new(stream)),
            Some(Ok(config)) => config.clone(),
            Some(Err(why)) => return Err(io::Error::other(why.clone())),
        };
        let name = ServerName::try_from(self.uri.host.clone()).map_err(io::Error::other)?;
        let stream = TlsConnector::from(config).connect(name, stream).await?;
        Ok(Box::new(stream))
    }

    async fn post(&self, stream: Box<dyn Stream>, question: Bytes) -> Result<Answer, Broken> {
        let lost = |e: hyper::Error| Broken::Lost(e.to_string());
        let (mut sender, connection) =
            http1::handshake(TokioIo::new(stream)).await.map_err(lost)?;
        let request = Request::post(&self.uri.path)
            .header(header::HOST, self.uri.authority())
            .header(header::CONTENT_TYPE, "application/ipp")
            .header(header::USER_AGENT, "koffer")
            .body(Full::new(question))
            .map_err(|e| Broken::Unreachable(e.to_string()))?;
        let exchange = async {
            let response = sender.send_request(request).await.map_err(lost)?;
            let status = response.status();
            let body = Limited::new(response.into_body(), LONGEST_ANSWER);
            let body = body.collect().await;
            if status != hyper::StatusCode::OK {
                return Err(Broken::Http(status.as_u16()));
            }
            let body = body.map_err(|e| Broken::Lost(e.to_string()))?.to_bytes();
            Ok(Answer::read(body)?)
        };
        tokio::pin!(exchange);
        // The connection is driven here, not in a task of its own: dropped with the exchange.
        tokio::select! {
            biased;
            answer = &mut exchange => answer,
            ended = connection => match ended {
                // What was read before the connection ended is still in the exchange's hands.
                Ok(()) => exchange.await,
                Err(e) => match exchange.await {
                    Ok(answer) => Ok(answer),
                    Err(Broken::Lost(_)) => Err(lost(e)),
                    Err(broken) => Err(broken),
                },
            },
        }
    }
}

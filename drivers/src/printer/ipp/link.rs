//! One question, one answer, over a connection of its own (RFC 8010, 3.4: HTTP POST).
//!
//! A connection per exchange costs a handshake and buys certainty: no connection that the
//! printer has meanwhile given up on is ever used for a request that must not be repeated, and
//! an exchange that is dropped takes its connection with it.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicU16, Ordering},
    },
    time::Duration,
};

use bytes::{Bytes, BytesMut};
use http_body_util::{BodyExt, Full, Limited};
use hyper::{Request, client::conn::http1, header};
use hyper_util::rt::TokioIo;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    time::{Instant, timeout, timeout_at},
};
use tokio_rustls::{
    TlsConnector,
    rustls::{ClientConfig, pki_types::ServerName},
};

use super::{
    config::{IppConfig, PrinterUri},
    timing, tls,
    wire::{Answer, StatusCode, Unreadable},
};

/// The longest answer that is read: bounds what a device can make us hold.
const LONGEST_ANSWER: usize = 512 * 1024;

/// How much of an address is shown that a printer refers to.
const LONGEST_LOCATION: usize = 200;

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
    /// TLS did not come about; nothing of the question was sent.
    #[error("no TLS: {0}")]
    Tls(tls::Problem),
    /// The printer's web server answered instead of its IPP service.
    #[error("HTTP status {status}")]
    Http {
        /// Its status.
        status: u16,
        /// Where it says to go instead.
        location: Option<String>,
    },
    /// What came is no answer.
    #[error(transparent)]
    Unreadable(#[from] Unreadable),
}

impl Broken {
    /// Whether the printer certainly did nothing of what was asked.
    pub(super) fn did_nothing(&self) -> bool {
        match self {
            Self::Unreachable(_) | Self::Tls(_) => true,
            // A request that was cut on its way is bad, too.
            Self::Http { status, .. } => {
                (300..500).contains(status) && *status != BAD || *status == BUSY
            }
            Self::Lost(_) | Self::Silent | Self::Unreadable(_) => false,
        }
    }

    /// Whether the printer will take the same request later.
    pub(super) fn is_busy(&self) -> bool {
        matches!(self, Self::Http { status: BUSY, .. })
    }
}

/// HTTP's "bad request".
const BAD: u16 = 400;
/// HTTP's "service unavailable".
const BUSY: u16 = 503;

/// The version that is spoken first, and those that a printer is fallen back to (PWG 5100.12).
const NEWEST: u16 = 0x0200;
const OLDER: [u16; 2] = [0x0101, 0x0100];

/// The way to one printer.
pub(super) struct Link {
    /// The version of IPP that the printer takes.
    version: AtomicU16,
    uri: PrinterUri,
    tls: Option<Result<Arc<ClientConfig>, String>>,
}

trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}
impl<S: AsyncRead + AsyncWrite + Unpin + Send> Stream for S {}

impl Link {
    pub(super) fn new(config: &IppConfig) -> Self {
        let tls = || tls::client(config.certificate).map_err(|e| e.to_string());
        Self {
            version: AtomicU16::new(NEWEST),
            uri: config.uri.clone(),
            tls: config.uri.tls.then(tls),
        }
    }

    /// Asks and waits as long as a question may take.
    pub(super) async fn ask(&self, question: Bytes) -> Result<Answer, Broken> {
        self.ask_within(timing::ANSWER, question).await
    }

    /// Asks and waits at most so long. A printer that does not take the version refuses the
    /// whole request, which is then asked in an older one.
    pub(super) async fn ask_within(
        &self,
        longest: Duration,
        question: Bytes,
    ) -> Result<Answer, Broken> {
        let answer = self.ask_once(longest, question.clone()).await?;
        if answer.status != StatusCode::VERSION {
            return Ok(answer);
        }
        let refused = self.version.load(Ordering::Relaxed);
        for version in OLDER.into_iter().filter(|older| *older < refused) {
            self.version.store(version, Ordering::Relaxed);
            let answer = self.ask_once(longest, question.clone()).await?;
            if answer.status != StatusCode::VERSION {
                tracing::info!(version = format!("{version:04x}"), "an older IPP is spoken");
                return Ok(answer);
            }
        }
        self.version.store(NEWEST, Ordering::Relaxed);
        Ok(answer)
    }

    async fn ask_once(&self, longest: Duration, question: Bytes) -> Result<Answer, Broken> {
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

    /// Connects, and shakes hands where TLS is spoken.
    async fn connect(&self) -> Result<Box<dyn Stream>, Broken> {
        let end = Instant::now() + timing::CONNECT;
        let late = || io::Error::from(io::ErrorKind::TimedOut);
        let away = |e: io::Error| Broken::Unreachable(e.to_string());
        let no_tls = |why: String| Broken::Tls(tls::Problem::Other(why));
        let stream = TcpStream::connect((self.uri.host.as_str(), self.uri.port));
        let stream = timeout_at(end, stream).await;
        let stream = stream.unwrap_or_else(|_| Err(late())).map_err(away)?;
        stream.set_nodelay(true).map_err(away)?;
        let config = match &self.tls {
            None => return Ok(Box::new(stream)),
            Some(Ok(config)) => config.clone(),
            Some(Err(why)) => return Err(no_tls(why.clone())),
        };
        let name = ServerName::try_from(self.uri.host.clone());
        let name = name.map_err(|e| no_tls(e.to_string()))?;
        let stream = timeout_at(end, TlsConnector::from(config).connect(name, stream)).await;
        let stream = stream.unwrap_or_else(|_| Err(late()));
        let stream = stream.map_err(|e| Broken::Tls(tls::Problem::of(&e)))?;
        Ok(Box::new(stream))
    }

    async fn post(&self, stream: Box<dyn Stream>, question: Bytes) -> Result<Answer, Broken> {
        let question = in_version(self.version.load(Ordering::Relaxed), question);
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
            let location = response.headers().get(header::LOCATION);
            let location = location.and_then(|value| value.to_str().ok());
            let location = location.map(|text| text.chars().take(LONGEST_LOCATION).collect());
            let body = Limited::new(response.into_body(), LONGEST_ANSWER);
            let body = body.collect().await;
            if status != hyper::StatusCode::OK {
                return Err(Broken::Http {
                    status: status.as_u16(),
                    location,
                });
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

/// The same question in this version, which stands in its first two bytes (RFC 8010, 3.1.1).
fn in_version(version: u16, question: Bytes) -> Bytes {
    let version = version.to_be_bytes();
    if question.starts_with(&version) {
        return question;
    }
    let mut question = BytesMut::from(question);
    if let Some(first) = question.get_mut(..version.len()) {
        first.copy_from_slice(&version);
    }
    question.freeze()
}

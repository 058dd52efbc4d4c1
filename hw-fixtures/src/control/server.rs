//! The simulator's end.

use std::future::Future;
use std::io;
use std::sync::Arc;

use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, UnixListener};
use tokio::task::{JoinHandle, JoinSet};

use super::{Endpoint, MAX_LINE};

/// Why a request was not carried out: a sentence for the author of the test.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Refusal(pub String);

/// A simulator, as its control channel sees it.
pub trait Controlled: Send + Sync + 'static {
    /// The verbs it knows, for the error message about any other.
    const VERBS: &'static [&'static str];

    /// Carries out one request.
    fn answer(
        &self,
        verb: &str,
        argument: Value,
    ) -> impl Future<Output = Result<Value, Refusal>> + Send;
}

/// A running control channel; it ends when this is dropped.
#[derive(Debug)]
pub struct Server {
    endpoint: Endpoint,
    task: JoinHandle<()>,
}

impl Server {
    /// Where it listens, with the real port.
    pub fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
        if let Endpoint::Unix(path) = &self.endpoint {
            // Gone already is as good.
            let _ = std::fs::remove_file(path);
        }
    }
}

/// Starts a control channel for `simulator`.
pub async fn serve<C: Controlled>(at: &Endpoint, simulator: Arc<C>) -> io::Result<Server> {
    match at {
        Endpoint::Tcp(address) => {
            let listener = TcpListener::bind(address).await?;
            let endpoint = Endpoint::Tcp(listener.local_addr()?);
            let task = tokio::spawn(async move {
                let mut clients = JoinSet::new();
                while let Ok((stream, _)) = listener.accept().await {
                    while clients.try_join_next().is_some() {}
                    // Without it every answer waits for a delayed acknowledgement.
                    let _ = stream.set_nodelay(true);
                    clients.spawn(converse(stream, Arc::clone(&simulator)));
                }
            });
            Ok(Server { endpoint, task })
        }
        Endpoint::Unix(path) => {
            let listener = UnixListener::bind(path)?;
            let endpoint = at.clone();
            let task = tokio::spawn(async move {
                let mut clients = JoinSet::new();
                while let Ok((stream, _)) = listener.accept().await {
                    while clients.try_join_next().is_some() {}
                    clients.spawn(converse(stream, Arc::clone(&simulator)));
                }
            });
            Ok(Server { endpoint, task })
        }
    }
}

/// Answers line by line until the client leaves.
async fn converse<C: Controlled>(stream: impl AsyncRead + AsyncWrite + Unpin, simulator: Arc<C>) {
    let mut stream = BufReader::new(stream);
    let mut line = Vec::new();
    loop {
        line.clear();
        match (&mut stream)
            .take(MAX_LINE)
            .read_until(b'\n', &mut line)
            .await
        {
            Ok(read) if read > 0 && line.ends_with(b"\n") => {}
            _ => return,
        }
        let answer = match request(&line, simulator.as_ref()).await {
            Ok(value) => json!({ "ok": value }),
            Err(Refusal(why)) => json!({ "error": why }),
        };
        let mut bytes = answer.to_string().into_bytes();
        bytes.push(b'\n');
        if stream.write_all(&bytes).await.is_err() {
            return;
        }
    }
}

async fn request<C: Controlled>(line: &[u8], simulator: &C) -> Result<Value, Refusal> {
    let value: Value = serde_json::from_slice(line)
        .map_err(|error| Refusal(format!("the request is not JSON: {error}")))?;
    let Value::Object(object) = value else {
        return Err(Refusal("the request is not an object".into()));
    };
    let mut entries = object.into_iter();
    let (Some((verb, argument)), None) = (entries.next(), entries.next()) else {
        return Err(Refusal(format!(
            "a request has exactly one key, one of: {}",
            C::VERBS.join(", ")
        )));
    };
    if !C::VERBS.contains(&verb.as_str()) {
        return Err(Refusal(format!(
            "`{verb}` is not known here; known are: {}",
            C::VERBS.join(", ")
        )));
    }
    simulator.answer(&verb, argument).await
}

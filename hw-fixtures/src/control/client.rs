//! The test's end.

use std::io;
use std::time::Duration;

use serde::Serialize;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::net::{TcpStream, UnixStream};

use super::{Endpoint, MAX_LINE};

/// Longer than any verb takes that does not wait for the simulator.
const PATIENCE: Duration = Duration::from_secs(10);

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum ControlError {
    /// The channel is not there (the simulator was killed?) or broke.
    #[error("the simulator's control channel {0} cannot be reached: {1}")]
    Unreachable(Endpoint, #[source] io::Error),
    /// The simulator did not answer in time.
    #[error("the simulator's control channel {0} did not answer within {1:?}")]
    Silent(Endpoint, Duration),
    /// The simulator said no, and why.
    #[error("the simulator refused: {0}")]
    Refused(String),
    /// The answer is not what this version expects.
    #[error("the simulator's answer makes no sense: {0}")]
    Garbled(String),
}

/// Speaks to one simulator. Each request has its own connection, so a simulator may be killed and
/// started again in between.
#[derive(Debug, Clone)]
pub struct ControlClient {
    endpoint: Endpoint,
}

impl ControlClient {
    /// Does not connect yet.
    pub fn new(endpoint: Endpoint) -> Self {
        Self { endpoint }
    }

    /// Where the simulator listens.
    pub fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// One request and its answer.
    pub async fn request(
        &self,
        verb: &str,
        argument: impl Serialize,
    ) -> Result<Value, ControlError> {
        self.request_within(verb, argument, PATIENCE).await
    }

    /// The same for verbs that wait.
    pub async fn request_within(
        &self,
        verb: &str,
        argument: impl Serialize,
        patience: Duration,
    ) -> Result<Value, ControlError> {
        let mut line = json!({ verb: argument }).to_string();
        line.push('\n');
        let answer = tokio::time::timeout(patience, self.exchange(&line))
            .await
            .map_err(|_| ControlError::Silent(self.endpoint.clone(), patience))?
            .map_err(|error| ControlError::Unreachable(self.endpoint.clone(), error))?;
        let mut answer: serde_json::Map<String, Value> = serde_json::from_slice(&answer)
            .map_err(|error| ControlError::Garbled(error.to_string()))?;
        match (answer.remove("ok"), answer.remove("error")) {
            (Some(value), _) => Ok(value),
            (None, Some(Value::String(why))) => Err(ControlError::Refused(why)),
            (None, _) => Err(ControlError::Garbled("neither `ok` nor `error`".into())),
        }
    }

    async fn exchange(&self, line: &str) -> io::Result<Vec<u8>> {
        match &self.endpoint {
            Endpoint::Tcp(address) => {
                let stream = TcpStream::connect(address).await?;
                stream.set_nodelay(true)?;
                ask(stream, line).await
            }
            Endpoint::Unix(path) => ask(UnixStream::connect(path).await?, line).await,
        }
    }
}

async fn ask(stream: impl AsyncRead + AsyncWrite + Unpin, line: &str) -> io::Result<Vec<u8>> {
    let mut stream = BufReader::new(stream);
    stream.write_all(line.as_bytes()).await?;
    let mut answer = Vec::new();
    stream.take(MAX_LINE).read_until(b'\n', &mut answer).await?;
    Ok(answer)
}

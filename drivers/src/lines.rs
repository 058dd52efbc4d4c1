//! Text protocols over TCP, a line at a time.

use std::{io, time::Duration};

use koffer_settings::HostPort;
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::TcpStream,
    time::timeout,
};

/// For a connection: the service is on this machine or in the same case.
const CONNECT: Duration = Duration::from_secs(3);

/// A connection. Whoever is dropped in the middle of an exchange drops it too: an answer that was
/// half read would be taken for the next one.
#[derive(Debug)]
pub struct Lines {
    stream: BufReader<TcpStream>,
    longest: usize,
}

impl Lines {
    /// Connects; no line may be longer than `longest` bytes.
    pub async fn connect(at: &HostPort, longest: usize) -> io::Result<Self> {
        let connect = TcpStream::connect((at.host.as_str(), at.port));
        let stream = timeout(CONNECT, connect)
            .await
            .map_err(|_| io::Error::from(io::ErrorKind::TimedOut))??;
        stream.set_nodelay(true)?;
        Ok(Self {
            stream: BufReader::new(stream),
            longest,
        })
    }

    /// Sends a line; its end is added.
    pub async fn send(&mut self, line: &str) -> io::Result<()> {
        let line = format!("{line}\n");
        self.stream.get_mut().write_all(line.as_bytes()).await
    }

    /// The next line without its end. Bytes that are no UTF-8 are replaced.
    pub async fn line(&mut self) -> io::Result<String> {
        let mut line = Vec::new();
        let longest = u64::try_from(self.longest).unwrap_or(u64::MAX);
        let read = (&mut self.stream)
            .take(longest)
            .read_until(b'\n', &mut line)
            .await?;
        match line.last() {
            Some(b'\n') => {
                line.pop();
                if line.last() == Some(&b'\r') {
                    line.pop();
                }
                Ok(String::from_utf8_lossy(&line).into_owned())
            }
            _ if read == self.longest => Err(io::Error::new(
                io::ErrorKind::InvalidData,
                "the line is too long",
            )),
            _ => Err(io::ErrorKind::UnexpectedEof.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;

    #[tokio::test]
    async fn lines_end_where_they_end_and_a_long_one_is_refused() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let peer = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            stream
                .write_all(b"one\r\n\xff\n0123456789\n")
                .await
                .unwrap();
        });
        let host = "127.0.0.1".to_owned();
        let mut lines = Lines::connect(&HostPort { host, port }, 8).await.unwrap();
        assert_eq!(lines.line().await.unwrap(), "one");
        assert_eq!(lines.line().await.unwrap(), "\u{fffd}");
        let error = lines.line().await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidData);
        peer.await.unwrap();
    }
}

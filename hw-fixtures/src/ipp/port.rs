//! The printer's port: HTTP as far as IPP needs it, one request a connection.

use std::{io, sync::Arc};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};

use super::{engine::Engine, manners::Manners, wire::Request};

/// The longest header and document that are read.
const LONGEST: usize = 64 * 1024 * 1024;

/// A scripted printer on a free port of the loopback interface, until it is dropped.
#[derive(Debug)]
pub struct ScriptedPrinter {
    engine: Engine,
    port: u16,
    task: Arc<JoinHandle<()>>,
}

impl Drop for ScriptedPrinter {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl ScriptedPrinter {
    /// Starts a printer with these manners.
    ///
    /// # Errors
    /// When no port is free.
    pub async fn start(manners: Manners) -> io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let port = listener.local_addr()?.port();
        let engine = Engine::new(manners);
        let of_port = engine.clone();
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let engine = of_port.clone();
                tokio::spawn(async move {
                    // Who hangs up gets no answer.
                    let _ = serve(stream, engine).await;
                });
            }
        });
        Ok(Self {
            engine,
            port,
            task: Arc::new(task),
        })
    }

    /// Its address.
    pub fn uri(&self) -> String {
        format!("ipp://127.0.0.1:{}/ipp/print", self.port)
    }

    /// Sheets in its tray.
    pub fn sheets(&self) -> u32 {
        self.engine.with(|memory| memory.sheets)
    }

    /// Documents that it took.
    pub fn documents(&self) -> Vec<Vec<u8>> {
        self.engine.with(|memory| memory.documents.clone())
    }

    /// What it was asked, in order.
    pub fn asked(&self) -> Vec<Request> {
        self.engine.with(|memory| memory.asked.clone())
    }
}

async fn serve(mut stream: TcpStream, engine: Engine) -> io::Result<()> {
    let Some(body) = request(&mut stream).await? else {
        return Ok(());
    };
    let Some(request) = Request::read(&body) else {
        return respond(&mut stream, 400, &[]).await;
    };
    let http = engine.manners().http;
    let scripted = http.iter().find(|(o, _)| *o == request.operation);
    match scripted {
        Some((_, status)) => respond(&mut stream, *status, &[]).await,
        None => respond(&mut stream, 200, &engine.answer(&request).await).await,
    }
}

/// The body of one request, by its length.
async fn request(stream: &mut TcpStream) -> io::Result<Option<Vec<u8>>> {
    let mut bytes = Vec::new();
    loop {
        if stream.read_buf(&mut bytes).await? == 0 || bytes.len() > LONGEST {
            return Ok(None);
        }
        let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") else {
            continue;
        };
        let header = bytes.get(..end).unwrap_or_default();
        let header = String::from_utf8_lossy(header).to_lowercase();
        let mut lines = header.lines();
        let length = lines.find_map(|line| line.strip_prefix("content-length:"));
        let length: usize = length.and_then(|n| n.trim().parse().ok()).unwrap_or(0);
        if let Some(body) = bytes.get(end + 4..end + 4 + length.min(LONGEST)) {
            return Ok(Some(body.to_vec()));
        }
    }
}

async fn respond(stream: &mut TcpStream, status: u16, body: &[u8]) -> io::Result<()> {
    let place = if (300..400).contains(&status) {
        "Location: https://192.0.2.9/ipp/print\r\n"
    } else {
        ""
    };
    let head = format!(
        "HTTP/1.1 {status} Scripted\r\n{place}Content-Type: application/ipp\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).await?;
    stream.write_all(body).await?;
    stream.flush().await
}

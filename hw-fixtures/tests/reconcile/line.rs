//! The wire between driver and terminal, which lets so many bytes pass and no more.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::{Notify, watch},
    task::JoinSet,
};

/// Which bytes are counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Toward {
    Terminal,
    Driver,
}

/// Where it ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct End {
    pub(crate) toward: Toward,
    pub(crate) byte: u64,
}

/// A line with an end. Its connections are gone with it.
#[derive(Debug)]
pub(crate) struct Line {
    address: SocketAddr,
    /// Called when the end is reached.
    pub(crate) reached: Arc<Notify>,
    counted: Arc<[AtomicU64; 2]>,
    close: watch::Sender<bool>,
    tasks: JoinSet<()>,
}

impl Line {
    /// To the terminal. With `hangs_up` the line closes at its end by itself.
    pub(crate) async fn to(terminal: SocketAddr, end: Option<End>, hangs_up: bool) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (close, closed) = watch::channel(false);
        let reached = Arc::new(Notify::new());
        let counted: Arc<[AtomicU64; 2]> = Arc::default();
        let mut tasks = JoinSet::new();
        let pump = Pump {
            end,
            hangs_up,
            reached: Arc::clone(&reached),
            counted: Arc::clone(&counted),
            close: close.clone(),
        };
        tasks.spawn(async move {
            // One call, one connection at a time; after the end none comes through.
            while let Ok((near, _)) = listener.accept().await {
                if *closed.borrow() {
                    continue;
                }
                let far = TcpStream::connect(terminal).await.unwrap();
                near.set_nodelay(true).unwrap();
                far.set_nodelay(true).unwrap();
                pump.connection(near, far, closed.clone()).await;
            }
        });
        Self {
            address,
            reached,
            counted,
            close,
            tasks,
        }
    }

    /// The driver's end.
    pub(crate) fn endpoint(&self) -> String {
        format!("tcp://{}", self.address)
    }

    /// Bytes that passed.
    pub(crate) fn passed(&self, toward: Toward) -> u64 {
        self.counted[toward as usize].load(Ordering::SeqCst)
    }

    /// Closes both ends.
    pub(crate) async fn cut(mut self) {
        self.close.send_replace(true);
        self.tasks.shutdown().await;
    }
}

struct Pump {
    end: Option<End>,
    hangs_up: bool,
    reached: Arc<Notify>,
    counted: Arc<[AtomicU64; 2]>,
    close: watch::Sender<bool>,
}

impl Pump {
    async fn connection(
        &self,
        mut near: TcpStream,
        mut far: TcpStream,
        mut closed: watch::Receiver<bool>,
    ) {
        let (mut near_in, mut near_out) = near.split();
        let (mut far_in, mut far_out) = far.split();
        tokio::select! {
            () = self.copy(&mut near_in, &mut far_out, Toward::Terminal) => {}
            () = self.copy(&mut far_in, &mut near_out, Toward::Driver) => {}
            _ = closed.wait_for(|closed| *closed) => {}
        }
    }

    async fn copy(
        &self,
        from: &mut (impl AsyncReadExt + Unpin),
        to: &mut (impl AsyncWriteExt + Unpin),
        toward: Toward,
    ) {
        let counted = &self.counted[toward as usize];
        let mut buffer = [0; 4096];
        loop {
            let passed = counted.load(Ordering::SeqCst);
            let left = match self.end {
                Some(end) if end.toward == toward => end.byte - passed,
                _ => u64::MAX,
            };
            if left == 0 {
                self.reached.notify_one();
                if !self.hangs_up {
                    // Whoever drives this ends it.
                    std::future::pending::<()>().await;
                }
                self.close.send_replace(true);
                return;
            }
            let Ok(count @ 1..) = from.read(&mut buffer).await else {
                return;
            };
            let passing = count.min(usize::try_from(left).unwrap_or(usize::MAX));
            counted.fetch_add(passing as u64, Ordering::SeqCst);
            if to.write_all(&buffer[..passing]).await.is_err() {
                return;
            }
        }
    }
}

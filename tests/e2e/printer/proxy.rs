//! A way to the printer that ends at a chosen byte.

use std::{
    io,
    net::Ipv4Addr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{
        TcpListener, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::Notify,
    task::JoinHandle,
};

/// A direction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    ToPrinter,
    FromPrinter,
}

/// How a connection is cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cut {
    /// In an orderly way (FIN), as by a device that gives up.
    Closed,
    /// Torn (RST), as by a device that lost power and is back.
    Torn,
}

/// What is to happen.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Plan {
    pub(crate) way: Way,
    /// After so many bytes, over all connections.
    pub(crate) after: u64,
    pub(crate) cut: Cut,
    /// Nothing passes any more, and only when its sender ends the connection it is cut.
    pub(crate) held: bool,
}

#[derive(Debug, Default)]
struct State {
    to_printer: u64,
    from_printer: u64,
    plan: Option<Plan>,
}

/// Forwards connections until a plan cuts one; later ones pass.
pub(crate) struct Proxy {
    port: u16,
    state: Arc<Mutex<State>>,
    holds: Arc<Notify>,
    task: JoinHandle<()>,
}

impl Proxy {
    pub(crate) async fn to(printer: u16) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
            .await
            .expect("a port");
        let port = listener.local_addr().expect("bound").port();
        let state = Arc::<Mutex<State>>::default();
        let holds = Arc::<Notify>::default();
        let (shared, holding) = (state.clone(), holds.clone());
        let task = tokio::spawn(async move {
            while let Ok((near, _)) = listener.accept().await {
                tokio::spawn(forward(near, printer, shared.clone(), holding.clone()));
            }
        });
        Self {
            port,
            state,
            holds,
            task,
        }
    }

    pub(crate) fn uri(&self) -> String {
        format!("ipp://127.0.0.1:{}/ipp/print", self.port)
    }

    /// Counts anew, and cuts if there is a plan.
    pub(crate) fn arm(&self, plan: Option<Plan>) {
        *lock(&self.state) = State {
            plan,
            ..State::default()
        };
    }

    /// Resolves when a connection is held.
    pub(crate) async fn held(&self) {
        self.holds.notified().await;
    }

    /// Bytes that passed since the last plan: to the printer, from it.
    pub(crate) fn passed(&self) -> (u64, u64) {
        let state = lock(&self.state);
        (state.to_printer, state.from_printer)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn forward(near: TcpStream, printer: u16, state: Arc<Mutex<State>>, holds: Arc<Notify>) {
    let Ok(far) = TcpStream::connect(("localhost", printer)).await else {
        return;
    };
    for stream in [&near, &far] {
        stream.set_nodelay(true).expect("a socket");
    }
    let (near_in, near_out) = near.into_split();
    let (far_in, far_out) = far.into_split();
    let mut there = tokio::spawn(pump(
        near_in,
        far_out,
        Way::ToPrinter,
        state.clone(),
        holds.clone(),
    ));
    let mut back = tokio::spawn(pump(far_in, near_out, Way::FromPrinter, state, holds));
    let (first, second) = tokio::select! {
        ended = &mut there => (ended, &mut back),
        ended = &mut back => (ended, &mut there),
    };
    if let Ok(Ok(Some(cut))) = first {
        if cut == Cut::Closed {
            // What was forwarded shall arrive: a socket with unread bytes would be torn.
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        second.abort();
        let _ = second.await;
    } else {
        let _ = second.await;
    }
}

/// Forwards one direction; says how the connection is to be cut, if it is.
async fn pump(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    way: Way,
    state: Arc<Mutex<State>>,
    holds: Arc<Notify>,
) -> io::Result<Option<Cut>> {
    let mut buffer = vec![0; 16 * 1024];
    loop {
        let n = from.read(&mut buffer).await?;
        if n == 0 {
            to.shutdown().await?;
            return Ok(None);
        }
        let (allowed, cut) = {
            let mut state = lock(&state);
            let passed = match way {
                Way::ToPrinter => &mut state.to_printer,
                Way::FromPrinter => &mut state.from_printer,
            };
            let before = *passed;
            *passed += n as u64;
            match state.plan {
                Some(plan) if plan.way == way && plan.after < before + n as u64 => {
                    state.plan = None;
                    let allowed = usize::try_from(plan.after - before).unwrap_or(n);
                    (allowed, Some(plan))
                }
                _ => (n, None),
            }
        };
        to.write_all(buffer.get(..allowed).unwrap_or_default())
            .await?;
        if let Some(Plan { cut, held, .. }) = cut {
            if held {
                holds.notify_one();
                // What ends it is the end of whoever sends here.
                while from.read(&mut buffer).await.is_ok_and(|n| n > 0) {}
            }
            if cut == Cut::Torn {
                from.as_ref().set_zero_linger()?;
                to.as_ref().set_zero_linger()?;
            }
            return Ok(Some(cut));
        }
    }
}

//! A way to a printer that ends at a chosen byte.

use std::{io, net::Ipv4Addr, sync::Arc, time::Duration};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{
        TcpListener, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::watch,
    task::JoinHandle,
    time::timeout,
};

/// Get-Printer-Attributes (RFC 8011, 4.2.5): the last thing a driver asks before it rests.
const LOOK: u16 = 0x000B;
/// The longest head of an HTTP request that is looked into.
const LONGEST_HEAD: usize = 4 * 1024;
/// No rest takes longer to come, unless it never will.
const PATIENCE: Duration = Duration::from_mins(1);

/// A direction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it")]
pub enum Way {
    ToPrinter,
    FromPrinter,
}

/// How a connection is cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cut {
    /// In an orderly way (FIN), as by a device that gives up.
    Closed,
    /// Torn (RST), as by a device that lost power and is back.
    Torn,
}

/// What is to happen.
#[derive(Debug, Clone, Copy)]
pub struct Plan {
    /// In which direction.
    pub way: Way,
    /// After so many bytes, over all connections.
    pub after: u64,
    /// What.
    pub cut: Cut,
    /// Nothing passes any more, and only when its sender ends the connection it is cut.
    pub held: bool,
}

#[derive(Debug, Default)]
struct State {
    to_printer: u64,
    from_printer: u64,
    plan: Option<Plan>,
    /// Whether the last plan happened.
    happened: bool,
    /// Connections that stand.
    open: usize,
    /// The operation of the last request whose head passed.
    asked: Option<u16>,
}

type Shared = Arc<watch::Sender<State>>;

/// Forwards connections until a plan cuts one; later ones pass.
#[derive(Debug)]
pub struct Proxy {
    port: u16,
    state: Shared,
    task: JoinHandle<()>,
}

impl Proxy {
    /// A way to the printer on this port of the loopback interface.
    ///
    /// # Panics
    /// When the system has no port left.
    pub async fn to(printer: u16) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
            .await
            .expect("a port");
        let port = listener.local_addr().expect("bound").port();
        let state = Shared::default();
        let shared = state.clone();
        let task = tokio::spawn(async move {
            while let Ok((near, _)) = listener.accept().await {
                let state = shared.clone();
                state.send_modify(|state| state.open += 1);
                tokio::spawn(async move {
                    forward(near, printer, &state).await;
                    state.send_modify(|state| state.open -= 1);
                });
            }
        });
        Self { port, state, task }
    }

    /// Where it is, for the driver.
    pub fn uri(&self) -> String {
        format!("ipp://127.0.0.1:{}/ipp/print", self.port)
    }

    /// Its port on the loopback interface.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Counts anew, and cuts if there is a plan.
    pub fn arm(&self, plan: Option<Plan>) {
        self.state.send_modify(|state| {
            state.to_printer = 0;
            state.from_printer = 0;
            state.happened = false;
            state.plan = plan;
        });
    }

    /// Bytes that passed since the last plan: to the printer, from it.
    pub fn passed(&self) -> (u64, u64) {
        let state = self.state.borrow();
        (state.to_printer, state.from_printer)
    }

    /// Whether the last plan happened.
    pub fn has_happened(&self) -> bool {
        self.state.borrow().happened
    }

    /// Waits until the last plan happens.
    pub async fn happened(&self) {
        let mut state = self.state.subscribe();
        // It is not dropped while it is borrowed.
        let _ = state.wait_for(|state| state.happened).await;
    }

    /// Waits until the driver has looked at the printer after all it did, and asks nothing: what
    /// passes from now on belongs to the next call.
    ///
    /// # Panics
    /// When that does not come.
    pub async fn rest(&self) {
        let mut state = self.state.subscribe();
        let rests = state.wait_for(|state| state.open == 0 && state.asked == Some(LOOK));
        let rests = timeout(PATIENCE, rests).await;
        assert!(
            rests.is_ok_and(|state| state.is_ok()),
            "{:?}",
            self.state.borrow()
        );
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn forward(near: TcpStream, printer: u16, state: &Shared) {
    let Ok(far) = TcpStream::connect(("localhost", printer)).await else {
        return;
    };
    for stream in [&near, &far] {
        stream.set_nodelay(true).expect("a socket");
    }
    let (near_in, near_out) = near.into_split();
    let (far_in, far_out) = far.into_split();
    let mut there = tokio::spawn(pump(near_in, far_out, Way::ToPrinter, state.clone()));
    let mut back = tokio::spawn(pump(far_in, near_out, Way::FromPrinter, state.clone()));
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
    state: Shared,
) -> io::Result<Option<Cut>> {
    let mut buffer = vec![0; 16 * 1024];
    let mut head = Vec::new();
    loop {
        let mut n = from.read(&mut buffer).await?;
        if n == 0 {
            to.shutdown().await?;
            return Ok(None);
        }
        let read = buffer.get(..n).unwrap_or_default();
        let asked = (way == Way::ToPrinter)
            .then(|| operation(&mut head, read))
            .flatten();
        let mut due = None;
        state.send_modify(|state| {
            state.asked = asked.or(state.asked);
            let passed = match way {
                Way::ToPrinter => &mut state.to_printer,
                Way::FromPrinter => &mut state.from_printer,
            };
            let before = *passed;
            *passed += n as u64;
            let within = |plan: &Plan| plan.way == way && plan.after < before + n as u64;
            due = state.plan.take_if(|plan| within(plan));
            if let Some(plan) = &due {
                state.happened = true;
                n = usize::try_from(plan.after - before).unwrap_or(n);
            }
        });
        to.write_all(buffer.get(..n).unwrap_or_default()).await?;
        let Some(Plan { cut, held, .. }) = due else {
            continue;
        };
        if held {
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

/// The operation of an IPP request (RFC 8010, 3.1.1), with the bytes that complete its head.
fn operation(head: &mut Vec<u8>, more: &[u8]) -> Option<u16> {
    if head.len() > LONGEST_HEAD {
        return None;
    }
    let known = find(head).is_some();
    head.extend_from_slice(more);
    find(head).filter(|_| !known)
}

fn find(head: &[u8]) -> Option<u16> {
    let end = head.windows(4).position(|four| four == b"\r\n\r\n")?;
    // Two bytes of version come first.
    let operation = head.get(end + 6..end + 8)?;
    Some(u16::from_be_bytes(operation.try_into().ok()?))
}

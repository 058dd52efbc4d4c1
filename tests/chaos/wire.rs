//! A cable: forwards TCP connections, and can be cut.

use std::{net::Ipv4Addr, sync::Arc};

use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
    sync::watch,
    task::JoinHandle,
};

use crate::Outcome;

/// A way to a port of the loopback interface.
#[derive(Debug)]
pub(crate) struct Wire {
    /// Where it begins.
    pub(crate) port: u16,
    cuts: Arc<watch::Sender<u64>>,
    task: JoinHandle<()>,
}

impl Wire {
    pub(crate) async fn to(port: u16) -> Outcome<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let own = listener.local_addr()?.port();
        let cuts = Arc::new(watch::Sender::new(0));
        let heard = cuts.clone();
        let task = tokio::spawn(async move {
            while let Ok((near, _)) = listener.accept().await {
                tokio::spawn(forward(near, port, heard.subscribe()));
            }
        });
        Ok(Self {
            port: own,
            cuts,
            task,
        })
    }

    /// Tears every connection that stands (RST): what was on its way is lost. New ones pass.
    pub(crate) fn cut(&self) {
        self.cuts.send_modify(|cuts| *cuts += 1);
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        self.task.abort();
        self.cut();
    }
}

async fn forward(mut near: TcpStream, port: u16, mut cut: watch::Receiver<u64>) {
    let Ok(mut far) = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await else {
        // Who is not there refuses: a connection that ends at once looks the same.
        let _ = near.set_zero_linger();
        return;
    };
    let _ = near.set_nodelay(true);
    let _ = far.set_nodelay(true);
    tokio::select! {
        _ = copy_bidirectional(&mut near, &mut far) => {}
        _ = cut.changed() => {
            let _ = near.set_zero_linger();
            let _ = far.set_zero_linger();
        }
    }
}

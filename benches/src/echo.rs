//! The gateway as it is, with cards beside its configured devices that cost nothing: what is
//! measured with them is the way of a call through bus, desk, queue, supervisor and back, not a
//! device and not a simulator.

use std::{path::Path, sync::Arc};

use async_trait::async_trait;
use koffer_drivers::{Call, Contact, Driver, Fault, Finished, Opened, Reports};
use koffer_gateway::{
    config::Config,
    daemon::{self, Milestone},
    logging,
    registry::DeviceSpec,
};
use koffer_proto::{
    Blob, Class, Connection, Failure, Outcome as Ending, Request, Status,
    class::card_terminal::{
        self, CardProtocol, Connected, FileContent, Request as Card, Response as Done,
    },
};
use nix::sys::signal::Signal;
use tokio::{
    runtime::Handle,
    signal::unix::{SignalKind, signal},
};
use tokio_util::sync::CancellationToken;

use crate::Outcome;

/// The cards: small calls go to the first, the others keep it company.
pub(crate) const CARDS: [&str; 2] = ["card-1", "card-2"];

/// The files on each card: path and size in bytes.
pub(crate) const FILES: [(&str, usize); 3] =
    [("0101", 64), ("0102", 256 * 1024), ("0103", 20_000_000)];

/// Runs the gateway with this configuration until SIGTERM, as `kofferd` does.
pub(crate) fn gateway(path: &Path) -> Outcome<()> {
    let (config, _) = Config::load(path, []).map_err(|mistakes| mistakes.to_string())?;
    logging::start(&config.log, None, None)?;
    daemon::on_two_threads(|beside| serve(config, beside))?
}

async fn serve(config: Config, beside: Handle) -> Outcome<()> {
    let mut terminate = signal(SignalKind::from_raw(Signal::SIGTERM as i32))?;
    let stop = CancellationToken::new();
    let stopping = stop.clone();
    tokio::spawn(async move {
        terminate.recv().await;
        stopping.cancel();
    });
    let cards = CARDS.iter().map(|id| card(id)).collect::<Result<_, _>>()?;
    let told = |_: Milestone| {};
    Ok(daemon::run_with(config, cards, &beside, stop, told).await?)
}

fn card(id: &str) -> Outcome<DeviceSpec> {
    let files: Vec<_> = FILES
        .iter()
        .map(|(path, bytes)| {
            let content = Blob::from(vec![0x5a; *bytes]);
            let sha256 = content.sha256();
            (*path, FileContent { content, sha256 })
        })
        .collect();
    let files: Arc<[_]> = files.into();
    Ok(DeviceSpec {
        id: id.parse().map_err(|_| "no name of a device")?,
        class: Class::CardTerminal,
        driver: "echo",
        connection: Connection::Internal,
        make: Arc::new(move || Box::new(Echo(files.clone()))),
    })
}

/// A card whose answers lie ready.
struct Echo(Arc<[(&'static str, FileContent)]>);

impl Echo {
    fn answer(&self, request: &Request) -> Option<card_terminal::Response> {
        match request {
            Request::CardTerminal(Card::Read(read)) => {
                let path = read.file.path.as_str();
                let file = self.0.iter().find(|(name, _)| *name == path);
                file.map(|(_, content)| Done::Read(content.clone()))
            }
            Request::CardTerminal(Card::Connect(_)) => Some(Done::Connect(Connected {
                atr: vec![0x3b; 20].into(),
                protocol: CardProtocol::T1,
            })),
            _ => None,
        }
    }
}

#[async_trait]
impl Driver for Echo {
    async fn open(&mut self) -> Result<Opened, Fault> {
        Ok(Opened::default())
    }

    async fn run(&mut self, request: Request, _: &mut Call) -> Finished {
        let outcome = match self.answer(&request) {
            Some(done) => Ending::Ok(done.into()),
            None => Ending::Failed(Failure::without_effect(Status::Unsupported, "not measured")),
        };
        Finished {
            outcome,
            contact: Contact::Kept,
        }
    }

    async fn watch(&mut self, _: &Reports) -> Fault {
        std::future::pending().await
    }

    async fn close(&mut self) {}
}

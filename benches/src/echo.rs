//! The gateway as it is, with cards beside its configured devices that cost nothing: what is
//! measured with them is the way of a call through bus, dispatcher, queue, supervisor and back, not a
//! device and not a simulator.

use std::{path::Path, sync::Arc};

use async_trait::async_trait;
use koffer_drivers::{
    Call, Contact, Driver, Evidence, Fault, Finished, NotStored, Opened, Reports,
};
use koffer_gateway::{
    config::Config,
    daemon::{self, Milestone},
    logging,
    registry::DeviceSpec,
};
use koffer_proto::{
    Blob, Class, Connection, EffectKind, Failure, Outcome as Ending, Request, Status,
    class::card_terminal::{
        self, CardProtocol, CommandResponse, Connected, FileContent, Request as Card,
        Response as Done, Transmitted,
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
pub(crate) const CARDS: [&str; 8] = [
    "card-1", "card-2", "card-3", "card-4", "card-5", "card-6", "card-7", "card-8",
];

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
            Request::CardTerminal(Card::Transmit(_)) => Some(Done::Transmit(Transmitted {
                responses: vec![CommandResponse {
                    data: vec![0x5a; FILES[0].1].into(),
                    status_word: "9000".to_owned(),
                }],
                complete: true,
            })),
            _ => None,
        }
    }
}

/// Puts on record what the driver of a real card does, where that has to be.
async fn recorded(request: &Request, call: &Call) -> Result<(), NotStored> {
    if request.spec().effect == EffectKind::Once {
        let before = Evidence::new("batch", [("commands", "1".to_owned())]);
        call.arm(before).await?;
        call.effect_may_begin().await?;
    }
    Ok(())
}

#[async_trait]
impl Driver for Echo {
    async fn open(&mut self) -> Result<Opened, Fault> {
        Ok(Opened::default())
    }

    async fn run(&mut self, request: Request, call: &mut Call) -> Finished {
        let failed = |status, why: &str| Ending::Failed(Failure::without_effect(status, why));
        let outcome = match (recorded(&request, call).await, self.answer(&request)) {
            (Err(error), _) => failed(Status::DeviceFault, &error.0.en),
            (Ok(()), Some(done)) => Ending::Ok(done.into()),
            (Ok(()), None) => failed(Status::Unsupported, "not measured"),
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

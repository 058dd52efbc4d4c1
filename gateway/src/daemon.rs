//! `kofferd` as a whole: broker, bus, devices and dispatcher task, raised in this order and let go of in
//! the reverse one.

use std::{
    collections::BTreeMap,
    fs, io,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use jiff::Timestamp;
use koffer_proto::{Class, DeviceId, GatewayStatus, Presence, Root, class::gateway::AttachedThing};
use tokio::{
    runtime::{self, Handle},
    sync::{mpsc, watch},
    task::JoinSet,
};
use tokio_util::sync::CancellationToken;

use crate::{
    Secret,
    broker::InternalBroker,
    bus::{Address, Bus, Incoming, Message, Neighbour, OutboxBound, Qos, Settings, Subscription},
    calls::{
        BulkDepth, BulkSession, Dispatcher, DispatcherTask, Job, Limits, Moment, Policy, Rights,
        Served, Setup, Startup, SupervisorEvent, Vitals,
    },
    clock,
    config::{BrokerAddress, Config, EmbeddedBroker, GATEWAY_USERNAME, MqttConfig},
    documents::Documents,
    drivers,
    enumerate::Enumerator,
    identity,
    journal::{CallNo, Deleted, Durable, Journal, Place, Snapshot},
    left_behind, logging, memory,
    registry::{DeviceSpec, Plug, supervise},
};

/// Topic and properties around a payload of full size.
const FRAME_BYTES: usize = 64 * 1024;

/// Calls that may be open at once. With each workstation's few this is never reached; it bounds what
/// a client gone wild can make the gateway hold. Beyond it each client still has its share.
const OPEN_CALLS: usize = 1024;

/// What supervisors tell and the dispatcher task has not heard; a supervisor that is faster waits.
const EVENTS: usize = 256;

/// What the journal deleted and the dispatcher task has not heard, some hundred calls each; while it is full,
/// the journal deletes nothing.
const DELETED: usize = 16;

/// Devices of an earlier life that were found and not yet taken away; the search waits.
const LEFT_BEHIND: usize = 16;

/// Large calls that are decoded at once; each takes what it decodes several times over meanwhile.
const DECODING: usize = 2;

/// How long a driver has to bring a payment to rest once it is asked to stop.
const STOP_GRACE: Duration = Duration::from_secs(80);

/// How long the last messages have to reach the broker.
const FAREWELL: Duration = Duration::from_secs(5);

/// Why the daemon did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The embedded broker.
    #[cfg(feature = "embedded-broker")]
    #[error(transparent)]
    Broker(#[from] crate::broker::embedded::StartError),
    /// This build has no embedded broker.
    #[error("this kofferd was built without the embedded broker; set [mqtt] broker = \"external\"")]
    NoEmbeddedBroker,
    /// The embedded broker, in an unforeseen way.
    #[cfg(feature = "embedded-broker")]
    #[error("the embedded broker did not start: {0}")]
    Panicked(tokio::task::JoinError),
    /// The kernel gives no random numbers.
    #[error("the kernel gives no random numbers: {0}")]
    Random(#[from] getrandom::Error),
    /// The system gives no thread.
    #[error("the system gives no thread: {0}")]
    Thread(io::Error),
    /// The boot id cannot be read.
    #[error("/proc/sys/kernel/random/boot_id cannot be read: {0}")]
    BootId(io::Error),
}

/// What the daemon tells whoever started it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Milestone {
    /// The session with the broker is up: calls are taken.
    Online,
    /// Accepted calls are being answered; no new ones are taken.
    Stopping,
}

/// Runs `work` on this thread, and gives it a second one for what is not on the way of a call.
///
/// A call passes half a dozen tasks. On one thread each wakes the next without the kernel; on a
/// pool, waking threads was most of what a call cost. What moves megabytes about, the embedded
/// broker and large answers, has the other thread, so that it holds up no call. The process keeps
/// the memory that answers need.
pub fn on_two_threads<F>(work: impl FnOnce(Handle) -> F) -> io::Result<F::Output>
where
    F: Future<Output: Send> + Send + 'static,
{
    memory::keep_what_answers_need();
    let beside = runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .thread_name("beside")
        .enable_all()
        .build()?;
    let calls = runtime::Builder::new_current_thread()
        .max_blocking_threads(DECODING)
        .enable_all()
        .build()?;
    // As a task: waking what the runtime itself waits for costs a system call each time.
    let work = calls.spawn(work(beside.handle().clone()));
    calls.block_on(work).map_err(io::Error::other)
}

/// Runs the gateway until `stop` is cancelled and every accepted call is answered.
pub async fn run(
    config: Config,
    stop: CancellationToken,
    tell: impl FnMut(Milestone) + Send,
) -> Result<(), StartError> {
    run_with(config, Vec::new(), &Handle::current(), stop, tell).await
}

/// As [`run`], with devices beside the configured ones, whose drivers are not the gateway's, and
/// with another runtime for the embedded broker and large answers.
pub async fn run_with(
    config: Config,
    more: Vec<DeviceSpec>,
    beside: &Handle,
    stop: CancellationToken,
    mut tell: impl FnMut(Milestone) + Send,
) -> Result<(), StartError> {
    let started = Instant::now();
    let root = Root::new(config.gateway.id.clone());
    let mut documents = Documents::new(root.clone());
    let online = presence(Presence::Online)?;
    let offline = GatewayStatus {
        status: Presence::Offline,
        ..online.clone()
    };
    // The will first, so that what is retained for a new broker is `online`.
    let will = documents.status(&offline);
    documents.status(&online);

    let (broker, settings) = connect(&config, beside, will.clone()).await?;
    let looking = broker.is_none().then(|| settings.clone());
    let bulk = BulkSession::of(&settings, beside);
    let (bus, incoming) = listen(settings, &config, &root);

    let (tell_deleted, deleted) = mpsc::channel(DELETED);
    let (durable, memory, last_no) = open_journal(&config, tell_deleted).await?;
    let journal: Arc<dyn Journal> = Arc::new(durable.clone());
    let reconnects = Arc::new(AtomicU64::new(0));
    let (news, told) = mpsc::channel(EVENTS);
    let letting_go = CancellationToken::new();
    let Raised {
        jobs,
        classes,
        attached,
        mut tasks,
    } = raise(&config, more, news, &letting_go);
    let (find, left_behind) = mpsc::channel(LEFT_BEHIND);
    if let Some(settings) = looking {
        let look = left_behind::look(settings, root.clone(), find, letting_go.clone());
        tasks.spawn(look);
    }

    tracing::info!(
        gateway = %config.gateway.id, devices = jobs.len(), rules = config.rules.len(), "started"
    );
    let now = Moment {
        instant: Instant::now(),
        wall: Timestamp::now(),
    };
    let dispatcher = Dispatcher::new(
        Setup {
            root,
            policy: policy(&config),
            limits: limits(&config),
            devices: classes,
            roles: config.roles.clone(),
            last_no,
            effects: {
                let journal = journal.clone();
                Arc::new(move |no, device| journal.effects(no, device))
            },
            vitals: vitals(&config, started, &bus, bulk.depth(), &reconnects, &journal),
            attached: Box::new(move || attached.borrow().clone()),
        },
        now,
    );
    documents.gateway_description(BTreeMap::new());
    let dispatcher_task = DispatcherTask::new(Startup {
        dispatcher,
        bus: bus.clone(),
        bulk,
        incoming,
        events: told,
        left_behind,
        devices: jobs,
        memory,
        journal,
        deleted,
        documents,
        health_interval: config.gateway.health_interval,
        finish: config.gateway.shutdown_grace,
        grace: STOP_GRACE,
    });
    let mut sessions = 0;
    dispatcher_task
        .serve(stop, |milestone| match milestone {
            Served::Connected => {
                reconnects.store(sessions, Ordering::Relaxed);
                sessions += 1;
                if sessions == 1 {
                    tell(Milestone::Online);
                }
            }
            Served::Stopping => tell(Milestone::Stopping),
        })
        .await;

    letting_go.cancel();
    while tasks.join_next().await.is_some() {}
    let closed = bus.close_with(will, FAREWELL).await;
    if closed.unsent > 0 {
        tracing::warn!(unsent = closed.unsent, "messages did not reach the broker");
    }
    if let Some(broker) = broker {
        broker.stop().await;
    }
    durable.close().await;
    Ok(())
}

/// The journal, what it kept from before, and the number after which calls are counted.
async fn open_journal(
    config: &Config,
    deleted: mpsc::Sender<Vec<Deleted>>,
) -> Result<(Durable, Option<Snapshot>, CallNo), StartError> {
    let place = Place {
        directory: config.journal.directory.clone(),
        calls_kept: config.limits.calls_kept,
        keep: config.journal.keep,
        max_bytes: config.journal.max_bytes,
    };
    let durable = Durable::start_telling(place, deleted).map_err(StartError::Thread)?;
    // Where it cannot be read, it has said so in the log, and takes no call until it can.
    let memory = durable.snapshot().await.ok();
    let last_no = match &memory {
        Some(memory) => memory.last,
        // The seconds since 1970 are more than any journal has counted.
        None => CallNo(u64::try_from(Timestamp::now().as_second()).unwrap_or_default()),
    };
    Ok((durable, memory, last_no))
}

/// The devices, each under its supervisor.
struct Raised {
    /// Where their calls go.
    jobs: BTreeMap<DeviceId, mpsc::Sender<Job>>,
    classes: Vec<(DeviceId, Class)>,
    attached: watch::Receiver<Vec<AttachedThing>>,
    /// Supervisors, who finds further devices, and who counts log lines; they end with
    /// `letting_go`.
    tasks: JoinSet<()>,
}

fn raise(
    config: &Config,
    more: Vec<DeviceSpec>,
    news: mpsc::Sender<(DeviceId, SupervisorEvent)>,
    letting_go: &CancellationToken,
) -> Raised {
    let mut jobs = BTreeMap::new();
    let mut classes = Vec::new();
    let mut tasks = JoinSet::new();
    let specs = config.devices.values();
    let specs = specs.map(|device| {
        drivers::spec(
            &config.gateway.id,
            device.id.clone(),
            Arc::clone(&device.driver),
        )
    });
    for spec in specs.chain(more) {
        let (id, class) = (spec.id.clone(), spec.class);
        let plug = Plug::fixed(spec);
        let (queue, supervisor) = supervise(id.clone(), plug, news.clone(), letting_go.clone());
        classes.push((id.clone(), class));
        jobs.insert(id, queue);
        tasks.spawn(supervisor);
    }
    let configured = config.devices.values().cloned().collect();
    let (enumerator, expected) = Enumerator::new(
        config.gateway.id.clone(),
        config.rules.clone(),
        configured,
        news,
        letting_go.clone(),
    );
    for device in expected {
        classes.push((device.id.clone(), device.class));
        jobs.insert(device.id, device.jobs);
    }
    let attached = enumerator.told();
    tasks.spawn(enumerator.run());
    let left_out = logging::tell_what_was_left_out();
    let left_out = letting_go.clone().run_until_cancelled_owned(left_out);
    tasks.spawn(async move { left_out.await.unwrap_or_default() });
    Raised {
        jobs,
        classes,
        attached,
        tasks,
    }
}

fn presence(status: Presence) -> Result<GatewayStatus, StartError> {
    let boot_id = fs::read_to_string("/proc/sys/kernel/random/boot_id");
    Ok(GatewayStatus {
        status,
        version: env!("CARGO_PKG_VERSION").to_owned(),
        boot_id: boot_id.map_err(StartError::BootId)?.trim().to_owned(),
        started_at: Timestamp::now(),
    })
}

/// The broker, where it is inside, and how to reach it.
async fn connect(
    config: &Config,
    beside: &Handle,
    will: Message,
) -> Result<(Option<Box<dyn InternalBroker>>, Settings), StartError> {
    let (broker, mut settings) = match &config.mqtt {
        MqttConfig::Embedded(embedded) => {
            let broker = embedded_broker(config, embedded, beside, Secret::random()?).await?;
            let address = broker.mqtt_address();
            let address = Address::Tcp {
                host: address.ip().to_string(),
                port: address.port(),
            };
            let mut settings = Settings::new(address, GATEWAY_USERNAME);
            settings.local = Some(Neighbour(broker.local()));
            (Some(broker), settings)
        }
        MqttConfig::External(external) => {
            let address = match &external.address {
                BrokerAddress::Tcp(at) => Address::Tcp {
                    host: at.host.clone(),
                    port: at.port,
                },
                BrokerAddress::Unix(path) => Address::Unix(path.clone()),
            };
            let directory = &config.journal.directory;
            let client_id =
                identity::client_id(&external.username, config.gateway.id.as_str(), directory)?;
            let mut settings = Settings::new(address, client_id);
            settings.username.clone_from(&external.username);
            settings.password = external.password.clone();
            (None, settings)
        }
    };
    settings.will = Some(will);
    settings.max_packet_size = packet_size(config);
    settings.outbox = OutboxBound {
        messages: config.limits.outbox_messages,
        bytes: config.limits.outbox_bytes,
    };
    Ok((broker, settings))
}

/// The bus that hears every call.
///
/// Our own broker takes turns between users. Another one bounds what waits for a session, and drops
/// the newest of it: so each client's calls come by a session of their own.
fn listen(mut settings: Settings, config: &Config, root: &Root) -> (Bus, mpsc::Receiver<Incoming>) {
    let to = |filter| Subscription::to(filter, Qos::AtLeastOnce);
    match config.mqtt {
        MqttConfig::Embedded(_) => {
            settings.subscriptions = vec![to(root.calls())];
            Bus::start(settings)
        }
        MqttConfig::External(_) => {
            let clients = config.clients.keys();
            let calls =
                clients.map(|client| (format!("calls-{client}"), to(root.calls_of(client))));
            Bus::start_apart(settings, calls)
        }
    }
}

fn packet_size(config: &Config) -> u32 {
    let bytes = config.limits.max_payload_bytes.saturating_add(FRAME_BYTES);
    u32::try_from(bytes).unwrap_or(u32::MAX)
}

#[cfg(feature = "embedded-broker")]
async fn embedded_broker(
    config: &Config,
    embedded: &EmbeddedBroker,
    beside: &Handle,
    own: Secret,
) -> Result<Box<dyn InternalBroker>, StartError> {
    use crate::{
        broker::{
            embedded::{self, Client, Password},
            rules::Role,
        },
        calls::ClientRole,
    };
    let clients = config.clients.iter().filter_map(|(name, client)| {
        Some(Client {
            name: name.to_string(),
            role: match client.role {
                ClientRole::Workstation | ClientRole::Technician => Role::Workstation,
                ClientRole::Monitor => Role::Monitor,
            },
            password: Password::Clear(client.password.clone()?),
        })
    });
    let gateway = Client {
        name: GATEWAY_USERNAME.to_owned(),
        role: Role::Gateway,
        password: Password::Clear(own),
    };
    let clients = clients.chain([gateway]).collect();
    let mut settings = embedded::Settings::new(config.gateway.id.to_string(), clients);
    settings.listen = embedded.listen;
    settings.websocket = embedded.websocket;
    settings.max_packet_size = packet_size(config);
    let started = beside.spawn(embedded::start(settings));
    Ok(Box::new(started.await.map_err(StartError::Panicked)??))
}

#[cfg(not(feature = "embedded-broker"))]
async fn embedded_broker(
    _: &Config,
    _: &EmbeddedBroker,
    _: &Handle,
    _: Secret,
) -> Result<Box<dyn InternalBroker>, StartError> {
    Err(StartError::NoEmbeddedBroker)
}

fn policy(config: &Config) -> Policy {
    Policy::new(config.clients.iter().map(|(name, client)| {
        let classes = Class::ALL
            .iter()
            .copied()
            .filter(|class| client.allow.permits(*class));
        (
            name.clone(),
            Rights {
                role: client.role,
                classes: classes.collect(),
                resolves: client.resolve,
            },
        )
    }))
}

fn limits(config: &Config) -> Limits {
    Limits {
        max_payload: config.limits.max_payload_bytes,
        queue_per_device: config.limits.queue_per_device,
        open_calls: OPEN_CALLS,
        memory: config.limits.memory_bytes,
        confidential_kept: config.limits.confidential_kept,
    }
}

fn vitals(
    config: &Config,
    started: Instant,
    bus: &Bus,
    bulk: BulkDepth,
    reconnects: &Arc<AtomicU64>,
    journal: &Arc<dyn Journal>,
) -> Box<dyn Fn() -> Vitals + Send> {
    let broker = match config.mqtt {
        MqttConfig::Embedded(_) => "embedded",
        MqttConfig::External(_) => "external",
    };
    let (bus, reconnects, journal) = (bus.clone(), reconnects.clone(), journal.clone());
    Box::new(move || Vitals {
        uptime: started.elapsed(),
        rss_bytes: resident_bytes().unwrap_or_default(),
        outbox: (bus.depth().outbox_messages + bulk.messages()) as u64,
        broker_reconnects: reconnects.load(Ordering::Relaxed),
        broker,
        journal_bytes: journal.bytes_on_disk(),
        journal_reason: journal.trouble(),
        clock_reason: clock::trouble(Timestamp::now()),
        tasks: tokio::runtime::Handle::current()
            .metrics()
            .num_alive_tasks() as u64,
        uplink: None,
    })
}

/// Resident memory of this process (proc(5), statm: the second number, in pages).
fn resident_bytes() -> Option<u64> {
    let statm = fs::read_to_string("/proc/self/statm").ok()?;
    let pages: u64 = statm.split_ascii_whitespace().nth(1)?.parse().ok()?;
    let page = nix::unistd::sysconf(nix::unistd::SysconfVar::PAGE_SIZE).ok()??;
    Some(pages * u64::try_from(page).ok()?)
}

//! One APDU: through the gateway, and what it costs bare, which is `SCardTransmit` by a program of
//! its own plus a bare MQTT round trip. Real pcscd, two slots of vpcd, two virtual chips: the
//! gateway holds the one, the bare program the other.
//!
//! A `transmit` goes on record before and after. A `read` of one byte does not: it shows what the
//! way to the card costs without that.

use std::{
    io::{BufRead, BufReader, Write},
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
    time::{Duration, Instant},
};

use koffer_fixtures::card::{chip::Chip, pcscd::Pcscd, virtual_card::VirtualCard};
use serde::Serialize;

use crate::{
    Outcome,
    caller::{Asked, Caller, until_said},
    calls::{checked, encoded, until_listening},
    figures::{median, percentile, rounded},
    summary::Wanted,
    testbed::{BARE, GATEWAY, Kind, Process, Testbed, kofferd, this_program},
};

/// SELECT of a file by its identifier, no answer data (ISO 7816-4).
pub(crate) const APDU: [u8; 7] = [0x00, 0xa4, 0x00, 0x0c, 0x02, 0x01, 0x01];

/// The virtual card is on its way when the gateway starts.
const INSERTED_WITHIN: Duration = Duration::from_secs(10);

/// What one APDU costs, in microseconds; medians of the rounds' medians.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct ApduCost {
    pub(crate) encoding: &'static str,
    pub(crate) transmit_p50_us: f64,
    pub(crate) direct_p50_us: f64,
    pub(crate) bare_round_trip_p50_us: f64,
    pub(crate) p50_ratio: f64,
    pub(crate) transmit_p99_us: f64,
    /// A `read`, and how many APDUs it takes.
    pub(crate) read_p50_us: f64,
    pub(crate) read_apdus: u32,
    /// Against as many bare ones and a round trip.
    pub(crate) read_p50_ratio: f64,
}

/// Measures over mosquitto.
pub(crate) async fn measure(wanted: &Wanted) -> Outcome<Vec<ApduCost>> {
    let bed = Testbed::new(Kind::Mosquitto)?;
    let pcscd = Pcscd::start(bed.folder.path())?;
    let mut cards = Vec::new();
    for port in pcscd.ports() {
        let chip = Chip::new("123456").with_file(0x0101, vec![7; 256]);
        let mut card = VirtualCard::new(chip);
        card.insert(port)?;
        cards.push(card);
    }
    let socket = Pcscd::socket(bed.folder.path());
    let config =
        bed.config("[devices.reader]\ndriver = \"pcsc\"\nreader = \"Virtual PCD 00 00\"\n")?;
    let mut command = Command::new(kofferd()?);
    command.arg("--config").arg(&config);
    command.env("PCSCLITE_CSOCK_NAME", &socket);
    let _gateway = Process::start(bed.folder.path(), &mut command)?;
    let port = bed.port.to_string();
    let _bare = bed.start(&this_program()?, &["bare", &port])?;
    until_listening(bed.port).await?;
    let state = format!("koffer/1/{GATEWAY}/dev/reader/state");
    until_said(bed.port, &state, "\"ready\"").await?;

    let mut command = Command::new(this_program()?);
    command.args(["card", "Virtual PCD 00 01"]);
    command.env("PCSCLITE_CSOCK_NAME", &socket);
    let mut direct = Direct::start(&mut command)?;

    let mut costs = Vec::new();
    for content_type in ["application/cbor", "application/json"] {
        costs.push(compare(&bed, &cards[0], &mut direct, content_type, wanted).await?);
    }
    Ok(costs)
}

async fn compare(
    bed: &Testbed,
    card: &VirtualCard,
    direct: &mut Direct,
    content_type: &'static str,
    wanted: &Wanted,
) -> Outcome<ApduCost> {
    let mut caller = Caller::connect(bed.port, 1, &[GATEWAY]).await?;
    let mut bare_caller = Caller::connect(bed.port, 1, &[BARE]).await?;
    let asked = |operation: &str, payload| Asked {
        gateway: GATEWAY,
        what: format!("reader/{operation}"),
        payload,
        content_type,
    };
    let connect = asked("connect", encoded(content_type, "{}"));
    let began = Instant::now();
    while let Err(error) = checked(&mut caller, &connect).await {
        // The reader sees its card a moment after it was inserted.
        if began.elapsed() > INSERTED_WITHIN {
            return Err(error);
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let transmit = asked("transmit", batch(content_type)?);
    let answer = checked(&mut caller, &transmit).await?;
    let bare = Asked {
        gateway: BARE,
        what: format!("reader/0-{answer}"),
        ..transmit.clone()
    };
    let read = encoded(content_type, "{\"file\":{\"path\":\"0101\"},\"length\":1}");
    let read = asked("read", read);
    let before = card.with_chip(|chip| chip.executed());
    checked(&mut caller, &read).await?;
    let read_apdus = u32::try_from(card.with_chip(|chip| chip.executed()) - before)?;
    let (mut ours, mut direct_rounds, mut bare_rounds, mut p99) = (vec![], vec![], vec![], vec![]);
    let mut reads = Vec::new();
    // One round more than counts: the first warms up.
    for round in 0..=wanted.rounds {
        let through = repeated(&mut caller, &transmit, wanted.apdus).await?;
        let reading = repeated(&mut caller, &read, wanted.apdus).await?;
        let alone = repeated(&mut bare_caller, &bare, wanted.apdus).await?;
        let chip = direct.transmit(wanted.apdus)?;
        if round > 0 {
            let p50 = |took: &[Duration]| percentile(took, 50).unwrap_or(f64::NAN);
            ours.push(p50(&through));
            reads.push(p50(&reading));
            bare_rounds.push(p50(&alone));
            direct_rounds.push(p50(&chip));
            p99.push(percentile(&through, 99).unwrap_or(f64::NAN));
        }
    }
    checked(
        &mut caller,
        &asked("disconnect", encoded(content_type, "{}")),
    )
    .await?;
    let sums = direct_rounds.iter().zip(&bare_rounds).map(|(a, b)| a + b);
    let ratios = ours.iter().zip(sums).map(|(ours, sum)| ours / sum);
    let sums = direct_rounds.iter().zip(&bare_rounds);
    let sums = sums.map(|(chip, alone)| f64::from(read_apdus) * chip + alone);
    let read_ratios = reads.iter().zip(sums).map(|(ours, sum)| ours / sum);
    Ok(ApduCost {
        read_apdus,
        read_p50_ratio: rounded(median(read_ratios)),
        read_p50_us: rounded(median(reads.iter().copied())),
        encoding: content_type,
        p50_ratio: rounded(median(ratios)),
        transmit_p50_us: rounded(median(ours.iter().copied())),
        direct_p50_us: rounded(median(direct_rounds.iter().copied())),
        bare_round_trip_p50_us: rounded(median(bare_rounds.iter().copied())),
        transmit_p99_us: rounded(median(p99)),
    })
}

/// `transmit` with the one APDU.
pub(crate) fn batch(content_type: &str) -> Outcome<bytes::Bytes> {
    use koffer_proto::{
        ContentType,
        class::card_terminal::{Command, TransmitParams},
    };
    let params = TransmitParams {
        commands: vec![Command {
            apdu: APDU.to_vec().into(),
            accept: Vec::new(),
        }],
    };
    let encoding: ContentType = content_type.parse().map_err(|()| "no content type")?;
    Ok(encoding.encode(&params)?.into())
}

async fn repeated(caller: &mut Caller, asked: &Asked, times: usize) -> Outcome<Vec<Duration>> {
    let mut took = Vec::new();
    for _ in 0..times {
        took.push(caller.call(asked).await?.0);
    }
    took.sort_unstable();
    Ok(took)
}

/// The bare card program.
struct Direct {
    child: Child,
    asks: ChildStdin,
    tells: BufReader<ChildStdout>,
}

impl Direct {
    fn start(command: &mut Command) -> Outcome<Self> {
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let (asks, tells) = (child.stdin.take(), child.stdout.take());
        Ok(Self {
            child,
            asks: asks.ok_or("no stdin")?,
            tells: BufReader::new(tells.ok_or("no stdout")?),
        })
    }

    fn transmit(&mut self, times: usize) -> Outcome<Vec<Duration>> {
        writeln!(self.asks, "{times}")?;
        let mut line = String::new();
        self.tells.read_line(&mut line)?;
        let nanos: Vec<u64> = serde_json::from_str(&line)?;
        let mut took: Vec<_> = nanos.into_iter().map(Duration::from_nanos).collect();
        took.sort_unstable();
        Ok(took)
    }
}

impl Drop for Direct {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

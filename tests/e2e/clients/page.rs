//! `docs/clients.md`.

use std::{env, fmt::Write as _, fs};

use koffer_tests::office::Broker;

use super::{
    library::{Library, Transport},
    matrix::{Row, TRIED, name},
    root,
};

const ABOUT: &str = "\
# Clients of other makers

Written by `cargo test -p koffer-tests --test e2e clients`, which fails where a client is told something
else; `KOFFER_BLESS=1` writes it anew. Do not edit it.

Each library was used as an app would use it, with the code in [examples](examples/README.md) and the
client id that it takes by itself, on the embedded broker and on mosquitto with the shipped
configuration. What it was told was compared with what the devices show: the terminal's own ledger, the
printer's tray, the chip's file.

| column | what was done |
|---|---|
| pay | a payment; the terminal booked it once |
| progress | its progress, numbered without a gap, with the terminal's texts |
| print | a document of 1 MB; that very document came out |
| chip | a file of a chip written and read |
| replay | the same three calls from a new process, under the same call ids: the same answers, nothing booked, printed or written |
| refusal | a wrong password is told as that, and so is a call that the broker does not allow |
";

/// Writes the page to `target/`, and with `KOFFER_BLESS=1` to the repository. Fails where it
/// differs.
pub(crate) fn check(rows: &[(&Library, Broker, Row)]) {
    let text = text(rows);
    fs::write(root().join("target/clients.md"), &text).expect("a target folder");
    let page = root().join("docs/clients.md");
    if env::var_os("KOFFER_BLESS").is_some() {
        fs::write(&page, &text).expect("docs/clients.md");
    }
    let shipped = fs::read_to_string(&page).unwrap_or_default();
    assert!(
        shipped == text,
        "docs/clients.md tells of something else than target/clients.md; KOFFER_BLESS=1 writes it \
         anew:\n{text}\n{rows:?}"
    );
}

fn text(rows: &[(&Library, Broker, Row)]) -> String {
    let head = TRIED.join(" | ");
    let mut text = format!(
        "{ABOUT}\n| library | transport | broker | {head} | code |\n|---|---|---|{}---|\n",
        "---|".repeat(TRIED.len())
    );
    for (library, broker, row) in rows {
        let transport = match library.transport {
            Transport::Tcp => "TCP",
            Transport::WebSocket => "WebSocket",
        };
        let cell = |what: &&str| match row.get(what) {
            Some(Ok(())) if *what == "refusal" && !library.tells_refusals() => "in part",
            Some(Ok(())) => "yes",
            _ => "**NO**",
        };
        let cells: Vec<_> = TRIED.iter().map(cell).collect();
        let (title, broker, cells) = (library.title(), name(*broker), cells.join(" | "));
        let sample = library.sample;
        let _ = writeln!(
            text,
            "| {title} | {transport} | {broker} | {cells} | [{sample}](examples/{sample}) |"
        );
    }
    text.push_str(
        "\n*In part*: the password. The library does not tell that the broker refused a call; no answer\n\
         comes then, and the app learns it at its own deadline.\n",
    );
    text
}

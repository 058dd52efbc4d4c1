//! `docs/faults.md`: what was seen when things failed, in parts. Each part belongs to one test,
//! which writes it anew and compares its rows with what ran.

use std::{
    collections::{BTreeMap, BTreeSet},
    env,
    fmt::Write as _,
    fs::{self, File},
    io::{Read, Seek, Write as _},
    path::Path,
};

use serde_json::Value;

use crate::grid;

/// One part of the page.
#[derive(Debug)]
pub struct Part {
    /// What its markers in the page are called.
    pub name: &'static str,
    /// Its heading.
    pub title: &'static str,
    /// What was done and compared, for people. Stands after the number of calls.
    pub about: &'static str,
    /// The operations that were tried, in the order of the page.
    pub operations: &'static [&'static str],
    /// The test that writes it, as cargo names it.
    pub test: &'static str,
}

/// How one faulty call ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ending {
    /// The completion's status.
    pub status: String,
    /// Its effect; `done` where it is `ok`.
    pub effect: String,
}

impl Ending {
    /// The ending that a completion tells of.
    pub fn of(completion: &Value) -> Self {
        let word = |key: &str| completion[key].as_str().unwrap_or_default().to_owned();
        let status = word("status");
        let effect = if status == "ok" {
            "done".to_owned()
        } else {
            word("effect")
        };
        Self { status, effect }
    }
}

/// What was tried: a row of the page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Row {
    /// One of the part's operations.
    pub operation: &'static str,
    /// How the device is connected.
    pub line: &'static str,
    /// What went wrong.
    pub fault: &'static str,
}

/// What was seen, by row.
#[derive(Debug)]
pub struct Table {
    part: Part,
    rows: BTreeMap<(usize, &'static str, &'static str), Seen>,
    disagreements: Vec<String>,
}

#[derive(Debug, Default)]
struct Seen {
    calls: usize,
    endings: BTreeSet<(String, String)>,
}

impl Table {
    /// A part of which nothing was seen yet.
    pub fn new(part: Part) -> Self {
        Self {
            part,
            rows: BTreeMap::new(),
            disagreements: Vec::new(),
        }
    }

    /// Notes a call. `verdict`: what about it disagrees with what the device itself shows.
    ///
    /// # Panics
    /// When the part does not know the row's operation.
    pub fn note(&mut self, row: Row, ending: Ending, verdict: Result<(), String>) {
        let operation = self.part.operations.iter();
        let place = operation.enumerate().find(|(_, o)| **o == row.operation);
        let (place, _) = place.expect("an operation of this part");
        let seen = self.rows.entry((place, row.line, row.fault)).or_default();
        seen.calls += 1;
        if let Err(story) = verdict {
            self.disagreements
                .push(format!("{row:?} {ending:?}: {story}"));
        }
        seen.endings.insert((ending.status, ending.effect));
    }

    /// Writes the part to `target/`, and with `KOFFER_BLESS=1` to the page. Fails where an ending
    /// disagrees with the device, or where the page has other rows.
    ///
    /// # Panics
    /// That is how it fails.
    pub fn check(&self) {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        let Part { name, test, .. } = self.part;
        let text = self.text();
        fs::create_dir_all(root.join("target")).expect("a target folder");
        fs::write(root.join(format!("target/faults-{name}.md")), &text).expect("it is written");
        let (few, all) = (self.disagreements.iter().take(20), self.disagreements.len());
        let few: Vec<_> = few.map(String::as_str).collect();
        assert!(
            few.is_empty(),
            "{all} calls disagree with the device:\n{}",
            few.join("\n")
        );
        let page = root.join("docs/faults.md");
        if env::var_os("KOFFER_BLESS").is_some() {
            assert!(
                grid::is_full(),
                "the page tells of a run with KOFFER_FULL_GRIDS=1"
            );
            self.bless(&page, &text);
        }
        let page = fs::read_to_string(&page).expect("docs/faults.md");
        let (_, shipped, _) = self.split(&page);
        assert_eq!(
            rows(shipped),
            rows(&text),
            "docs/faults.md tells of other faults than were tried; \
             KOFFER_FULL_GRIDS=1 KOFFER_BLESS=1 cargo test -p koffer-tests --test {test} writes it anew"
        );
    }

    /// Replaces the part; others may be replacing theirs.
    fn bless(&self, page: &Path, text: &str) {
        let mut file = File::options().read(true).write(true).open(page);
        let file = file.as_mut().expect("docs/faults.md");
        file.lock().expect("a lock");
        let mut old = String::new();
        file.read_to_string(&mut old).expect("docs/faults.md");
        let (before, _, after) = self.split(&old);
        file.set_len(0).expect("docs/faults.md");
        file.rewind().expect("docs/faults.md");
        write!(file, "{before}{text}{after}").expect("docs/faults.md");
    }

    /// The page before, in and after this part.
    fn split<'a>(&self, page: &'a str) -> (&'a str, &'a str, &'a str) {
        let name = self.part.name;
        let place = |marker: String| page.find(&marker).map(|at| (at, at + marker.len()));
        let begin = place(format!("<!-- begin: {name} -->\n"));
        let end = place(format!("<!-- end: {name} -->"));
        let (Some((_, begin)), Some((end, _))) = (begin, end) else {
            panic!("docs/faults.md has no part {name}");
        };
        (&page[..begin], &page[begin..end], &page[end..])
    }

    fn text(&self) -> String {
        let calls: usize = self.rows.values().map(|row| row.calls).sum();
        let Part { title, about, .. } = self.part;
        let mut text = format!("## {title}\n\n{calls} calls. {about}\n");
        let mut last = None;
        for ((operation, line, fault), seen) in &self.rows {
            if last != Some(operation) {
                let _ = write!(
                    text,
                    "\n### {}\n\n| line | fault | calls | completions |\n|---|---|---|---|\n",
                    self.part.operations[*operation]
                );
                last = Some(operation);
            }
            let told = |(status, effect): &(String, String)| match status.as_str() {
                "ok" => "`ok`".to_owned(),
                _ => format!("`{status}` ({effect})"),
            };
            let endings: Vec<_> = seen.endings.iter().map(told).collect();
            let _ = writeln!(
                text,
                "| {line} | {fault} | {} | {} |",
                seen.calls,
                endings.join(", ")
            );
        }
        text.push('\n');
        text
    }
}

/// The rows of a part without their numbers and endings, which differ from run to run.
fn rows(part: &str) -> BTreeSet<String> {
    let mut operation = "";
    let mut rows = BTreeSet::new();
    for line in part.lines() {
        if line.starts_with("### ") {
            operation = line;
        } else if line.starts_with("| ") {
            let row: Vec<_> = line.split('|').take(3).collect();
            rows.insert(format!("{operation} {}", row.join("|")));
        }
    }
    rows
}

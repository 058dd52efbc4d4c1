//! Places at which a test can have the process die, as a power cut would end it.
//!
//! A process whose environment says `KOFFER_CRASH_AT=name` sends itself SIGKILL when [`reach`] is
//! called with that name: no destructor runs, nothing is flushed. `name:n` dies the n-th time. In a
//! release (a build without debug assertions) `reach` is nothing.
//!
//! `KOFFER_CRASH_TRACE=file` has each name that is passed appended to that file, a line each: which
//! places a call passes, and how often, is seen and not supposed.
//!
//! A name says which driver and what has just been done: `zvt.sent`. Each driver lists its
//! own in its factory, and [`all`] lists every one, so that a crash matrix cannot miss any; a test
//! holds the lists against the sources.

use crate::DRIVERS;

/// The environment variable that names the place to die at.
pub const CRASH_AT: &str = "KOFFER_CRASH_AT";

/// The environment variable that names the file in which the places passed are listed.
pub const CRASH_TRACE: &str = "KOFFER_CRASH_TRACE";

/// What an entry of the gateway's journal says of its call, before and after it is on disk.
const JOURNAL: &[&str] = &[
    "journal.accepted-uncommitted",
    "journal.accepted-committed",
    "journal.armed-uncommitted",
    "journal.armed-committed",
    "journal.started-uncommitted",
    "journal.started-committed",
    "journal.milestone-uncommitted",
    "journal.milestone-committed",
    "journal.finished-uncommitted",
    "journal.finished-committed",
    "journal.resolved-uncommitted",
    "journal.resolved-committed",
];

/// Every name, per driver in the order in which a call passes them.
pub fn all() -> impl Iterator<Item = &'static str> {
    let drivers = DRIVERS.iter().flat_map(|driver| driver.fail_points);
    drivers.chain(JOURNAL).copied()
}

/// The names that begin with `driver.`, in order.
pub fn of(driver: &str) -> impl Iterator<Item = &'static str> {
    all().filter(move |name| {
        name.split_once('.')
            .is_some_and(|(whose, _)| whose == driver)
    })
}

/// Dies here if the environment says so.
#[cfg(not(debug_assertions))]
#[inline]
pub fn reach(_name: &'static str) {}

/// Whether a test wants this process to die, or to list what it passes.
#[cfg(not(debug_assertions))]
#[inline]
pub fn is_watched() -> bool {
    false
}

#[cfg(debug_assertions)]
pub use armed::{is_watched, reach};

#[cfg(debug_assertions)]
mod armed {
    use std::{
        fs::File,
        io::{self, Write as _},
        sync::{
            Mutex, OnceLock, PoisonError,
            atomic::{AtomicU32, Ordering},
        },
        thread,
    };

    use nix::{
        sys::signal::{Signal, kill},
        unistd::Pid,
    };

    use super::{CRASH_AT, CRASH_TRACE, all};

    /// Where to die, and how often that place is still to be passed.
    struct Crash {
        name: String,
        left: AtomicU32,
    }

    /// Whether a test wants this process to die, or to list what it passes.
    pub fn is_watched() -> bool {
        static WATCHED: OnceLock<bool> = OnceLock::new();
        let set = |name| std::env::var_os(name).is_some();
        *WATCHED.get_or_init(|| set(CRASH_AT) || set(CRASH_TRACE))
    }

    /// Dies here if the environment says so.
    pub fn reach(name: &'static str) {
        static CRASH: OnceLock<Option<Crash>> = OnceLock::new();
        // Where one thread dies no other passes anything any more.
        static TURN: Mutex<()> = Mutex::new(());
        if !is_watched() {
            return;
        }
        let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
        list(name);
        let Some(crash) = CRASH.get_or_init(Crash::from_environment) else {
            return;
        };
        if crash.name == name && crash.left.fetch_sub(1, Ordering::Relaxed) == 1 {
            die();
        }
    }

    /// Lists the place as passed, also where the process dies at it.
    fn list(name: &str) {
        static TRACE: OnceLock<Option<File>> = OnceLock::new();
        let open = || {
            let path = std::env::var_os(CRASH_TRACE)?;
            let file = File::options().create(true).append(true).open(path);
            Some(file.unwrap_or_else(|error| cannot_list(&error)))
        };
        if let Some(mut file) = TRACE.get_or_init(open).as_ref()
            && let Err(error) = file.write_all(format!("{name}\n").as_bytes())
        {
            cannot_list(&error)
        }
    }

    fn cannot_list(error: &io::Error) -> ! {
        // A test that sees less than there is must not pass.
        tracing::error!(%error, "the file of {CRASH_TRACE} cannot be written");
        std::process::abort();
    }

    impl Crash {
        fn from_environment() -> Option<Self> {
            let wanted = std::env::var(CRASH_AT).ok()?;
            let (name, times) = match wanted.split_once(':') {
                Some((name, times)) => (name, times.parse().ok().filter(|times| *times > 0)),
                None => (wanted.as_str(), Some(1)),
            };
            let Some(times) = times.filter(|_| all().any(|known| known == name)) else {
                // A test that cannot do what it wants must not pass for one that did.
                tracing::error!(%wanted, "no such fail point: see koffer_drivers::fail_point::all");
                std::process::abort();
            };
            Some(Self {
                name: name.to_owned(),
                left: AtomicU32::new(times),
            })
        }
    }

    fn die() -> ! {
        let sent = kill(Pid::this(), Signal::SIGKILL);
        if sent.is_err() {
            std::process::abort();
        }
        // The signal is under way; nothing may happen until it is here.
        loop {
            thread::park();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{
        collections::BTreeMap,
        fs,
        path::{Path, PathBuf},
    };

    use super::*;

    fn sources() -> Vec<PathBuf> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        let mut folders = vec![root.join("drivers/src"), root.join("gateway/src")];
        let mut found = Vec::new();
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    folders.push(path);
                } else if path.extension().is_some_and(|kind| kind == "rs") {
                    found.push(path);
                }
            }
        }
        found
    }

    /// What `fail_point::reach("…")` names, and how often.
    fn reached() -> BTreeMap<String, usize> {
        let mut names = BTreeMap::new();
        let others = |path: &PathBuf| !path.ends_with("fail_point.rs");
        for path in sources().into_iter().filter(others) {
            let text = fs::read_to_string(&path).unwrap();
            for rest in text.split("fail_point::reach(").skip(1) {
                let name = rest.trim_start().strip_prefix('"');
                let name = name.and_then(|rest| rest.split('"').next());
                let name = name.unwrap_or_else(|| panic!("no literal in {}", path.display()));
                *names.entry(name.to_owned()).or_default() += 1;
            }
        }
        names
    }

    #[test]
    fn every_fail_point_is_listed_and_every_listed_one_stands_at_one_place() {
        let reached = reached();
        let listed: BTreeMap<_, _> = all().map(|name| (name.to_owned(), 1)).collect();
        assert_eq!(
            reached, listed,
            "sources on the left, fail_point::all right"
        );
        assert_eq!(listed.len(), all().count(), "listed twice");
    }

    #[test]
    fn names_say_whose_they_are_and_stand_together() {
        let owners: Vec<_> = all()
            .map(|name| name.split_once('.').expect("driver.place").0)
            .collect();
        let mut together = owners.clone();
        together.dedup();
        let by_owner: Vec<_> = together.iter().flat_map(|owner| of(owner)).collect();
        assert_eq!(by_owner, all().collect::<Vec<_>>());
    }

    #[cfg(debug_assertions)]
    #[test]
    fn a_process_dies_where_it_is_told_and_nowhere_else() {
        use std::{os::unix::process::ExitStatusExt, process::Command};

        const INSIDE: &str = "KOFFER_FAIL_POINT_TEST";
        let [first, second] = [JOURNAL[0], JOURNAL[1]];
        if std::env::var_os(INSIDE).is_some() {
            reach(first);
            reach(second);
            reach(second);
            return;
        }
        let trace = std::env::temp_dir().join(format!("koffer-crash-trace-{}", std::process::id()));
        let passed = || {
            let passed = fs::read_to_string(&trace).unwrap();
            fs::remove_file(&trace).unwrap();
            passed
        };
        let signal = |crash_at: &str| {
            let test = "fail_point::tests::a_process_dies_where_it_is_told_and_nowhere_else";
            let mut command = Command::new(std::env::current_exe().unwrap());
            command.args([test, "--exact"]).env(INSIDE, "1");
            command.env(CRASH_TRACE, &trace);
            let run = command.env(CRASH_AT, crash_at).output().unwrap();
            assert_eq!(run.status.success(), run.status.signal().is_none());
            run.status.signal()
        };
        let (killed, aborted) = (Some(9), Some(6));
        assert_eq!(signal(first), killed);
        assert_eq!(passed(), format!("{first}\n"));
        assert_eq!(signal(&format!("{second}:2")), killed);
        assert_eq!(passed(), format!("{first}\n{second}\n{second}\n"));
        assert_eq!(signal(&format!("{second}:3")), None);
        assert_eq!(passed(), format!("{first}\n{second}\n{second}\n"));
        assert_eq!(signal("nowhere"), aborted);
        assert_eq!(signal(&format!("{second}:0")), aborted);
        fs::remove_file(&trace).unwrap();
    }
}

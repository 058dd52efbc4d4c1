//! What a process takes of the machine, as the kernel counts it (proc(5)), and how that grows.

use std::{fmt, fs, path::Path};

use crate::Outcome;

const MIB: f64 = 1024.0 * 1024.0;

/// A look at a gateway and its journal.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sample {
    /// Resident memory.
    pub(crate) rss_kib: f64,
    pub(crate) descriptors: usize,
    pub(crate) threads: u64,
    /// The journal's file.
    pub(crate) journal_mib: f64,
    /// The write-ahead log beside it.
    pub(crate) log_mib: f64,
}

impl Sample {
    pub(crate) fn of(pid: i32, journal: &Path) -> Outcome<Self> {
        let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
        let number = |key: &str| -> Outcome<u32> {
            let line = status.lines().find_map(|line| line.strip_prefix(key));
            let number = line.and_then(|line| line.split_whitespace().next());
            Ok(number
                .ok_or_else(|| format!("no {key} in /proc"))?
                .parse()?)
        };
        let mib = |path: &Path| -> Outcome<f64> {
            let bytes = fs::metadata(path).map_or(0, |metadata| metadata.len());
            Ok(f64::from(u32::try_from(bytes)?) / MIB)
        };
        let mut log = journal.as_os_str().to_owned();
        log.push("-wal");
        Ok(Self {
            rss_kib: f64::from(number("VmRSS:")?),
            descriptors: fs::read_dir(format!("/proc/{pid}/fd"))?.count(),
            threads: number("Threads:")?.into(),
            journal_mib: mib(journal)?,
            log_mib: mib(Path::new(&log))?,
        })
    }
}

impl fmt::Display for Sample {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            rss_kib,
            descriptors,
            threads,
            journal_mib,
            log_mib,
        } = self;
        write!(
            f,
            "{rss_kib:>7} KiB resident, {descriptors:>3} descriptors, {threads:>2} threads, \
             journal {journal_mib:>5.2} + {log_mib:.2} MiB"
        )
    }
}

/// The slope of the least-squares line through these points; `None` where they have none.
pub(crate) fn slope(points: &[(f64, f64)]) -> Option<f64> {
    let count = f64::from(u32::try_from(points.len()).ok()?);
    let mean = |of: fn(&(f64, f64)) -> f64| points.iter().map(of).sum::<f64>() / count;
    let (x, y) = (mean(|point| point.0), mean(|point| point.1));
    let together: f64 = points
        .iter()
        .map(|point| (point.0 - x) * (point.1 - y))
        .sum();
    let alone: f64 = points.iter().map(|point| (point.0 - x).powi(2)).sum();
    (alone > 0.0).then(|| together / alone)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_has_its_slope_noise_or_not() {
        let line: Vec<_> = (0..10)
            .map(|n| (f64::from(n), f64::from(3 * n + 7)))
            .collect();
        assert!((slope(&line).unwrap() - 3.0).abs() < 1e-9);
        let noisy = [(0.0, 10.0), (1.0, 12.0), (2.0, 10.0), (3.0, 12.0)];
        assert!((slope(&noisy).unwrap() - 0.4).abs() < 1e-9);
        assert_eq!(slope(&[(1.0, 5.0)]), None);
        assert_eq!(slope(&[]), None);
    }

    #[test]
    fn this_process_can_be_looked_at() {
        let pid = i32::try_from(std::process::id()).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let journal = folder.path().join("journal.db");
        fs::write(&journal, vec![0; 512 * 1024]).unwrap();
        let sample = Sample::of(pid, &journal).unwrap();
        assert!(sample.rss_kib > 1_000.0 && sample.descriptors > 2 && sample.threads > 0);
        assert!((sample.journal_mib - 0.5).abs() < 1e-9 && sample.log_mib == 0.0);
    }
}

//! The figures of a summary as they stand in `docs/performance.md`.

use std::{fmt::Write as _, fs, path::PathBuf};

use serde_json::Value;

use crate::{Outcome, goals::GOALS};

/// Writes the figures of a run into the page.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// What a run has written.
    #[arg(long, default_value = "target/bench/summary.json")]
    summary: PathBuf,
    /// The page; what stands between its two markers is replaced.
    #[arg(long, default_value = "docs/performance.md")]
    page: PathBuf,
}

const BEGIN: &str = "<!-- figures: written by `koffer-bench page` -->\n";
const END: &str = "<!-- end of the figures -->\n";

/// Does it.
pub(crate) fn write(options: &Options) -> Outcome<()> {
    let summary = serde_json::from_slice(&fs::read(&options.summary)?)?;
    let page = fs::read_to_string(&options.page)?;
    fs::write(&options.page, with_figures(&page, &figures(&summary)?)?)?;
    Ok(())
}

fn with_figures(page: &str, figures: &str) -> Outcome<String> {
    let missing = || format!("the page lacks {} or {}", BEGIN.trim(), END.trim());
    let (before, rest) = page.split_once(BEGIN).ok_or_else(missing)?;
    let (_, after) = rest.split_once(END).ok_or_else(missing)?;
    Ok(format!("{before}{BEGIN}\n{figures}\n{END}{after}"))
}

fn figures(summary: &Value) -> Outcome<String> {
    let mut out = String::new();
    let at = |key: &str| match &summary["circumstances"][key] {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    writeln!(
        out,
        "{}, commit {}. {} cores ({}), {} MiB, Linux {}, {}; load average before the run {}.\n",
        at("date"),
        at("commit"),
        at("cores"),
        at("cpu"),
        at("memory_mib"),
        at("kernel"),
        at("rustc"),
        at("load_before"),
    )?;
    writeln!(out, "| key | goal | measured | |\n|---|---|---|---|")?;
    for goal in GOALS {
        let (measured, met) = match goal.measured(summary) {
            None => ("not measured".to_owned(), ""),
            Some(figure) if goal.is_met(figure) => (shown(figure), "met"),
            Some(figure) => (shown(figure), "**missed**"),
        };
        let (key, words) = (goal.key, goal.words());
        writeln!(out, "| `{key}` | {words} | {measured} | {met} |")?;
    }
    calls(&mut out, summary)?;
    rest(&mut out, summary)?;
    Ok(out)
}

fn calls(out: &mut String, summary: &Value) -> Outcome<()> {
    writeln!(
        out,
        "\nCalls, µs, gateway / bare:\n\n| broker | operation | bytes | encoding | clients | p50 | ratio | p99 | ratio | calls/s | ratio |\n\
         |---|---|---|---|---|---|---|---|---|---|---|"
    )?;
    for case in list(summary, "calls") {
        let text = |key: &str| case[key].as_str().unwrap_or_default().to_owned();
        let both = |key: &str| {
            let (ours, bare) = (&case["koffer"][key], &case["bare"][key]);
            format!("{} / {}", whole(ours), whole(bare))
        };
        let ratio = |key: &str| case[key].as_f64().map_or_else(String::new, shown);
        writeln!(
            out,
            "| {} | `{}` | {} | {} | {} | {} | {} | {} | {} | {} | {} |",
            text("broker"),
            text("operation"),
            case["bytes"],
            text("encoding").trim_start_matches("application/"),
            case["clients"],
            both("p50_us"),
            ratio("p50_ratio"),
            both("p99_us"),
            ratio("p99_ratio"),
            both("per_second"),
            ratio("throughput_ratio"),
        )?;
    }
    Ok(())
}

/// One line for each of the other measurements.
fn rest(out: &mut String, summary: &Value) -> Outcome<()> {
    writeln!(out)?;
    for bulk in list(summary, "bulk") {
        writeln!(
            out,
            "- beside answers of 20 MB, {}, {}, {}: a small call p50 {} ms, p99 {} ms; a large one p50 {} ms",
            word(bulk, "broker"),
            word(bulk, "by"),
            word(bulk, "encoding"),
            bulk["small_p50_ms"],
            bulk["small_p99_ms"],
            whole(&bulk["result_p50_ms"]),
        )?;
    }
    for memory in list(summary, "idle") {
        writeln!(
            out,
            "- at rest, {}: {} MiB resident, of that {} the process's own and {} pages of files; {} threads",
            word(memory, "broker"),
            memory["rss_mib"],
            memory["anonymous_mib"],
            memory["file_mib"],
            memory["threads"],
        )?;
    }
    for start in list(summary, "start") {
        writeln!(
            out,
            "- `online`, {}: after {} ms, the longest of {} starts {} ms",
            word(start, "broker"),
            start["p50_ms"],
            start["starts"],
            start["longest_ms"],
        )?;
    }
    for apdu in list(summary, "apdu") {
        writeln!(
            out,
            "- one APDU, {}: {} µs; bare `SCardTransmit` {} µs + round trip {} µs, {} times that; not on record (`read`, {} APDUs): {} µs, {} times the bare",
            word(apdu, "encoding"),
            whole(&apdu["transmit_p50_us"]),
            whole(&apdu["direct_p50_us"]),
            whole(&apdu["bare_round_trip_p50_us"]),
            apdu["p50_ratio"],
            apdu["read_apdus"],
            whole(&apdu["read_p50_us"]),
            apdu["read_p50_ratio"],
        )?;
    }
    let once = &summary["once"];
    if once.is_object() {
        writeln!(
            out,
            "- on record: a `once` call {} µs, one without effect {} µs, fsync of a page {} µs: {} fsyncs longer; {} commits per call alone, {} with 32 clients ({} calls/s)",
            whole(&once["once_p50_us"]),
            whole(&once["no_effect_p50_us"]),
            whole(&once["fsync_p50_us"]),
            once["fsync_ratio"],
            once["commits_per_call"],
            once["commits_per_call_at_32"],
            whole(&once["per_second_at_32"]),
        )?;
    }
    Ok(())
}

fn list<'a>(summary: &'a Value, key: &str) -> impl Iterator<Item = &'a Value> {
    summary[key].as_array().into_iter().flatten()
}

fn word<'a>(of: &'a Value, key: &str) -> &'a str {
    of[key].as_str().unwrap_or_default()
}

fn shown(figure: f64) -> String {
    format!("{figure:.2}")
}

fn whole(figure: &Value) -> String {
    let figure = figure.as_f64();
    figure.map_or_else(String::new, |figure| format!("{figure:.0}"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn figures_replace_what_stood_between_the_markers() {
        let page = format!("# Cost\n{BEGIN}old\n{END}the rest\n");
        let summary = json!({
            "call_p50_ratio": 1.2,
            "throughput_ratio": 0.5,
            "circumstances": {"date": "2026-01-02", "cores": 2},
        });
        let written = with_figures(&page, &figures(&summary).unwrap()).unwrap();
        assert!(written.starts_with("# Cost\n") && written.ends_with("the rest\n"));
        assert!(!written.contains("old"), "{written}");
        for line in [
            "| `call_p50_ratio` | at most 1.3 | 1.20 | met |",
            "| `throughput_ratio` | at least 0.8 | 0.50 | **missed** |",
            "| `online_ms` | at most 100 | not measured |  |",
        ] {
            assert!(written.contains(line), "{written}");
        }
        assert_eq!(
            with_figures(&written, &figures(&summary).unwrap()).unwrap(),
            written
        );
        assert!(with_figures("no markers", "").is_err());
    }
}

//! "Did you mean": the known name that is nearest to a mistyped one.

use koffer_proto::Text;

use crate::text;

/// Below this similarity (Jaro-Winkler, 0 to 1) a suggestion misleads more often than it helps.
const LEAST_SIMILARITY: f64 = 0.8;

/// The remedy for a name that is none of `known`.
pub fn remedy<'a>(given: &str, known: impl IntoIterator<Item = &'a str>) -> Text {
    let known: Vec<&str> = known.into_iter().collect();
    let nearest = known
        .iter()
        .map(|name| (strsim::jaro_winkler(&given.to_lowercase(), name), name))
        .filter(|(similarity, _)| *similarity >= LEAST_SIMILARITY)
        .max_by(|a, b| a.0.total_cmp(&b.0));
    let all = known.join(", ");
    match nearest {
        Some((_, name)) => text!(
            "Meinten Sie »{name}«? Möglich: {all}.",
            "Did you mean \"{name}\"? Possible: {all}."
        ),
        None if known.is_empty() => text!("Die Zeile entfernen.", "Remove the line."),
        None => text!("Möglich: {all}.", "Possible: {all}."),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mistyped_name_is_answered_with_the_nearest_one() {
        let known = ["listen", "websocket"];
        for (given, en) in [
            (
                "listem",
                "Did you mean \"listen\"? Possible: listen, websocket.",
            ),
            (
                "WebSocket",
                "Did you mean \"websocket\"? Possible: listen, websocket.",
            ),
            ("tls", "Possible: listen, websocket."),
        ] {
            assert_eq!(remedy(given, known).en, en);
        }
    }
}

//! The topics as templates: `koffer/1/{gateway}/dev/{device}/state`.

use std::str::FromStr;

use crate::{ReplyTopic, Root, Topic};

/// Stands before a segment that is a parameter in the template; no name of the contract has it.
const PARAMETER: &str = "0-parameter-";

/// The template of every kind of topic.
pub(super) struct Templates {
    pub(super) status: String,
    pub(super) health: String,
    pub(super) description: String,
    pub(super) state: String,
    pub(super) event: String,
    pub(super) call: String,
    pub(super) reply: String,
    pub(super) progress: String,
}

impl Templates {
    /// Built by the very code that builds the topics.
    pub(super) fn new() -> Self {
        let root = Root::new(parameter("gateway"));
        let reply = format!(
            "{}/{PARAMETER}path",
            root.replies_to(&parameter("client")).trim_end_matches("/#")
        );
        let reply = ReplyTopic::parse(&root, &parameter("client"), &reply)
            .unwrap_or_else(|e| unreachable!("a reply to its own client: {e}"));
        let of = |topic: &Topic| template(&root.topic(topic));
        Self {
            status: of(&Topic::Status),
            health: of(&Topic::Health),
            description: of(&Topic::Device(parameter("device"))),
            state: of(&Topic::State(parameter("device"))),
            event: of(&Topic::Event {
                device: parameter("device"),
                kind: parameter("type"),
            }),
            call: of(&Topic::Call {
                client: parameter("client"),
                target: parameter("device"),
                operation: parameter("operation"),
            }),
            progress: template(&reply.progress()),
            reply: of(&Topic::Reply(reply)),
        }
    }
}

/// The names of a template's parameters.
pub(super) fn parameters(template: &str) -> impl Iterator<Item = &str> {
    template
        .split('/')
        .filter_map(|level| level.strip_prefix('{')?.strip_suffix('}'))
}

fn parameter<T: FromStr<Err: std::fmt::Display>>(name: &str) -> T {
    format!("{PARAMETER}{name}")
        .parse()
        .unwrap_or_else(|e| unreachable!("the marker is a segment: {e}"))
}

fn template(topic: &str) -> String {
    let levels: Vec<_> = topic
        .split('/')
        .map(|level| match level.strip_prefix(PARAMETER) {
            Some(name) => format!("{{{name}}}"),
            None => level.to_owned(),
        })
        .collect();
    levels.join("/")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_templates_are_the_contract_s_topics() {
        let templates = Templates::new();
        assert_eq!(
            templates.call,
            "koffer/1/{gateway}/call/{client}/{device}/{operation}"
        );
        assert_eq!(
            templates.progress,
            "koffer/1/{gateway}/reply/{client}/{path}/progress"
        );
        assert_eq!(
            parameters(&templates.event).collect::<Vec<_>>(),
            ["gateway", "device", "type"]
        );
    }
}

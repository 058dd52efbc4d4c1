//! Who may publish and subscribe to what. Deny by default; no I/O, no broker.

use std::collections::HashMap;

/// What a client of the broker is for. Its user name at the broker is its name in the contract.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// The gateway itself.
    Gateway,
    /// Calls devices. A technician's client has the same rights at the broker; the gateway's policy
    /// tells them apart.
    Workstation,
    /// Reads status, health, descriptions and states; publishes nothing.
    Monitor,
}

/// The rules of one gateway's part of the topic tree.
#[derive(Debug, Clone)]
pub struct Rules {
    root: String,
    roles: HashMap<String, Role>,
}

/// Why rules cannot be made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidName {
    /// A name that is no topic segment could reach beyond its own topics.
    #[error("{0:?} is no name: 1 to 64 of a-z, 0-9 and '-', not beginning with '-'")]
    Segment(String),
    /// Two clients of one name would share their replies.
    #[error("the client name {0:?} is used twice")]
    Twice(String),
}

impl Rules {
    /// Rules below `koffer/1/<gateway>` for the given clients.
    pub fn new<'a>(
        gateway: &str,
        clients: impl IntoIterator<Item = (&'a str, Role)>,
    ) -> Result<Self, InvalidName> {
        let segment = |name: &str| {
            if is_segment(name) {
                Ok(())
            } else {
                Err(InvalidName::Segment(name.to_owned()))
            }
        };
        segment(gateway)?;
        let mut roles = HashMap::new();
        for (name, role) in clients {
            segment(name)?;
            if roles.insert(name.to_owned(), role).is_some() {
                return Err(InvalidName::Twice(name.to_owned()));
            }
        }
        Ok(Self {
            root: format!("koffer/1/{gateway}"),
            roles,
        })
    }

    /// Whether the client may publish to this topic, or leave a will for it.
    pub fn may_publish(&self, client: &str, topic: &str) -> bool {
        if topic.contains(['+', '#', '\0']) {
            return false;
        }
        let root = &self.root;
        match self.roles.get(client) {
            // Calls as well: to clear one that somebody retained.
            Some(Role::Gateway) => covers(&format!("{root}/+/#"), topic),
            Some(Role::Workstation) => covers(&format!("{root}/call/{client}/#"), topic),
            Some(Role::Monitor) | None => false,
        }
    }

    /// Whether the client may leave a retained message, or a retained will. Nothing a client says
    /// outlives its moment; the broker cannot refuse a retained *publish* on this ground alone, so
    /// the gateway refuses it as a call.
    pub fn may_retain(&self, client: &str) -> bool {
        self.is_gateway(client)
    }

    /// Whether the client may subscribe to this filter: every topic it can match must be allowed.
    /// Shared subscriptions are not, for anybody: they take messages away from others.
    pub fn may_subscribe(&self, client: &str, filter: &str) -> bool {
        let root = &self.root;
        let allowed = match self.roles.get(client) {
            Some(Role::Gateway) => vec![format!("{root}/call/#")],
            Some(Role::Workstation) => vec![
                format!("{root}/reply/{client}/#"),
                format!("{root}/status"),
                format!("{root}/health"),
                format!("{root}/dev/#"),
            ],
            Some(Role::Monitor) => vec![
                format!("{root}/status"),
                format!("{root}/health"),
                format!("{root}/dev/+"),
                format!("{root}/dev/+/state"),
            ],
            None => Vec::new(),
        };
        allowed.iter().any(|allowed| covers(allowed, filter))
    }

    /// Whether there is such a client.
    pub fn knows(&self, client: &str) -> bool {
        self.roles.contains_key(client)
    }

    /// Whether the client is the gateway itself.
    pub fn is_gateway(&self, client: &str) -> bool {
        self.roles.get(client) == Some(&Role::Gateway)
    }
}

/// `[a-z0-9][a-z0-9-]{0,63}`
fn is_segment(name: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    name.len() <= 64
        && name.bytes().next().is_some_and(plain)
        && name.bytes().all(|byte| plain(byte) || byte == b'-')
}

/// Whether every topic that `requested` (topic or filter) matches is matched by `allowed` as well
/// (MQTT 5, chapter 4.7.1).
fn covers(allowed: &str, requested: &str) -> bool {
    let mut requested = requested.split('/');
    for allowed in allowed.split('/') {
        // Also matches the level above it: "dev/#" covers "dev".
        if allowed == "#" {
            return true;
        }
        match requested.next() {
            None | Some("#") => return false,
            Some(level) if allowed == "+" || allowed == level => {}
            Some(_) => return false,
        }
    }
    requested.next().is_none()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn rules() -> Rules {
        Rules::new(
            "case-7",
            [
                ("kofferd", Role::Gateway),
                ("ws-1", Role::Workstation),
                ("ws-2", Role::Workstation),
                ("ws-1-b", Role::Workstation),
                ("board", Role::Monitor),
            ],
        )
        .unwrap()
    }

    #[test]
    fn publishing_is_allowed_exactly_as_the_contract_says() {
        let table = [
            ("ws-1", "koffer/1/case-7/call/ws-1/till/pay", true),
            ("ws-1", "koffer/1/case-7/call/ws-2/till/pay", false),
            ("ws-1", "koffer/1/case-7/call/ws-1-b/till/pay", false),
            ("ws-1", "koffer/1/case-7/call", false),
            ("ws-1", "koffer/1/case-7/call/ws-1/+/pay", false),
            ("ws-1", "koffer/1/case-8/call/ws-1/till/pay", false),
            ("ws-1", "koffer/1/case-7/reply/ws-1/till", false),
            ("ws-1", "koffer/1/case-7/reply/ws-2/till", false),
            ("ws-1", "koffer/1/case-7/status", false),
            ("ws-1", "koffer/1/case-7/dev/till/state", false),
            ("ws-1", "$SYS/broker/uptime", false),
            ("board", "koffer/1/case-7/call/board/till/pay", false),
            ("kofferd", "koffer/1/case-7/status", true),
            ("kofferd", "koffer/1/case-7/reply/ws-1/till/progress", true),
            ("kofferd", "koffer/1/case-7/call/ws-1/till/pay", true),
            ("kofferd", "koffer/1/case-7", false),
            ("kofferd", "koffer/1/case-8/status", false),
            ("nobody", "koffer/1/case-7/call/nobody/till/pay", false),
            ("", "koffer/1/case-7/call//till/pay", false),
        ];
        for (client, topic, allowed) in table {
            assert_eq!(
                rules().may_publish(client, topic),
                allowed,
                "{client} {topic}"
            );
        }
    }

    #[test]
    fn subscribing_is_allowed_exactly_as_the_contract_says_and_wildcards_widen_nothing() {
        let table = [
            ("ws-1", "koffer/1/case-7/reply/ws-1/#", true),
            ("ws-1", "koffer/1/case-7/reply/ws-1/till", true),
            ("ws-1", "koffer/1/case-7/reply/ws-1/+/progress", true),
            ("ws-1", "koffer/1/case-7/reply/ws-2/#", false),
            ("ws-1", "koffer/1/case-7/reply/+/till", false),
            ("ws-1", "koffer/1/case-7/reply/#", false),
            ("ws-1", "koffer/1/case-7/#", false),
            ("ws-1", "koffer/#", false),
            ("ws-1", "#", false),
            ("ws-1", "+/+/+/reply/ws-1/#", false),
            ("ws-1", "+/+/+/reply/ws-2/#", false),
            ("ws-1", "koffer/1/+/status", false),
            ("ws-1", "$share/g/koffer/1/case-7/reply/ws-2/#", false),
            ("ws-1", "$share/g/koffer/1/case-7/reply/ws-1/#", false),
            ("ws-1", "$SYS/#", false),
            ("ws-1", "koffer/1/case-7/call/ws-1/#", false),
            ("ws-1", "koffer/1/case-7/status", true),
            ("ws-1", "koffer/1/case-7/dev/#", true),
            ("ws-1", "koffer/1/case-7/dev/+/event/+", true),
            ("board", "koffer/1/case-7/health", true),
            ("board", "koffer/1/case-7/dev/+", true),
            ("board", "koffer/1/case-7/dev/till", true),
            ("board", "koffer/1/case-7/dev/+/state", true),
            ("board", "koffer/1/case-7/dev/#", false),
            ("board", "koffer/1/case-7/dev/+/event/+", false),
            ("board", "koffer/1/case-7/reply/board/#", false),
            ("kofferd", "koffer/1/case-7/call/#", true),
            ("kofferd", "koffer/1/case-7/reply/#", false),
            ("kofferd", "$share/g/koffer/1/case-7/call/#", false),
            ("nobody", "koffer/1/case-7/status", false),
        ];
        for (client, filter, allowed) in table {
            assert_eq!(
                rules().may_subscribe(client, filter),
                allowed,
                "{client} {filter}"
            );
        }
    }

    #[test]
    fn names_that_could_reach_beyond_their_topics_are_refused() {
        for name in [
            "",
            "+",
            "#",
            "ws/1",
            "-ws",
            "Ws",
            "ws 1",
            "ws\0",
            &"w".repeat(65),
        ] {
            let rules = Rules::new("case-7", [(name, Role::Workstation)]);
            assert_eq!(rules.unwrap_err(), InvalidName::Segment(name.to_owned()));
        }
        assert!(Rules::new("case/7", []).is_err());
        let twice = Rules::new("case-7", [("a", Role::Workstation), ("a", Role::Gateway)]);
        assert_eq!(twice.unwrap_err(), InvalidName::Twice("a".to_owned()));
    }

    fn name() -> impl Strategy<Value = String> {
        "[a-z0-9][a-z0-9-]{0,6}"
    }

    /// Filters near the interesting topics, with wildcards anywhere.
    fn filter(own: String, other: String) -> impl Strategy<Value = String> {
        let level = prop::sample::select(vec![
            "koffer".to_owned(),
            "1".into(),
            "case-7".into(),
            "reply".into(),
            "call".into(),
            "+".into(),
            "#".into(),
            "$share".into(),
            "g".into(),
            String::new(),
            own,
            other,
        ]);
        prop::collection::vec(level, 1..8).prop_map(|levels| levels.join("/"))
    }

    /// MQTT 5, chapter 4.7, written independently of `covers`.
    fn matches(filter: &[&str], topic: &[&str]) -> bool {
        match (filter, topic) {
            (["#"], _) | ([], []) => true,
            ([level, filter @ ..], [name, topic @ ..]) => {
                (*level == "+" || level == name) && matches(filter, topic)
            }
            _ => false,
        }
    }

    proptest! {
        #[test]
        fn no_client_can_ever_read_another_client_s_reply(
            (own, other, filter, role) in (name(), name(), any::<bool>())
                .prop_filter("two clients", |(own, other, _)| own != other)
                .prop_flat_map(|(own, other, monitor)| {
                    let role = if monitor { Role::Monitor } else { Role::Workstation };
                    (Just(own.clone()), Just(other.clone()), filter(own, other), Just(role))
                })
        ) {
            let clients = [(own.as_str(), role), (other.as_str(), Role::Workstation)];
            let rules = Rules::new("case-7", clients).unwrap();
            if rules.may_subscribe(&own, &filter) {
                let filter: Vec<_> = filter.split('/').collect();
                for tail in [&["till"][..], &["till", "progress"], &[]] {
                    let mut topic = vec!["koffer", "1", "case-7", "reply", other.as_str()];
                    topic.extend(tail);
                    prop_assert!(!matches(&filter, &topic), "{filter:?} reads {topic:?}");
                }
            }
        }

        #[test]
        fn no_client_can_ever_speak_as_another_or_as_the_gateway(
            own in name(), other in name(), topic in "koffer/1/case-7/(call|reply|dev)/[a-z0-9-]{1,7}(/[a-z]{1,3}){0,3}"
        ) {
            prop_assume!(own != other);
            let clients = [(own.as_str(), Role::Workstation), (other.as_str(), Role::Workstation)];
            let rules = Rules::new("case-7", clients).unwrap();
            if rules.may_publish(&own, &topic) {
                let own_calls = format!("koffer/1/case-7/call/{own}");
                let below = format!("{own_calls}/");
                prop_assert!(topic == own_calls || topic.starts_with(&below));
            }
            let forged = format!("koffer/1/case-7/call/{other}/x/y");
            prop_assert!(!rules.may_publish(&own, &forged));
        }
    }
}

//! Client identifiers, and how many connections and sessions each user has. No I/O.
//!
//! A client identifier is the client's own choice: most libraries invent one. The broker knows each
//! under the name of its user, so nobody can mean another's session.

use std::collections::HashMap;

use data_encoding::HEXLOWER;
use sha2::{Digest, Sha256};

/// Sessions of a user that are kept without a connection, for a client that comes back. Each may
/// hold as many messages as fit into the largest packet.
const ABANDONED: usize = 8;

/// The longest identifier that is kept readable: with the longest user name and the separator it
/// stays below the 128 bytes that the broker takes.
const READABLE: usize = 60;

/// The identifier under which the broker knows this user's session. No user name contains `.` or
/// `~`, so two users never share one.
pub(super) fn scoped(user: &str, client_id: &str) -> String {
    let readable = |byte: u8| byte.is_ascii_graphic() && !matches!(byte, b'/' | b'\\');
    if client_id.len() <= READABLE && client_id.bytes().all(readable) {
        return format!("{user}.{client_id}");
    }
    let digest = Sha256::digest(client_id);
    format!("{user}~{}", HEXLOWER.encode(&digest[..READABLE / 2]))
}

/// The user has as many connections as it may have.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct TooMany;

#[derive(Debug, Default)]
struct User {
    connections: usize,
    /// The one used longest ago first.
    sessions: Vec<Session>,
}

#[derive(Debug)]
struct Session {
    id: String,
    connections: usize,
}

/// Connections and sessions by user.
#[derive(Debug)]
pub(super) struct Users {
    connections_each: usize,
    users: HashMap<String, User>,
}

impl Users {
    pub(super) fn new(connections_each: usize) -> Self {
        Self {
            connections_each,
            users: HashMap::new(),
        }
    }

    /// One more connection of `user`, for the session `id`.
    pub(super) fn enter(&mut self, user: &str, id: &str) -> Result<(), TooMany> {
        let known = self.users.entry(user.to_owned()).or_default();
        if known.connections >= self.connections_each {
            return Err(TooMany);
        }
        known.connections += 1;
        match known.sessions.iter_mut().find(|session| session.id == id) {
            Some(session) => session.connections += 1,
            None => known.sessions.push(Session {
                id: id.to_owned(),
                connections: 1,
            }),
        }
        Ok(())
    }

    /// A connection of `user` ended; `kept` when its session outlives it. Returns the sessions that
    /// have to go: those that the user left longest ago.
    pub(super) fn leave(&mut self, user: &str, id: &str, kept: bool) -> Vec<String> {
        let Some(known) = self.users.get_mut(user) else {
            return Vec::new();
        };
        known.connections = known.connections.saturating_sub(1);
        let Some(at) = known.sessions.iter().position(|session| session.id == id) else {
            return Vec::new();
        };
        let mut session = known.sessions.remove(at);
        session.connections = session.connections.saturating_sub(1);
        if session.connections > 0 || kept {
            known.sessions.push(session);
        }
        let abandoned = |session: &Session| session.connections == 0;
        let count = known.sessions.iter().filter(|s| abandoned(s)).count();
        let mut surplus = count.saturating_sub(ABANDONED);
        let gone = known.sessions.extract_if(.., |session| {
            let goes = surplus > 0 && abandoned(session);
            surplus -= usize::from(goes);
            goes
        });
        gone.map(|session| session.id).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn any_identifier_becomes_one_of_its_user_that_the_broker_takes() {
        let long = "x".repeat(60_000);
        let table = [
            ("ws-1", "till-1", "ws-1.till-1"),
            ("ws-1", "ws-2", "ws-1.ws-2"),
            ("ws-1", "mqttjs_1a2b3c4d", "ws-1.mqttjs_1a2b3c4d"),
            ("cert", "x", "cert.x"),
        ];
        for (user, client_id, known_as) in table {
            assert_eq!(scoped(user, client_id), known_as);
        }
        for odd in [&long, "a/b", "a\\b", "Schalter Süd", "a b", "\u{1}"] {
            let known_as = scoped(&"u".repeat(64), odd);
            assert!(known_as.len() <= 128, "{known_as}");
            assert!(known_as.bytes().all(|byte| byte.is_ascii_graphic()));
        }
    }

    proptest! {
        #[test]
        fn two_users_never_share_a_session(
            one in "[a-z0-9][a-z0-9-]{0,8}", other in "[a-z0-9][a-z0-9-]{0,8}",
            id in ".{0,80}", other_id in ".{0,80}",
        ) {
            prop_assume!((&one, &id) != (&other, &other_id));
            prop_assert_ne!(scoped(&one, &id), scoped(&other, &other_id));
        }
    }

    #[test]
    fn one_user_s_connections_are_bounded_and_take_nothing_from_others() {
        let mut users = Users::new(2);
        users.enter("a", "a.1").unwrap();
        users.enter("a", "a.1").unwrap();
        assert_eq!(users.enter("a", "a.2"), Err(TooMany));
        users.enter("b", "b.1").unwrap();
        users.leave("a", "a.1", true);
        users.enter("a", "a.2").unwrap();
    }

    #[test]
    fn the_sessions_left_longest_ago_go_and_never_one_in_use() {
        let mut users = Users::new(2);
        users.enter("a", "a.in-use").unwrap();
        let mut visit = |id: &str, kept| {
            users.enter("a", id).unwrap();
            users.leave("a", id, kept)
        };
        for n in 0..ABANDONED {
            assert_eq!(visit(&format!("a.{n}"), true), [""; 0]);
        }
        assert_eq!(visit("a.0", true), [""; 0], "still there");
        assert_eq!(visit("a.new", true), ["a.1"]);
        assert_eq!(visit("a.brief", false), [""; 0], "it leaves nothing");
        assert_eq!(visit("a.newer", true), ["a.2"]);
    }
}

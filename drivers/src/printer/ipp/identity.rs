//! By what a job is recognised: its id, and what the printer itself showed of it.
//!
//! Printers cut names, change the case of users, put their own in their place, or leave them out.
//! So the name and user that were sent are only where a printer gives them back unchanged.

use super::snapshot::JobView;

/// What a printer shows of a job besides its id and its state.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Shown {
    pub(super) name: Option<String>,
    pub(super) user: Option<String>,
}

/// A shown name shorter than this is not taken for a cut one.
const SHORTEST_CUT: usize = 12;

impl Shown {
    pub(super) fn of(job: &JobView) -> Self {
        Self {
            name: job.name.clone(),
            user: job.user.clone(),
        }
    }

    /// Whether a later look shows the same job. What is left out contradicts nothing.
    pub(super) fn is_same_as(&self, later: &Self) -> bool {
        let same = |a: &Option<String>, b: &Option<String>| match (a, b) {
            (Some(a), Some(b)) => a == b,
            _ => true,
        };
        same(&self.name, &later.name) && same(&self.user, &later.user)
    }

    /// Whether name and user came back as they were sent.
    pub(super) fn is_verbatim(&self, name: &str, user: &str) -> bool {
        self.name.as_deref() == Some(name) && self.user.as_deref() == Some(user)
    }

    /// Whether a job of this name and user may be shown so. Another user than that is somebody
    /// else's job, unless this printer is known to show all as that one's.
    pub(super) fn may_be(&self, name: &str, user: &str) -> bool {
        self.may_be_named(name) && (self.user.is_none() || self.is_of(user))
    }

    /// Whether the name is what a printer may make of `name`: itself, cut, with something around
    /// it, or left out.
    fn may_be_named(&self, name: &str) -> bool {
        self.name.as_deref().is_none_or(|shown| {
            let (shown, name) = (shown.to_lowercase(), name.to_lowercase());
            let cut = shown.len() >= SHORTEST_CUT && name.starts_with(&shown);
            shown.contains(&name) || cut
        })
    }

    /// Whether the user is `user` for certain: in another case, or with a host or a domain.
    pub(super) fn is_of(&self, user: &str) -> bool {
        self.user.as_deref().is_some_and(|shown| {
            let (shown, user) = (shown.to_lowercase(), user.to_lowercase());
            let host = shown.strip_prefix(&user).map(|rest| rest.starts_with('@'));
            let domain = shown.strip_suffix(&user).map(|rest| rest.ends_with('\\'));
            shown == user || host == Some(true) || domain == Some(true)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(name: Option<&str>, user: Option<&str>) -> Shown {
        Shown {
            name: name.map(str::to_owned),
            user: user.map(str::to_owned),
        }
    }

    #[test]
    fn a_name_may_come_back_in_another_form_and_another_name_may_not() {
        let asked = "case-7/ws-1/1764201234507";
        for (name, may_be) in [
            (Some(asked), true),
            (None, true),
            (Some("case-7/ws-1/17642"), true),
            (Some("CASE-7/WS-1/1764201234507"), true),
            (Some("Microsoft - case-7/ws-1/1764201234507"), true),
            (Some("case-7/ws-1/1764201234508"), false),
            (Some("case-7"), false),
            (Some(""), false),
            (Some("Print"), false),
        ] {
            assert_eq!(shown(name, None).may_be_named(asked), may_be, "{name:?}");
        }
    }

    #[test]
    fn a_user_is_the_same_with_a_host_and_a_guest_is_another() {
        for (user, same) in [
            (Some("koffer"), true),
            (Some("KOFFER"), true),
            (Some("koffer@192.0.2.7"), true),
            (Some("OFFICE\\koffer"), true),
            (Some("koffer2"), false),
            (Some("Guest"), false),
            (None, false),
        ] {
            assert_eq!(shown(None, user).is_of("koffer"), same, "{user:?}");
        }
    }

    #[test]
    fn what_was_shown_once_must_be_shown_again_or_left_out() {
        let first = shown(Some("Print"), Some("Guest"));
        assert!(first.is_same_as(&first));
        assert!(first.is_same_as(&shown(None, Some("Guest"))));
        assert!(!first.is_same_as(&shown(Some("Other"), Some("Guest"))));
        assert!(!first.is_same_as(&shown(Some("Print"), Some("somebody"))));
    }
}

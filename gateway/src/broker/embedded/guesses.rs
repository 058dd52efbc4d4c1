//! How fast passwords may be tried: per address and user, so that whoever guesses holds up nobody
//! else. No clock of its own.
//!
//! The right password waits as long as a wrong one: were it let through at once, a guesser would
//! hang up on every answer that does not come at once, and try the next.

use std::{
    collections::HashMap,
    net::{IpAddr, Ipv6Addr},
    time::Duration,
};

use tokio::time::Instant;

/// Wrong passwords that cost nothing: somebody mistypes, a client has an old one.
const FREE: u32 = 3;
/// What the first one beyond costs; each further one doubles it.
const FIRST_WAIT: Duration = Duration::from_millis(250);
/// Below what clients wait for a CONNACK: so the one who knows the password gets in.
const LONGEST_WAIT: Duration = Duration::from_secs(4);
/// A wrong password is forgotten after this, one after the other.
const FORGOTTEN_AFTER: Duration = Duration::from_secs(15);
/// Attempts of one address on one user that may wait at once.
const MOST_WAITING: u32 = 4;
/// Addresses and users remembered. More come only from as many addresses.
const MOST_REMEMBERED: usize = 1024;

/// Who guesses, and whose password. `None`: a name that nobody has.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Guesser {
    from: IpAddr,
    user: Option<String>,
}

impl Guesser {
    /// The network stands for an IPv6 address: one machine has all addresses of it.
    pub(super) fn new(from: IpAddr, user: Option<&str>) -> Self {
        let from = match from.to_canonical() {
            IpAddr::V6(address) => {
                let network = address.to_bits() & (u128::MAX << 64);
                IpAddr::V6(Ipv6Addr::from_bits(network))
            }
            v4 @ IpAddr::V4(_) => v4,
        };
        Self {
            from,
            user: user.map(str::to_owned),
        }
    }
}

#[derive(Debug)]
struct Record {
    wrong: u32,
    waiting: u32,
    /// When the oldest wrong password that counts is forgotten next.
    since: Instant,
}

/// The wrong passwords of the last minutes.
#[derive(Debug, Default)]
pub(super) struct Guesses(HashMap<Guesser, Record>);

impl Guesses {
    /// How long this attempt has to wait before its password is looked at; `None` when enough wait
    /// already. Each attempt that may wait is ended with [`Guesses::looked_at`] or
    /// [`Guesses::given_up`].
    pub(super) fn attempt(&mut self, who: &Guesser, now: Instant) -> Option<Duration> {
        if self.0.len() >= MOST_REMEMBERED && !self.0.contains_key(who) {
            self.make_room(now);
        }
        let record = self.0.entry(who.clone()).or_insert(Record {
            wrong: 0,
            waiting: 0,
            since: now,
        });
        record.forget(now);
        let wait = record.wait();
        if !wait.is_zero() && record.waiting >= MOST_WAITING {
            return None;
        }
        record.waiting += 1;
        Some(wait)
    }

    /// The password was looked at.
    pub(super) fn looked_at(&mut self, who: &Guesser, right: bool, now: Instant) {
        if let Some(record) = self.0.get_mut(who)
            && !right
        {
            record.forget(now);
            record.wrong = record.wrong.saturating_add(1);
        }
        self.given_up(who);
    }

    /// The attempt ended before its password was looked at.
    pub(super) fn given_up(&mut self, who: &Guesser) {
        if let Some(record) = self.0.get_mut(who) {
            record.waiting = record.waiting.saturating_sub(1);
            if record.waiting == 0 && record.wrong == 0 {
                self.0.remove(who);
            }
        }
    }

    fn make_room(&mut self, now: Instant) {
        self.0.retain(|_, record| {
            record.forget(now);
            record.waiting > 0 || record.wrong > 0
        });
        if self.0.len() >= MOST_REMEMBERED {
            let least = self
                .0
                .iter()
                .filter(|(_, record)| record.waiting == 0)
                .min_by_key(|(_, record)| record.wrong)
                .map(|(who, _)| who.clone());
            least.map(|who| self.0.remove(&who));
        }
    }
}

impl Record {
    fn forget(&mut self, now: Instant) {
        let periods =
            now.saturating_duration_since(self.since).as_secs() / FORGOTTEN_AFTER.as_secs();
        let periods = u32::try_from(periods).unwrap_or(u32::MAX);
        self.wrong = self.wrong.saturating_sub(periods);
        if self.wrong == 0 {
            self.since = now;
        } else {
            self.since += FORGOTTEN_AFTER * periods;
        }
    }

    fn wait(&self) -> Duration {
        match self.wrong.checked_sub(FREE) {
            None => Duration::ZERO,
            Some(beyond) => FIRST_WAIT
                .saturating_mul(1 << beyond.min(8))
                .min(LONGEST_WAIT),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn guesser(address: &str, user: &str) -> Guesser {
        Guesser::new(address.parse().unwrap(), Some(user))
    }

    fn guess(guesses: &mut Guesses, who: &Guesser, now: Instant) -> Option<Duration> {
        let wait = guesses.attempt(who, now)?;
        guesses.looked_at(who, false, now + wait);
        Some(wait)
    }

    #[tokio::test(start_paused = true)]
    async fn a_guesser_gets_slow_and_holds_up_neither_other_users_nor_other_addresses() {
        let mut guesses = Guesses::default();
        let bad = guesser("192.0.2.1", "ws-1");
        let (mut now, mut tried) = (Instant::now(), 0);
        let end = now + Duration::from_hours(1);
        while now < end {
            now += guess(&mut guesses, &bad, now).unwrap() + Duration::from_millis(1);
            tried += 1;
        }
        assert!(tried < 1000, "{tried} in an hour");
        for (address, user) in [("192.0.2.1", "ws-2"), ("192.0.2.2", "ws-1")] {
            let other = guesser(address, user);
            assert_eq!(guesses.attempt(&other, now), Some(Duration::ZERO));
            guesses.looked_at(&other, true, now);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn guessing_on_many_connections_is_no_faster() {
        let mut guesses = Guesses::default();
        let now = Instant::now();
        let bad = guesser("192.0.2.1", "ws-1");
        for _ in 0..20 {
            guess(&mut guesses, &bad, now);
        }
        let waiting = (0..100).filter_map(|_| guesses.attempt(&bad, now)).count();
        assert_eq!(waiting, 4);
        guesses.given_up(&bad);
        assert!(guesses.attempt(&bad, now).is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn mistakes_cost_nothing_and_are_forgotten() {
        let mut guesses = Guesses::default();
        let mut now = Instant::now();
        let clerk = guesser("192.0.2.1", "ws-1");
        for _ in 0..3 {
            assert_eq!(guess(&mut guesses, &clerk, now), Some(Duration::ZERO));
        }
        assert_eq!(guesses.attempt(&clerk, now), Some(FIRST_WAIT));
        guesses.given_up(&clerk);
        now += Duration::from_mins(1);
        assert_eq!(guesses.attempt(&clerk, now), Some(Duration::ZERO));
        guesses.looked_at(&clerk, true, now);
        assert!(guesses.0.is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_remembered_is_bounded() {
        let mut guesses = Guesses::default();
        let now = Instant::now();
        for n in 0..5000_u32 {
            let from = IpAddr::V4((0x0a00_0000 + n).into());
            guess(&mut guesses, &Guesser::new(from, None), now);
        }
        assert!(guesses.0.len() <= MOST_REMEMBERED);
        let network = |address: &str| Guesser::new(address.parse().unwrap(), None);
        assert_eq!(network("2001:db8::1"), network("2001:db8::ffff:1"));
        assert_ne!(network("2001:db8::1"), network("2001:db8:0:1::1"));
        assert_eq!(network("::ffff:192.0.2.1"), network("192.0.2.1"));
    }
}

//! Who may connect, and how often one may be wrong about it.

use std::{
    future::Future,
    net::{IpAddr, SocketAddr},
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use mqtt5::{
    broker::auth::{AuthProvider, AuthResult, PasswordAuthProvider},
    packet::connect::ConnectPacket,
    types::ReasonCode,
};
use tokio::{sync::Semaphore, time::Instant};

use super::{
    connect::Refusal,
    credentials::{Check, Credentials},
    guesses::{Guesser, Guesses},
};
use crate::broker::rules::Rules;

/// Argon2 checks at once: each takes 20 MiB and a processor.
const EXPENSIVE_CHECKS: usize = 2;

pub(super) struct Gatekeeper {
    rules: Arc<Rules>,
    credentials: Credentials,
    expensive: Arc<Semaphore>,
    guesses: Mutex<Guesses>,
}

impl Gatekeeper {
    pub(super) fn new(rules: Rules, credentials: Credentials) -> Self {
        Self {
            rules: Arc::new(rules),
            credentials,
            expensive: Arc::new(Semaphore::new(EXPENSIVE_CHECKS)),
            guesses: Mutex::default(),
        }
    }

    /// The user's name, when the client is who it says and may have the will that it brings.
    pub(super) async fn admit(
        &self,
        connect: &ConnectPacket,
        from: IpAddr,
    ) -> Result<String, Refusal> {
        let refusal = |reason, words: &str| Refusal::new(connect.protocol_version, reason, words);
        let (Some(name), Some(password)) = (&connect.username, &connect.password) else {
            let words = "a user name and a password are required";
            return Err(refusal(ReasonCode::NotAuthorized, words));
        };
        match self.knows(name, password, from).await {
            Some(true) => {}
            Some(false) => {
                let words = "the user name or the password is wrong";
                return Err(refusal(ReasonCode::BadUsernameOrPassword, words));
            }
            None => {
                let words = "too many wrong passwords for this user from this address";
                return Err(refusal(ReasonCode::ConnectionRateExceeded, words));
            }
        }
        if let Some(will) = &connect.will {
            let retained_in_vain = will.retain && !self.rules.may_retain(name);
            if retained_in_vain || !self.rules.may_publish(name, &will.topic) {
                let words = "the will is not allowed";
                return Err(refusal(ReasonCode::NotAuthorized, words));
            }
        }
        Ok(name.clone())
    }

    /// What the broker crate asks about everything that `user` does.
    pub(super) fn pass(&self, user: String) -> Pass {
        Pass {
            rules: Arc::clone(&self.rules),
            user,
        }
    }

    /// `None` when it was not looked at.
    async fn knows(&self, name: &str, password: &[u8], from: IpAddr) -> Option<bool> {
        // The gateway's own password is a new random one at each start. It is never guessed, and
        // guessing it must not keep the gateway out.
        if self.rules.is_gateway(name) {
            return Some(self.check(name, password).await);
        }
        let user = self.rules.knows(name).then_some(name);
        let attempt = Attempt::begin(&self.guesses, Guesser::new(from, user))?;
        tokio::time::sleep(attempt.wait).await;
        let right = self.check(name, password).await;
        attempt.looked_at(right);
        Some(right)
    }

    async fn check(&self, name: &str, password: &[u8]) -> bool {
        let hash = match self.credentials.check(name, password) {
            Check::Right => return true,
            Check::Wrong => return false,
            Check::Expensive(hash) => hash,
        };
        let Ok(password) = String::from_utf8(password.to_vec()) else {
            return false;
        };
        let Ok(permit) = Arc::clone(&self.expensive).acquire_owned().await else {
            return false;
        };
        tokio::task::spawn_blocking(move || {
            let _permit = permit;
            PasswordAuthProvider::verify_password(&password, &hash)
        })
        .await
        .unwrap_or(false)
    }
}

/// One attempt with a password, counted until it ends, however it does.
struct Attempt<'a> {
    guesses: &'a Mutex<Guesses>,
    who: Guesser,
    wait: std::time::Duration,
    looked_at: bool,
}

impl<'a> Attempt<'a> {
    fn begin(guesses: &'a Mutex<Guesses>, who: Guesser) -> Option<Self> {
        let wait = lock(guesses).attempt(&who, Instant::now())?;
        Some(Self {
            guesses,
            who,
            wait,
            looked_at: false,
        })
    }

    fn looked_at(mut self, right: bool) {
        lock(self.guesses).looked_at(&self.who, right, Instant::now());
        self.looked_at = true;
    }
}

impl Drop for Attempt<'_> {
    fn drop(&mut self) {
        if !self.looked_at {
            lock(self.guesses).given_up(&self.who);
        }
    }
}

fn lock(guesses: &Mutex<Guesses>) -> MutexGuard<'_, Guesses> {
    guesses.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A client that was let in, and the rules that hold for it.
pub(super) struct Pass {
    rules: Arc<Rules>,
    user: String,
}

type Pending<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

impl AuthProvider for Pass {
    fn authenticate<'a>(
        &'a self,
        _: &'a ConnectPacket,
        _: SocketAddr,
    ) -> Pending<'a, mqtt5::Result<AuthResult>> {
        Box::pin(std::future::ready(Ok(AuthResult::success_with_user(
            &self.user,
        ))))
    }

    fn authorize_publish<'a>(
        &'a self,
        _: &str,
        _: Option<&'a str>,
        topic: &'a str,
    ) -> Pending<'a, bool> {
        Box::pin(std::future::ready(
            self.rules.may_publish(&self.user, topic),
        ))
    }

    fn authorize_subscribe<'a>(
        &'a self,
        _: &str,
        _: Option<&'a str>,
        filter: &'a str,
    ) -> Pending<'a, bool> {
        Box::pin(std::future::ready(
            self.rules.may_subscribe(&self.user, filter),
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        Secret,
        broker::{embedded::Password, rules::Role},
    };

    fn gatekeeper(password: Password) -> Gatekeeper {
        Gatekeeper::new(
            Rules::new("case-7", [("ws-1", Role::Workstation)]).unwrap(),
            Credentials::new([("ws-1".to_owned(), password)]),
        )
    }

    #[tokio::test]
    async fn hashed_and_clear_passwords_open_for_the_right_one_only() {
        let hash = PasswordAuthProvider::hash_password("right").unwrap();
        for password in [
            Password::Argon2(hash),
            Password::Clear(Secret::new("right")),
        ] {
            let gatekeeper = gatekeeper(password);
            assert!(gatekeeper.check("ws-1", b"right").await);
            for wrong in [&b"wrong"[..], b"", b"right ", b"\xff"] {
                assert!(!gatekeeper.check("ws-1", wrong).await);
            }
            assert!(!gatekeeper.check("ws-2", b"right").await);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn an_attempt_that_is_cut_off_leaves_nothing_behind() {
        let gatekeeper = gatekeeper(Password::Clear(Secret::new("right")));
        let from = [192, 0, 2, 1].into();
        for _ in 0..10 {
            gatekeeper.knows("ws-1", b"wrong", from).await;
        }
        for _ in 0..10 {
            let attempt = gatekeeper.knows("ws-1", b"right", from);
            let cut = std::time::Duration::from_millis(1);
            assert!(tokio::time::timeout(cut, attempt).await.is_err());
        }
        assert_eq!(gatekeeper.knows("ws-1", b"right", from).await, Some(true));
    }
}

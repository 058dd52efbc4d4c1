//! A claim on one device: a lease that one client holds, and its token proves.

use std::time::Instant;

use koffer_proto::{ClaimToken, ClientId};

/// A claim that holds until its lease runs out.
#[derive(Debug, Clone)]
pub(crate) struct Claim {
    pub(crate) holder: ClientId,
    pub(crate) token: ClaimToken,
    pub(crate) until: Instant,
}

impl Claim {
    /// Whether `client` proves with `token` that the claim is its own.
    pub(crate) fn is_proven_by(&self, client: &ClientId, token: Option<&ClaimToken>) -> bool {
        self.holder == *client && token == Some(&self.token)
    }
}

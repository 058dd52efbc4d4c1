//! Claims on devices: leases that one client each holds, and that a token proves.

use std::{collections::BTreeMap, time::Instant};

use koffer_proto::{ClaimToken, ClientId, DeviceId};

/// A claim that holds until its lease runs out.
#[derive(Debug, Clone)]
pub(super) struct Claim {
    pub(super) holder: ClientId,
    pub(super) token: ClaimToken,
    pub(super) until: Instant,
}

/// All claims.
#[derive(Debug, Default)]
pub(super) struct Claims {
    by_device: BTreeMap<DeviceId, Claim>,
}

impl Claim {
    /// Whether `client` proves with `token` that the claim is its own.
    pub(super) fn is_proven_by(&self, client: &ClientId, token: Option<&ClaimToken>) -> bool {
        self.holder == *client && token == Some(&self.token)
    }
}

impl Claims {
    /// The claim on a device, unless its lease ran out.
    pub(super) fn on(&self, device: &DeviceId, now: Instant) -> Option<&Claim> {
        self.by_device.get(device).filter(|claim| claim.until > now)
    }

    /// A client holds a device from now on, and nobody else does.
    pub(super) fn grant(&mut self, device: DeviceId, claim: Claim) {
        self.by_device.insert(device, claim);
    }

    /// Nobody holds a device any more.
    pub(super) fn release(&mut self, device: &DeviceId) {
        self.by_device.remove(device);
    }

    /// Every claim whose lease runs.
    pub(super) fn all(&self, now: Instant) -> impl Iterator<Item = (&DeviceId, &Claim)> {
        let claims = self.by_device.iter();
        claims.filter(move |(_, claim)| claim.until > now)
    }

    /// Forgets the claims whose lease ran out.
    pub(super) fn expire(&mut self, now: Instant) {
        self.by_device.retain(|_, claim| claim.until > now);
    }

    /// When the next lease runs out.
    pub(super) fn next_expiry(&self) -> Option<Instant> {
        self.by_device.values().map(|claim| claim.until).min()
    }
}

//! Bytes that are carried but neither understood nor shown.

use std::fmt;

/// Raw bytes that may hold cardholder data or a password: `Debug` shows only how many, and the
/// buffer is overwritten when it is dropped (best effort: earlier copies by the allocator stay).
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Opaque(Vec<u8>);

impl Opaque {
    /// The bytes themselves. Not for logs, events or the journal.
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }
}

impl From<Vec<u8>> for Opaque {
    fn from(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }
}

impl From<&[u8]> for Opaque {
    fn from(bytes: &[u8]) -> Self {
        Self(bytes.to_vec())
    }
}

impl Drop for Opaque {
    fn drop(&mut self) {
        self.0.fill(0);
        // Without this the compiler may drop the stores to a buffer about to be freed.
        std::hint::black_box(self.0.as_slice());
    }
}

impl fmt::Debug for Opaque {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "<{} bytes>", self.0.len())
    }
}

/// Takes fields off the front of a slice; every step says whether there was enough.
pub(super) struct Reader<'a>(pub(super) &'a [u8]);

impl<'a> Reader<'a> {
    pub(super) fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (head, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(head)
    }

    pub(super) fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.take(N)?.try_into().ok()
    }

    pub(super) fn byte(&mut self) -> Option<u8> {
        self.array::<1>().map(|[byte]| byte)
    }
}

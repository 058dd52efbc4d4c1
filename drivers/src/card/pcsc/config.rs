//! What a technician sets for one card reader.

use koffer_settings::NamePattern;

/// One reader.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PcscConfig {
    /// Which reader; the first by name where it fits several. Names end in an index that changes
    /// with the order of plugging, so a pattern mostly ends in `*`.
    pub reader: NamePattern,
}

//! Everything that is generated from these types.

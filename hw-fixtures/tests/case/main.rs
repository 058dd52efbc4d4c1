//! Raising a case, losing parts of it, and leaving nothing behind.

#[cfg(test)]
mod lifecycle;

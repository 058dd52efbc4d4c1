//! Card payment terminals.

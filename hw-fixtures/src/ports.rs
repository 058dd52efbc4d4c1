//! Ports for what a test starts.

use std::{fs, io, net::TcpListener};

/// Below are ports of services.
const LOWEST: u16 = 10_000;

/// One in three lies in the range.
const TRIES: usize = 1_000;

/// A port that nobody uses now, and that the kernel gives to no connection as its own end: who
/// listens there finds it free when it is started again.
///
/// # Errors
/// When there is none, or the system does not say which ports it gives away.
pub fn free_port() -> io::Result<u16> {
    let range = fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range")?;
    let first_of_connections = range.split_whitespace().next().map(str::parse);
    let Some(Ok(end)) = first_of_connections else {
        return Err(io::Error::other(format!("no range of ports: {range:?}")));
    };
    for _ in 0..TRIES {
        let mut bytes = [0; 2];
        getrandom::fill(&mut bytes).map_err(io::Error::other)?;
        let port = u16::from_ne_bytes(bytes);
        let free = || TcpListener::bind(("127.0.0.1", port)).is_ok();
        if (LOWEST..end).contains(&port) && free() {
            return Ok(port);
        }
    }
    Err(io::Error::other(format!(
        "no free port from {LOWEST} to {end}"
    )))
}

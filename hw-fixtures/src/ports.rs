//! Ports for what a test starts.

use std::{
    fs, io,
    net::{Ipv4Addr, TcpListener},
    process,
    sync::atomic::{AtomicU32, Ordering},
};

/// Below are ports of services.
const LOWEST: u32 = 10_000;

/// From where one process begins to where the next one does.
const APART: u32 = 97;

/// A port that nobody uses now, and that the kernel gives to no connection as its own end: who
/// listens there finds it free when it is started again.
///
/// # Errors
/// When there is none, or the system does not say which ports it gives away.
pub fn free_port() -> io::Result<u16> {
    free_ports().map(|[port]| port)
}

/// Several of them, one behind the other.
///
/// Each process begins elsewhere, and goes on behind the last that it gave: a port of something
/// that is down for a moment is not given away again.
///
/// # Errors
/// As [`free_port`].
pub fn free_ports<const N: usize>() -> io::Result<[u16; N]> {
    static GIVEN: AtomicU32 = AtomicU32::new(0);

    let range = fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range")?;
    let first_of_connections = range.split_whitespace().next().map(str::parse);
    let Some(Ok(end)) = first_of_connections else {
        return Err(io::Error::other(format!("no range of ports: {range:?}")));
    };
    let first = process::id().wrapping_mul(APART);
    let free = |port: &u16| TcpListener::bind((Ipv4Addr::UNSPECIFIED, *port)).is_ok();
    for _ in LOWEST..end {
        let mut ports = [0; N];
        for port in &mut ports {
            let place = first.wrapping_add(GIVEN.fetch_add(1, Ordering::Relaxed));
            *port = u16::try_from(LOWEST + place % (end - LOWEST)).map_err(io::Error::other)?;
        }
        let neighbours = ports.is_sorted_by(|one, next| one.checked_add(1) == Some(*next));
        if neighbours && ports.iter().all(free) {
            return Ok(ports);
        }
    }
    Err(io::Error::other(format!(
        "no free port from {LOWEST} to {end}"
    )))
}

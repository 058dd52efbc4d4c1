//! `kofferctl`: what technicians and app developers ask a gateway with. See `docs/kofferctl.md`.

fn main() -> std::process::ExitCode {
    koffer_gateway::ctl::main()
}

//! End-to-end tests, one module for each subject. They need the programs beside them, which
//! `cargo test --workspace` builds.

mod bus_meets_both_brokers;
mod bus_survives_the_broker;
mod card;
mod case;
mod chaos;
mod clients;
mod crash_matrix;
mod device_faults;
mod devices;
mod enumerate;
mod faults;
mod front;
mod install;
mod invariants;
mod journal;
mod kofferctl;
mod load;
mod payment;
mod printer;
mod process;
mod topic_rules;

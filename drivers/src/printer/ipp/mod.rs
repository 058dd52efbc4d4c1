//! Document printers that speak IPP themselves (RFC 8010, RFC 8011, PWG 5100.12 "IPP/2.0").
//!
//! No queue stands between: CUPS says `completed` when the printer took the bytes, and prints
//! again what it was printing when it was killed. How nothing is printed twice:
//!
//! 1. Create-Job under a name that only this call has; a job without a document prints nothing.
//! 2. The job's id, the printer's uuid and its boot time go into the call's record.
//! 3. Send-Document, once. Whatever happens to it, it is never sent again.
//! 4. What became of it is read from the job, recognised by its id and what the printer itself
//!    showed of it (`identity`), as long as the printer did not restart.
//!
//! Until 3 a call ends with nothing printed. From 3 on it can still be cancelled, at any time: the
//! printer is asked to, and the job then tells what came out. A cancel that comes too late ends
//! `ok`, because all of it is printed as asked.
//!
//! What a printer says of a job is read as a whole (`job`, `standing`): state, reasons and counts
//! that contradict each other prove nothing, and the result names what proves it.
//!
//! After a crash the same is read again (`record`, `driver/reconcile`): a job that still waits for
//! its document is cancelled, one that has it is followed to its end, and what the printer does
//! not know any more, a person decides.
//!
//! `job` decides, `wire` encodes, `link` carries, `driver` does.

mod capabilities;
mod config;
mod driver;
mod epoch;
mod factory;
mod identity;
mod job;
mod link;
mod outcome;
mod reasons;
mod record;
mod snapshot;
mod standing;
mod test_page;
mod timing;
mod tls;
mod wire;

pub use config::{IppConfig, PrinterUri, UriError};
pub use driver::driver;
pub use factory::FACTORY;
pub use tls::{CertificateError, certificate_digest};

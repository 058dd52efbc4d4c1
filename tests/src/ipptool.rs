//! `ipptool` of CUPS: somebody else at the same printer, written by nobody here.

use std::process::Stdio;

/// What every question to a printer begins with.
pub const HEAD: &str = "GROUP operation-attributes-tag \
     ATTR charset attributes-charset utf-8 \
     ATTR language attributes-natural-language en \
     ATTR uri printer-uri $uri";

/// Asks the printer at `uri`; the attributes that the question displays, as CSV.
///
/// # Panics
/// When it is not installed, or the printer answers otherwise than the question expects.
pub async fn ask(uri: &str, question: &str) -> String {
    let file = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(file.path(), format!("{{ {question} }}\n")).expect("a file");
    let output = tokio::process::Command::new("ipptool")
        .args(["-c", uri])
        .arg(file.path())
        .stdin(Stdio::null())
        .output()
        .await
        .expect("ipptool: apt-get install --no-install-recommends cups-ipp-utils");
    let answer = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{question}: {answer}");
    answer
}

//! Somebody else at the same printer.

use std::time::Duration;

use koffer_tests::ipptool::{HEAD, ask};
use tokio::time::{sleep, timeout};

use super::{Office, runner::PATIENCE};

impl Office {
    /// Makes a job and sends no document.
    pub(crate) async fn create_job(&self, user: &str, name: &str) {
        self.ask(&format!(
            "OPERATION Create-Job {HEAD} ATTR name requesting-user-name {user} \
             ATTR name job-name \"{name}\" STATUS successful-ok"
        ))
        .await;
    }

    pub(crate) async fn cancel_job(&self, id: i32) {
        self.ask(&format!(
            "OPERATION Cancel-Job {HEAD} ATTR integer job-id {id} \
             ATTR name requesting-user-name somebody STATUS successful-ok"
        ))
        .await;
    }

    /// Waits until the printer prints the job of this call.
    pub(crate) async fn until_processing(&self, call: &str) {
        self.until(call, "job-printing").await;
    }

    /// Waits until the printer was asked to cancel the job of this call.
    pub(crate) async fn until_cancelling(&self, call: &str) {
        self.until(call, "processing-to-stop-point").await;
    }

    /// Waits until the printer is done with the job of this call.
    pub(crate) async fn until_completed(&self, call: &str) {
        let line = format!("koffer/ws-1/{call},completed");
        let question = format!(
            "OPERATION Get-Jobs {HEAD} ATTR keyword which-jobs completed \
             ATTR keyword requested-attributes job-name,job-state \
             DISPLAY job-name DISPLAY job-state"
        );
        self.until_told(&question, &line).await;
    }

    async fn until(&self, call: &str, reason: &str) {
        let job = format!("koffer/ws-1/{call},{reason}");
        let question = format!(
            "OPERATION Get-Jobs {HEAD} \
             ATTR keyword requested-attributes job-name,job-state-reasons \
             DISPLAY job-name DISPLAY job-state-reasons"
        );
        self.until_told(&question, &job).await;
    }

    async fn until_told(&self, question: &str, line: &str) {
        let seen = async {
            while !self.ask(question).await.contains(line) {
                sleep(Duration::from_millis(20)).await;
            }
        };
        timeout(PATIENCE, seen).await.expect("the job gets there");
    }

    async fn ask(&self, question: &str) -> String {
        ask(&self.printer.uri(), question).await
    }
}

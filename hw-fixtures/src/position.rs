//! A receiver that nobody here wrote: `gpsfake` (Debian `gpsd-clients`) plays what a receiver
//! says to the real `gpsd`.

use std::{
    fmt::Write as _,
    fs::{self, File},
    io,
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use nix::{
    sys::signal::{Signal, killpg},
    unistd::Pid,
};

use crate::ports::free_port;

/// What the receiver sees.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sky {
    /// Eight satellites, at 52.52 north and 13.405 east.
    Clear,
    /// Nothing.
    Covered,
}

/// A running gpsd with one receiver.
#[derive(Debug)]
pub struct FakeReceiver {
    dir: PathBuf,
    port: u16,
    child: Option<Child>,
}

impl FakeReceiver {
    /// Starts gpsd with a receiver that sees this.
    ///
    /// # Errors
    /// When a program or a port is missing.
    pub fn start(dir: &Path, sky: Sky) -> io::Result<Self> {
        let mut receiver = Self {
            dir: dir.to_owned(),
            port: free_port()?,
            child: None,
        };
        receiver.restart(sky)?;
        Ok(receiver)
    }

    /// The address of gpsd, as it is configured.
    pub fn address(&self) -> String {
        format!("tcp://127.0.0.1:{}", self.port)
    }

    /// Starts gpsd again at its port, with a receiver that sees this.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn restart(&mut self, sky: Sky) -> io::Result<()> {
        self.kill()?;
        let spoken = self.dir.join("receiver.nmea");
        fs::write(&spoken, nmea(sky))?;
        let log = File::options()
            .create(true)
            .append(true)
            .open(self.dir.join("gpsfake.log"))?;
        let child = Command::new("gpsfake")
            .args(["-q", "-n", "-c", "0.1", "-P", &self.port.to_string()])
            .arg(&spoken)
            .current_dir(&self.dir)
            // gpsd is its child: both end together.
            .process_group(0)
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
            .map_err(|error| {
                let remedy = "apt-get install gpsd gpsd-clients";
                io::Error::new(error.kind(), format!("gpsfake: {error}; {remedy}"))
            })?;
        self.child = Some(child);
        Ok(())
    }

    /// Kills gpsd and its receiver.
    ///
    /// # Errors
    /// When they cannot be waited for.
    pub fn kill(&mut self) -> io::Result<()> {
        if let Some(mut child) = self.child.take() {
            let group = i32::try_from(child.id()).map_err(io::Error::other)?;
            killpg(Pid::from_raw(group), Signal::SIGKILL)?;
            child.wait()?;
        }
        Ok(())
    }
}

impl Drop for FakeReceiver {
    fn drop(&mut self) {
        let _ = self.kill();
    }
}

/// Half a minute of NMEA 0183, a second each; it is played again and again.
fn nmea(sky: Sky) -> String {
    let mut spoken = String::new();
    for second in 0..30 {
        let time = format!("1200{second:02}.00");
        let sentences = match sky {
            Sky::Clear => vec![
                format!("GPGGA,{time},5231.2000,N,01324.3000,E,1,08,0.9,34.5,M,44.0,M,,"),
                "GPGSA,A,3,01,02,03,04,05,06,07,08,,,,,1.6,0.9,1.3".to_owned(),
                "GPGSV,2,1,08,01,40,083,46,02,17,308,41,03,07,344,39,04,22,228,45".to_owned(),
                "GPGSV,2,2,08,05,40,083,46,06,17,308,41,07,07,344,39,08,22,228,45".to_owned(),
                format!("GPRMC,{time},A,5231.2000,N,01324.3000,E,0.0,0.0,011226,,,A"),
            ],
            Sky::Covered => vec![
                format!("GPGGA,{time},,,,,0,00,99.9,,M,,M,,"),
                "GPGSA,A,1,,,,,,,,,,,,,99.9,99.9,99.9".to_owned(),
                format!("GPRMC,{time},V,,,,,,,011226,,,N"),
            ],
        };
        for sentence in sentences {
            let sum = sentence.bytes().fold(0, |sum, byte| sum ^ byte);
            // Writing to a String cannot fail.
            let _ = write!(spoken, "${sentence}*{sum:02X}\r\n");
        }
    }
    spoken
}

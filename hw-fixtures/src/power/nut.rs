//! A UPS service that nobody here wrote: `upsd` and `dummy-ups` (Debian `nut-server`), as
//! processes that end with their value.

use std::{
    fs,
    fs::File,
    io,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use crate::ports::free_port;

/// Where Debian puts the programs; `/sbin/upsd` is a wrapper that wants `/etc/nut` configured.
const PROGRAMS: &str = "/lib/nut";

/// A running service with one UPS, `case`.
#[derive(Debug)]
pub struct NutServer {
    dir: PathBuf,
    port: u16,
    ups: Option<Child>,
    server: Option<Child>,
}

impl NutServer {
    /// Starts the service in `dir`. `variables` is what the UPS says, `name: value` a line.
    ///
    /// # Errors
    /// When a program or a port is missing.
    pub fn start(dir: &Path, variables: &str) -> io::Result<Self> {
        let port = free_port()?;
        fs::set_permissions(dir, fs::Permissions::from_mode(0o700))?;
        let device = dir.join("case.dev");
        let ups = format!(
            "[case]\ndriver = dummy-ups\nport = {}\nmode = dummy-once\npollinterval = 1\n",
            device.display()
        );
        for (file, text) in [
            ("ups.conf", ups.as_str()),
            ("upsd.conf", &format!("LISTEN 127.0.0.1 {port}\nMAXAGE 3\n")),
            ("upsd.users", ""),
        ] {
            let path = dir.join(file);
            fs::write(&path, text)?;
            fs::set_permissions(&path, fs::Permissions::from_mode(0o600))?;
        }
        let mut server = Self {
            dir: dir.to_owned(),
            port,
            ups: None,
            server: None,
        };
        server.say(variables)?;
        server.start_ups()?;
        server.start_server()?;
        Ok(server)
    }

    /// The address of the UPS, as it is configured.
    pub fn address(&self) -> String {
        format!("nut://127.0.0.1:{}/case", self.port)
    }

    /// What the UPS says from now on.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn say(&self, variables: &str) -> io::Result<()> {
        // As a whole: the driver reads it whenever it changes.
        let new = self.dir.join("case.dev.new");
        fs::write(&new, variables)?;
        fs::rename(new, self.dir.join("case.dev"))
    }

    /// Starts the driver of the UPS.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn start_ups(&mut self) -> io::Result<()> {
        self.ups = Some(self.spawn("dummy-ups", &["-F", "-a", "case"])?);
        Ok(())
    }

    /// Starts the server.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn start_server(&mut self) -> io::Result<()> {
        self.server = Some(self.spawn("upsd", &["-F"])?);
        Ok(())
    }

    /// Kills the driver of the UPS: the server's data grow stale.
    ///
    /// # Errors
    /// When it cannot be waited for.
    pub fn kill_ups(&mut self) -> io::Result<()> {
        end(&mut self.ups)
    }

    /// Kills the server.
    ///
    /// # Errors
    /// When it cannot be waited for.
    pub fn kill_server(&mut self) -> io::Result<()> {
        end(&mut self.server)
    }

    fn spawn(&self, program: &str, arguments: &[&str]) -> io::Result<Child> {
        let log = File::options()
            .create(true)
            .append(true)
            .open(self.dir.join(format!("{program}.log")))?;
        let user = nix::unistd::User::from_uid(nix::unistd::getuid())?;
        let user = user.map_or_else(|| "root".to_owned(), |user| user.name);
        Command::new(Path::new(PROGRAMS).join(program))
            .args(arguments)
            .args(["-u", &user])
            .env("NUT_CONFPATH", &self.dir)
            .env("NUT_STATEPATH", &self.dir)
            .env("NUT_ALTPIDPATH", &self.dir)
            .env("NUT_PIDPATH", &self.dir)
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
            .map_err(|error| {
                let remedy = "apt-get install nut-server";
                io::Error::new(error.kind(), format!("{program}: {error}; {remedy}"))
            })
    }
}

fn end(child: &mut Option<Child>) -> io::Result<()> {
    if let Some(mut child) = child.take() {
        child.kill()?;
        child.wait()?;
    }
    Ok(())
}

impl Drop for NutServer {
    fn drop(&mut self) {
        let _ = end(&mut self.server);
        let _ = end(&mut self.ups);
    }
}

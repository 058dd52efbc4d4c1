//! A disk for the journal that can be full: a small tmpfs in a mount namespace of this process,
//! which the kernel takes away with the process, however that ends.

use std::{
    fs::{self, File},
    io::{self, Write as _},
    path::{Path, PathBuf},
};

use nix::{
    mount::{MsFlags, mount},
    sched::{CloneFlags, unshare},
    sys::statvfs::statvfs,
    unistd::{getegid, geteuid},
};

use crate::Outcome;

/// What is written at once.
const PIECE: usize = 64 * 1024;

/// Gives this process a mount namespace of its own, without root in a user namespace. To be called
/// before there is a second thread.
pub(crate) fn have_own_mounts() -> Outcome<()> {
    let (user, group) = (geteuid(), getegid());
    let mut flags = CloneFlags::CLONE_NEWNS;
    if !user.is_root() {
        flags |= CloneFlags::CLONE_NEWUSER;
    }
    let refused = |error: nix::Error| {
        format!(
            "the full disk needs a mount namespace, and the kernel refuses one ({error}): run as root, in a \
             container with CAP_SYS_ADMIN, or allow user namespaces (user.max_user_namespaces)"
        )
    };
    unshare(flags).map_err(refused)?;
    if !user.is_root() {
        // Who was nobody special is root within (user_namespaces(7)).
        fs::write("/proc/self/setgroups", "deny")?;
        fs::write("/proc/self/uid_map", format!("0 {user} 1"))?;
        fs::write("/proc/self/gid_map", format!("0 {group} 1"))?;
    }
    let private = MsFlags::MS_REC | MsFlags::MS_PRIVATE;
    mount(None::<&str>, "/", None::<&str>, private, None::<&str>).map_err(refused)?;
    Ok(())
}

/// A small disk.
#[derive(Debug)]
pub(crate) struct Disk {
    ballast: PathBuf,
}

impl Disk {
    /// Mounts one of so many MiB at `folder`.
    pub(crate) fn mount(folder: &Path, mib: u32) -> Outcome<Self> {
        fs::create_dir_all(folder)?;
        let size = format!("size={mib}m,mode=700");
        let flags = MsFlags::empty();
        mount(
            Some("tmpfs"),
            folder,
            Some("tmpfs"),
            flags,
            Some(size.as_str()),
        )
        .map_err(|error| {
            format!(
                "no tmpfs can be mounted at {} ({error}): the full disk needs root, or a container with CAP_SYS_ADMIN",
                folder.display()
            )
        })?;
        Ok(Self {
            ballast: folder.join("ballast"),
        })
    }

    /// Fills it up to so many KiB.
    pub(crate) fn fill(&self, but_kib: u32) -> io::Result<()> {
        let mut file = File::create(&self.ballast)?;
        let free = statvfs(&self.ballast)?;
        let free = free.blocks_available() * free.fragment_size();
        let mut left = free.saturating_sub(u64::from(but_kib) * 1024);
        let zeros = vec![0; PIECE];
        while left > 0 {
            let piece = usize::try_from(left).unwrap_or(PIECE).min(PIECE);
            match file.write_all(zeros.get(..piece).unwrap_or_default()) {
                // The journal took the rest meanwhile.
                Err(error) if error.kind() == io::ErrorKind::StorageFull => return Ok(()),
                written => written?,
            }
            left -= piece as u64;
        }
        Ok(())
    }

    /// Makes room again.
    pub(crate) fn free(&self) -> io::Result<()> {
        fs::remove_file(&self.ballast)
    }
}

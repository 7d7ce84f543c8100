//! The lock on the `--data` folder: two stacks on one folder would remove each other's connections.

use std::fs::{self, File, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::path::Path;

use crate::log;

/// An operating system lock (`flock`), which ends with the process in any case. The content of the file only names the
/// owner.
pub struct DataLock(File);

/// The folder cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum DataLockError {
    #[error("{folder} is in use by {holder}; stop it, or choose another folder with --data")]
    Held { folder: String, holder: String },
    #[error("{folder} cannot be used: {error}")]
    Io { folder: String, error: io::Error },
}

impl DataLock {
    /// # Errors
    /// Another stack holds the lock, or the folder is not writable.
    pub fn acquire(folder: &Path) -> Result<Self, DataLockError> {
        let name = || folder.display().to_string();
        let failed = |error| DataLockError::Io { folder: name(), error };
        fs::create_dir_all(folder).map_err(failed)?;
        let path = folder.join("lock");
        let mut file =
            File::options().read(true).write(true).create(true).truncate(false).open(path).map_err(failed)?;
        match file.try_lock() {
            Ok(()) => Ok(Self(file)),
            Err(TryLockError::WouldBlock) => {
                let mut holder = String::new();
                // It may be starting, and not have written its name yet.
                let _ = file.read_to_string(&mut holder);
                let holder = Some(holder.trim()).filter(|holder| !holder.is_empty()).unwrap_or("another process");
                Err(DataLockError::Held { folder: name(), holder: holder.to_owned() })
            }
            Err(TryLockError::Error(error)) => Err(failed(error)),
        }
    }

    /// Writes the owner into the file, for the error message of another stack.
    ///
    /// # Errors
    /// The file is not writable.
    pub fn write_owner(&mut self, url: &str) -> io::Result<()> {
        self.0.set_len(0)?;
        self.0.rewind()?;
        writeln!(self.0, "process {} since {}, at {url}", std::process::id(), log::now().to_iso())
    }
}

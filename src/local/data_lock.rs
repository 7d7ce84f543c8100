//! A stack's hold on its `--data` directory: two stacks on the same one would take each other's connections for dead.

use std::fs::{self, File, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::path::Path;

use crate::log;

/// The lock is the operating system's (`flock`), so it ends with the process, however that ends. What stands in the
/// file only says who has it.
pub struct DataLock(File);

/// Why a directory cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum DataLockError {
    #[error("{directory} is in use by {holder}; stop that one, or choose another directory with --data")]
    Held { directory: String, holder: String },
    #[error("{directory} cannot be used: {error}")]
    Io { directory: String, error: io::Error },
}

impl DataLock {
    /// # Errors
    /// Another stack has it, or the directory cannot be written to.
    pub fn acquire(directory: &Path) -> Result<Self, DataLockError> {
        let name = || directory.display().to_string();
        let failed = |error| DataLockError::Io { directory: name(), error };
        fs::create_dir_all(directory).map_err(failed)?;
        let path = directory.join("lock");
        let mut file =
            File::options().read(true).write(true).create(true).truncate(false).open(path).map_err(failed)?;
        match file.try_lock() {
            Ok(()) => Ok(Self(file)),
            Err(TryLockError::WouldBlock) => {
                let mut holder = String::new();
                // It may be starting, and not have written yet.
                let _ = file.read_to_string(&mut holder);
                let holder = Some(holder.trim()).filter(|holder| !holder.is_empty()).unwrap_or("another process");
                Err(DataLockError::Held { directory: name(), holder: holder.to_owned() })
            }
            Err(TryLockError::Error(error)) => Err(failed(error)),
        }
    }

    /// Says who has it, for whoever comes second.
    ///
    /// # Errors
    /// The file cannot be written to.
    pub fn sign(&mut self, url: &str) -> io::Result<()> {
        self.0.set_len(0)?;
        self.0.rewind()?;
        writeln!(self.0, "process {} since {}, at {url}", std::process::id(), log::now().to_iso())
    }
}

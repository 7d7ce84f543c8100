//! The `--data` folder: its lock, because two stacks on one folder would remove each other's connections, and the
//! version of its content.

use std::fs::{self, File, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::path::{Path, PathBuf};

use crate::log;

/// The version of what a folder contains. Raise it with every change after which the stack cannot use older folders.
const VERSION: &str = "1";

/// A locked folder: by the operating system (`flock`), so the lock ends with the process in any case.
pub struct DataFolder {
    path: PathBuf,
    /// The content of the file only names the owner.
    lock: File,
}

/// The folder cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum DataFolderError {
    #[error("{folder} is in use by {holder}; stop it, or choose another folder with --data")]
    Held { folder: String, holder: String },
    #[error(
        "{folder} was written by an incompatible version: {problem}; choose another folder with --data, or delete it"
    )]
    Incompatible { folder: String, problem: String },
    #[error("{folder} cannot be used: {error}")]
    Io { folder: String, error: io::Error },
}

impl DataFolder {
    /// Creates the folder if it does not exist, and locks it.
    ///
    /// # Errors
    /// Another stack holds the lock, another version wrote the folder, or it is not writable.
    pub fn open(folder: &Path) -> Result<Self, DataFolderError> {
        let failed = |error| DataFolderError::Io { folder: folder.display().to_string(), error };
        fs::create_dir_all(folder).map_err(failed)?;
        let path = folder.join("lock");
        let mut lock =
            File::options().read(true).write(true).create(true).truncate(false).open(path).map_err(failed)?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut holder = String::new();
                // It may be starting, and not have written its name yet.
                let _ = lock.read_to_string(&mut holder);
                let holder = Some(holder.trim()).filter(|holder| !holder.is_empty()).unwrap_or("another process");
                return Err(DataFolderError::Held { folder: folder.display().to_string(), holder: holder.to_owned() });
            }
            Err(TryLockError::Error(error)) => return Err(failed(error)),
        }
        let folder = Self { path: folder.to_owned(), lock };
        folder.require_version()?;
        Ok(folder)
    }

    /// The folder itself.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Folders of before there were versions have none: their tables show whether they can be used.
    fn require_version(&self) -> Result<(), DataFolderError> {
        match fs::read_to_string(self.version_file()) {
            Ok(version) if version.trim() == VERSION => Ok(()),
            Ok(version) => {
                let version = version.trim().escape_debug().take(20).collect::<String>();
                Err(self.incompatible(format!("its content has version {version}, this stack uses version {VERSION}")))
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(DataFolderError::Io { folder: self.path.display().to_string(), error }),
        }
    }

    /// The error for content that this version cannot use.
    pub fn incompatible(&self, problem: String) -> DataFolderError {
        DataFolderError::Incompatible { folder: self.path.display().to_string(), problem }
    }

    /// Notes the version, once the content is known to have it.
    ///
    /// # Errors
    /// The file is not writable.
    pub fn write_version(&self) -> io::Result<()> {
        fs::write(self.version_file(), format!("{VERSION}\n"))
    }

    fn version_file(&self) -> PathBuf {
        self.path.join("version")
    }

    /// Writes the owner into the lock, for the error message of another stack.
    ///
    /// # Errors
    /// The file is not writable.
    pub fn write_owner(&mut self, url: &str) -> io::Result<()> {
        self.lock.set_len(0)?;
        self.lock.rewind()?;
        writeln!(self.lock, "process {} since {}, at {url}", std::process::id(), log::now().to_iso())
    }
}

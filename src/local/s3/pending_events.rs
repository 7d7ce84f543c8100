//! The events that the function has not handled yet. Like S3's own they survive a crash: the next stack on the same
//! folder sends them again.

use std::path::{Path, PathBuf};
use std::{fs, io};

use uuid::Uuid;

/// A folder with one file for each pending event.
pub struct PendingEvents(PathBuf);

/// The event of an object that is about to be written, or is written.
pub struct PendingEvent {
    file: PathBuf,
    /// The key of the object.
    pub key: String,
}

impl PendingEvents {
    /// Uses a folder, which is created if it does not exist.
    ///
    /// # Errors
    /// The folder cannot be created.
    pub fn open(folder: &Path) -> io::Result<Self> {
        fs::create_dir_all(folder)?;
        Ok(Self(folder.to_owned()))
    }

    /// Notes an event. This comes before the object: a crash in between leaves an event without an object, which is
    /// dropped, and never an object without an event.
    ///
    /// # Errors
    /// The folder is not writable.
    pub fn add(&self, key: &str) -> io::Result<PendingEvent> {
        // In the order of time.
        let file = self.0.join(Uuid::now_v7().simple().to_string());
        fs::write(&file, key)?;
        Ok(PendingEvent { file, key: key.to_owned() })
    }

    /// The events that were noted so far, oldest first.
    ///
    /// # Errors
    /// The folder is not readable.
    pub fn all(&self) -> io::Result<Vec<PendingEvent>> {
        let files = fs::read_dir(&self.0)?.map(|entry| Ok(entry?.path()));
        let mut files = files.collect::<io::Result<Vec<_>>>()?;
        files.sort();
        files.into_iter().map(|file| Ok(PendingEvent { key: fs::read_to_string(&file)?, file })).collect()
    }
}

impl PendingEvent {
    /// The event has been handled, or there is no object.
    pub fn remove(self) {
        if let Err(error) = fs::remove_file(&self.file) {
            tracing::warn!(%error, key = self.key, "failed to remove a pending event");
        }
    }
}

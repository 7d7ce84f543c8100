//! The lifecycle of the bucket: objects expire.

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use super::Objects;
use crate::local::clock::Clock;

/// How often expired objects are deleted.
const INTERVAL: Duration = Duration::from_secs(10 * 60);

/// The folder of exports, which expire sooner, as in a deployment.
const EXPORTS: &str = "exports";
const EXPORT_LIFETIME: Duration = Duration::from_secs(7 * 86_400);

/// Deletes objects that are older than the lifetime.
#[derive(Clone)]
pub struct Lifecycle {
    pub objects: Objects,
    /// The folder of the bucket.
    pub folder: PathBuf,
    pub lifetime: Duration,
    pub clock: Clock,
}

impl Lifecycle {
    /// Deletes expired objects at an interval, until it is aborted.
    pub async fn run(self) {
        loop {
            tokio::time::sleep(INTERVAL).await;
            self.expire_objects().await;
        }
    }

    /// Deletes expired objects.
    pub async fn expire_objects(&self) {
        let now = Duration::from_millis(self.clock.now().as_millis().unsigned_abs());
        let limit = |lifetime| SystemTime::UNIX_EPOCH + now.saturating_sub(lifetime);
        let exports = files_before(&self.folder.join(EXPORTS), limit(EXPORT_LIFETIME));
        let exports = exports.into_iter().map(|name| format!("{EXPORTS}/{name}"));
        for name in files_before(&self.folder, limit(self.lifetime)).into_iter().chain(exports) {
            if let Err(error) = self.objects.delete_file(name).await {
                tracing::warn!(%error, "failed to delete an expired object");
            }
        }
    }
}

/// The names of the files under a folder that were modified before `limit`.
fn files_before(folder: &Path, limit: SystemTime) -> Vec<String> {
    let mut names = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for entry in std::fs::read_dir(next).into_iter().flatten().flatten() {
            let path = entry.path();
            let Ok(metadata) = entry.metadata() else { continue };
            if metadata.is_dir() {
                folders.push(path);
            } else if metadata.modified().is_ok_and(|modified| modified < limit)
                && let Ok(name) = path.strip_prefix(folder)
            {
                names.push(name.to_string_lossy().into_owned());
            }
        }
    }
    names
}

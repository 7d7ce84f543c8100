//! An export takes longer than one request: the function invokes itself to go on with it.

use serde::{Deserialize, Serialize};

use super::{Delivery, RequestContext};
use crate::domain::{ExportId, Timestamp, UserId};
use crate::error::Error;

/// The event that asks another invocation to go on with an export of a user.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ExportStep {
    source: String,
    /// Of the request that asks for it.
    pub request_id: String,
    /// When that was.
    pub at: Timestamp,
    pub user_id: UserId,
    pub export_id: ExportId,
}

impl ExportStep {
    /// What tells these events from those of other sources.
    pub const SOURCE: &str = "switchboard.export";
}

impl Delivery {
    /// Asks another invocation to go on with an export. Where that fails the sweep asks for it.
    pub async fn request_export(&self, user: &UserId, export: &ExportId, request: RequestContext<'_>) {
        let event = ExportStep {
            source: ExportStep::SOURCE.to_owned(),
            request_id: request.request_id.to_owned(),
            at: request.now,
            user_id: user.clone(),
            export_id: export.clone(),
        };
        if let Err(error) = self.invoke(&event).await {
            tracing::warn!(error = Error::cause(&error), "failed to ask for the next step of an export");
        }
    }
}

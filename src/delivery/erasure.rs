//! The erasure of a user takes longer than one request: the function invokes itself to go on with it.

use serde::{Deserialize, Serialize};

use super::{Delivery, RequestContext};
use crate::domain::{Timestamp, UserId};
use crate::error::Error;

/// The event that asks another invocation to go on with the erasure of a user.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ErasureStep {
    source: String,
    /// Of the request that asks for it.
    pub request_id: String,
    /// When that was.
    pub at: Timestamp,
    pub user_id: UserId,
}

impl ErasureStep {
    /// What tells these events from those of other sources.
    pub const SOURCE: &str = "switchboard.erase";
}

impl Delivery {
    /// Asks another invocation to go on with the erasure of a user. Where that fails the sweep asks for it.
    pub async fn request_erasure(&self, user: &UserId, request: RequestContext<'_>) {
        let event = ErasureStep {
            source: ErasureStep::SOURCE.to_owned(),
            request_id: request.request_id.to_owned(),
            at: request.now,
            user_id: user.clone(),
        };
        if let Err(error) = self.invoke(&event).await {
            tracing::warn!(error = Error::cause(&error), "failed to ask for the next step of an erasure");
        }
    }
}

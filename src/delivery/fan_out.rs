//! A frame to everybody on a channel: page by page, with bounded concurrency, and handed on to further invocations
//! where there are more recipients than one has time for.

use std::pin::pin;
use std::time::Duration;

use aws_sdk_lambda::primitives::Blob;
use aws_sdk_lambda::types::InvocationType;
use futures_util::stream::{self, Stream, StreamExt};
use serde::{Deserialize, Serialize};
use tokio::time::{Instant, timeout_at};

use super::recipients::Recipients;
use super::{Delivered, Delivery, OutboundFrame, RequestContext};
use crate::domain::{RoomId, Timestamp};
use crate::error::Error;
use crate::store::{Channel, KeyRange, Subscription};

/// After this time the remaining recipients are handed on.
const FAN_OUT_BUDGET: Duration = Duration::from_secs(10);
/// So they are when no more than this is left: time for the posts under way, and to hand on.
const HANDOFF_RESERVE: Duration = Duration::from_secs(3);
/// Of that, what is reserved for the last ranges.
const LAST_HANDOFF_RESERVE: Duration = Duration::from_secs(1);
/// Ranges that are handed on at once.
const RANGES_AT_ONCE: usize = 16;

/// A range of recipients for which an invocation had no time: the event that another one gets.
#[derive(Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Continuation {
    source: String,
    /// Of the request that began the fan-out.
    pub request_id: String,
    /// When that was.
    pub at: Timestamp,
    #[serde(rename = "part")]
    range: KeyRange,
    #[serde(rename = "publication")]
    frame: OutboundFrame,
}

impl Continuation {
    /// What tells these events from those of other sources.
    pub const SOURCE: &str = "switchboard.fan-out";

    /// The room, if the channel is a room's.
    pub fn room(&self) -> Option<RoomId> {
        self.range.channel.room()
    }
}

impl Delivery {
    /// Sends a frame to everybody on `channels`; other invocations go on with it where one has no time for all. What is
    /// published is in the log, or of the moment: a failure is logged, and clients catch up.
    pub async fn publish(&self, channels: &[Channel], what: &OutboundFrame, request: RequestContext<'_>) -> Delivered {
        log_failure(self.publish_all(channels, what, request).await)
    }

    /// As [`Delivery::publish`], and returns also why not everybody was told.
    pub async fn publish_all(
        &self,
        channels: &[Channel],
        what: &OutboundFrame,
        request: RequestContext<'_>,
    ) -> (Delivered, Result<(), Error>) {
        let ranges = channels.iter().map(|channel| {
            let whole = KeyRange::from(channel);
            let pages = self.store.subscribers(&whole, request.now);
            (whole, pages)
        });
        self.post_all(ranges, what, request).await
    }

    /// As [`Delivery::publish`], on one channel, with a first page that the caller has read already.
    pub async fn publish_from(
        &self,
        channel: &Channel,
        first: Vec<Subscription>,
        rest: impl Stream<Item = Result<Vec<Subscription>, Error>> + Send + Unpin + 'static,
        what: &OutboundFrame,
        request: RequestContext<'_>,
    ) -> Delivered {
        let ranges = [(KeyRange::from(channel), stream::iter([Ok(first)]).chain(rest))];
        log_failure(self.post_all(ranges, what, request).await)
    }

    /// Goes on with a fan-out. Doing it twice does no harm: clients drop by seq.
    ///
    /// # Errors
    /// Not all recipients can be read, or handed on.
    pub async fn go_on(&self, with: &Continuation, request: RequestContext<'_>) -> (Delivered, Result<(), Error>) {
        let pages = self.store.subscribers(&with.range, request.now);
        self.post_all([(with.range.clone(), pages)], &with.frame, request).await
    }

    /// Returns what was delivered, and why it was not everything.
    async fn post_all<P>(
        &self,
        ranges: impl IntoIterator<Item = (KeyRange, P)>,
        what: &OutboundFrame,
        request: RequestContext<'_>,
    ) -> (Delivered, Result<(), Error>)
    where
        P: Stream<Item = Result<Vec<Subscription>, Error>> + Send + Unpin + 'static,
    {
        let last_moment = request.deadline.checked_sub(LAST_HANDOFF_RESERVE).unwrap_or(request.deadline);
        let mut recipients = remaining(ranges, last_moment, request);
        let (mut handed_on, mut all) = (0, Ok(()));
        // The remaining recipients are handed on while the last posts are under way.
        let each = stream::unfold((&mut recipients, &mut handed_on, &mut all), async |(recipients, handed_on, all)| {
            match recipients.next().await {
                Ok(Some(live)) => return Some((live, (recipients, handed_on, all))),
                Ok(None) => *all = self.hand_on(recipients, what, request, handed_on).await,
                Err(error) => *all = Err(error),
            }
            None
        });
        let mut unsubscribed = Vec::new();
        let each = each.inspect(|live: &Subscription| {
            if what.is_last {
                unsubscribed.push(live.clone());
            }
        });
        let (delivered, gone) = self.post_each(each, what, request.now).await;
        self.request_cleanup(gone, request).await;
        // Subscriptions that are not deleted in time end with their connections.
        let _ = timeout_at(last_moment, async {
            if let Err(error) = self.store.clear(&unsubscribed).await {
                tracing::warn!(error = error.cause(), "failed to clear a channel");
            }
        })
        .await;
        let failed = delivered.failed + u64::from(all.is_err());
        (Delivered { handed_on, failed, ..delivered }, all)
    }

    /// Hands the remaining recipients on to other invocations, a thousand to each: so none of these hands on much to a
    /// next one, since Lambda stops a chain at its sixteenth invocation. Where there is no time to read how many
    /// remain, the last range has no end.
    async fn hand_on(
        &self,
        recipients: &mut Recipients,
        what: &OutboundFrame,
        request: RequestContext<'_>,
        handed_on: &mut u64,
    ) -> Result<(), Error> {
        let ranges = stream::unfold(recipients, async |recipients| {
            Some((recipients.next_range().await.transpose()?, recipients))
        });
        let invoked = ranges.map(|range| async {
            let event = Continuation {
                source: Continuation::SOURCE.to_owned(),
                request_id: request.request_id.to_owned(),
                at: request.now,
                range: range?,
                frame: what.clone(),
            };
            self.invoke(&event).await
        });
        let mut invoked = pin!(invoked.buffer_unordered(RANGES_AT_ONCE));
        let mut all = Ok(());
        while let Some(one) = invoked.next().await {
            *handed_on += u64::from(one.is_ok());
            all = all.and(one);
        }
        all
    }

    /// Invokes this version of this function, without waiting for it: another one may write such an event differently.
    pub(super) async fn invoke(&self, event: &impl Serialize) -> Result<(), Error> {
        let event = serde_json::to_vec(event).map_err(Error::internal)?;
        let invoke = self.lambda.invoke().function_name(&self.function.name).qualifier(&self.function.version);
        let invoke = invoke.invocation_type(InvocationType::Event);
        let invoked = invoke.payload(Blob::new(event)).send().await;
        invoked.map(drop).map_err(|error| Error::Unavailable(error.into()))
    }
}

fn log_failure((delivered, all): (Delivered, Result<(), Error>)) -> Delivered {
    if let Err(error) = all {
        tracing::warn!(error = error.cause(), "fan-out incomplete");
    }
    delivered
}

/// The recipients on ranges, for as long as the fan-out of this invocation may take.
fn remaining<P>(
    ranges: impl IntoIterator<Item = (KeyRange, P)>,
    last_moment: Instant,
    request: RequestContext<'_>,
) -> Recipients
where
    P: Stream<Item = Result<Vec<Subscription>, Error>> + Send + Unpin + 'static,
{
    let begun = Instant::now();
    let until = request.deadline.checked_sub(HANDOFF_RESERVE).unwrap_or(begun).min(begun + FAN_OUT_BUDGET);
    let read_until = last_moment.max(begun + LAST_HANDOFF_RESERVE);
    Recipients::new(ranges, until, read_until, request.request_id)
}

//! Rate limits: every request of a known user counts, over WebSocket and HTTP alike, in the class that its row of the
//! catalogue names. Where users are not authenticated, their address counts as well.

use std::net::IpAddr;
use std::time::Duration;

use futures_util::future::join_all;
use tokio::time::timeout;

use crate::context::Context;
use crate::domain::{ConnectionId, Grant, Limit, Limited, Rate, UserId};
use crate::error::Error;
use crate::metrics::Metric;

/// For so long a request waits to be counted. Then it is let through.
const PATIENCE: Duration = Duration::from_millis(500);
/// How many users may share an address.
const USERS_OF_AN_ADDRESS: i64 = 10;

/// Notes who the caller is, and counts the request, once.
///
/// # Errors
/// `RATE_LIMITED`. Messages are not refused here: they may be repeats, which are answered. See [`Context::limited`].
pub async fn admit(ctx: &Context, user: &UserId) -> Result<(), Error> {
    if ctx.knows_user() {
        return Ok(());
    }
    ctx.note_user(user);
    match count(ctx, Some(user)).await {
        Some(limited) if ctx.limit == Some(Limit::Messages) => ctx.note_limited(limited),
        Some(limited) => return Err(limited.into()),
        None => {}
    }
    Ok(())
}

/// Counts a request whose caller need not say who they are.
///
/// # Errors
/// `RATE_LIMITED`.
pub(super) async fn admit_guest(ctx: &Context) -> Result<(), Error> {
    count(ctx, None).await.map_or(Ok(()), |limited| Err(limited.into()))
}

/// Counts a frame that cannot be read, or that fails before it is known who sent it.
///
/// # Errors
/// `RATE_LIMITED`.
pub async fn admit_unknown(ctx: &Context, connection: &ConnectionId) -> Result<(), Error> {
    let Some(limits) = ctx.config.limits.as_ref().filter(|_| !ctx.knows_user()) else { return Ok(()) };
    let key = format!("connection#{connection}#{}", Limit::Frames.name());
    let grant = take(ctx, &key, limits.rate(Limit::Frames), 1).await;
    let limited = Limited { limit: Limit::Frames, retry_after_ms: grant.retry_after_ms, granted: 0 };
    if grant.count == 0 { Err(limited.into()) } else { Ok(()) }
}

/// Counts a request on a connection that a limit has refused. Returns whether there have been so many that the
/// connection is to be closed.
pub async fn refuse(ctx: &Context, connection: &ConnectionId) -> bool {
    let key = format!("connection#{connection}#{}", Limit::Refusals.name());
    take(ctx, &key, Limit::Refusals.default_rate(), 1).await.count == 0
}

/// Counts in all classes that the request belongs to. Returns the one that refuses it for longest.
async fn count(ctx: &Context, user: Option<&UserId>) -> Option<Limited> {
    let (limits, class) = (ctx.config.limits.as_ref()?, ctx.limit?);
    let messages = ctx.messages();
    let classes = match class {
        Limit::Frames | Limit::Connections => vec![(class, 1)],
        class => vec![(class, messages), (Limit::Frames, 1)],
    };
    let address = ctx.source_ip.filter(|address| ctx.config.auth.is_open() && !address.is_loopback());
    let user = user.map(|user| (format!("user#{user}"), 1));
    let callers: Vec<_> = user.into_iter().chain(address.map(|ip| (network(ip), USERS_OF_AN_ADDRESS))).collect();
    let counts = classes.iter().flat_map(|&(class, wanted)| {
        callers.iter().map(move |(caller, factor)| async move {
            let key = format!("{caller}#{}", class.name());
            let grant = take(ctx, &key, limits.rate(class).times(*factor), wanted as u64).await;
            let granted = usize::try_from(grant.count).unwrap_or(wanted);
            // Without its frame no message is granted.
            let granted = if class == Limit::Frames && granted > 0 { messages } else { granted };
            Limited { limit: class, retry_after_ms: grant.retry_after_ms, granted }
        })
    });
    let counted = join_all(counts).await;
    let granted = counted.iter().map(|one| one.granted).min().unwrap_or(messages);
    let refusing = counted.into_iter().filter(|one| one.granted < messages);
    refusing.max_by_key(|one| one.retry_after_ms).map(|longest| Limited { granted, ..longest })
}

/// Takes from a limit. Grants everything while the table of limits fails: it must not stop the chat.
async fn take(ctx: &Context, key: &str, rate: Rate, wanted: u64) -> Grant {
    let failure = match timeout(PATIENCE, ctx.store.take(key, rate, wanted, ctx.now)).await {
        Ok(Ok(grant)) => return grant,
        Ok(Err(error)) => error.cause().unwrap_or_default(),
        Err(_) => "no answer in time".to_owned(),
    };
    tracing::warn!(error = failure, "failed to count a request");
    ctx.count(Metric::LimitsFailed, 1);
    Grant { count: wanted, arrival: 0, retry_after_ms: 0 }
}

/// The addresses that count as one: those of an IPv6 network of 64 bits belong to one customer.
fn network(address: IpAddr) -> String {
    match address.to_canonical() {
        IpAddr::V4(address) => format!("ip#{address}"),
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            format!("ip#{a:x}:{b:x}:{c:x}:{d:x}::/64")
        }
    }
}

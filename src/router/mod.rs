//! From an event to a handler and back: the only place that writes responses, and the log line of each invocation.

mod response;

use std::sync::Arc;

use serde_json::value::RawValue;
use tokio::time::Instant;

use crate::access::Access;
use crate::actions::{Action, HttpRoute, actions, http_routes};
use crate::context::{Context, Services, Trace};
use crate::delivery::Delivered;
use crate::domain::{ConnectionId, RoomId, UserId};
use crate::error::{BoxError, Error, chain};
use crate::event::{self, Event, HttpCredentials, HttpRequest, Invocation, UnknownEvent, WaitingClient};
use crate::handlers::{connection, history, inbox, invites, message, moderation, nearby, room, sweep, typing, upload};
use crate::log;
use crate::metrics::{Embedded, Metric};
use crate::wire::frames::{Answer, Failure, Frame};
use crate::wire::{ClientFrame, Fields, requests};

pub use response::Response;

/// The route in the log line of an event that cannot be read.
const UNKNOWN_ROUTE: &str = "unknown";

/// Handles an event.
///
/// # Errors
/// For an event that cannot be read, and for one that nobody waits for and that failed: Lambda retries it. A client's
/// mistake, or a failed dependency that a client waits for, is a response.
pub async fn handle(services: &Arc<Services>, event: &RawValue, deadline: Instant) -> Result<Response, BoxError> {
    let started = Instant::now();
    let invocation = match Invocation::decode(event) {
        Ok(invocation) => invocation,
        Err(unknown) => return refuse(services, unknown, started),
    };
    let ctx = Context::new(services, &invocation, deadline);
    let answered = log::about(invocation.request_id, async {
        let connection_id = ctx.connection.as_ref().map(ConnectionId::as_str);
        tracing::debug!(route = ctx.route, connection_id, "an invocation begins");
        let (response, outcome) = dispatch(&ctx, invocation.event).await;
        let status = outcome.as_ref().map_or_else(Error::status, |status| *status);
        let line = Line { route: ctx.route, request_id: &ctx.request_id, connection_id, trace: &ctx.trace() };
        leave_line(services, line, started, status, outcome.as_ref().err());
        match (response, outcome) {
            (Response::Done, Err(error)) => Err(error.into()),
            (response, _) => Ok(response),
        }
    });
    // Boxed once: the futures of the SDK nest deeper than the compiler follows by itself.
    Box::pin(answered).await
}

/// Answers an event that cannot be read, where somebody waits for an answer.
fn refuse(services: &Services, unknown: UnknownEvent, started: Instant) -> Result<Response, BoxError> {
    let Some(client) = unknown.client else {
        tracing::warn!(error = chain(&unknown), "unknown event");
        return Err(unknown.into());
    };
    let error = Error::internal(chain(&unknown));
    let request_id = unknown.request_id.as_str();
    let line = Line { route: UNKNOWN_ROUTE, request_id, connection_id: None, trace: &Trace::default() };
    leave_line(services, line, started, error.status(), Some(&error));
    Ok(match client {
        WaitingClient::Handshake => Response::websocket(error.status()),
        WaitingClient::Http => Response::http(error.status(), failure(&error, None, request_id).to_body()),
    })
}

/// Hands an event to its handler. Returns the response, and the status or the error that the log tells.
async fn dispatch(ctx: &Context, event: Event) -> (Response, Result<u16, Error>) {
    let done = |outcome: Result<(), Error>| (Response::Done, outcome.map(|()| 200));
    match event {
        Event::Connect(event) => connect(ctx, event).await,
        Event::Disconnect(id) => disconnect(ctx, &id).await,
        Event::Frame(frame) => answer_frame(ctx, frame).await,
        Event::Http(request) => answer_http(ctx, request).await,
        Event::ObjectsCreated(objects) => done(upload::created(ctx, objects).await),
        Event::Sweep => done(sweep::run(ctx).await),
        Event::FanOut(rest) => done(message::continue_fan_out(ctx, &rest).await),
    }
}

async fn connect(ctx: &Context, event: event::Connect) -> (Response, Result<u16, Error>) {
    match connection::open(ctx, event).await {
        Ok(Some(subprotocol)) => (Response::websocket(200).with_subprotocol(subprotocol), Ok(200)),
        Ok(None) => (Response::websocket(200), Ok(200)),
        Err(error) => (refusal(ctx, &error), Err(error)),
    }
}

async fn disconnect(ctx: &Context, id: &ConnectionId) -> (Response, Result<u16, Error>) {
    match connection::close(ctx, id).await {
        Ok(()) => (Response::websocket(200), Ok(200)),
        Err(error) => (refusal(ctx, &error), Err(error)),
    }
}

/// Matches an action of the catalogue to its handler.
macro_rules! dispatch_actions {
    ($(#[doc = $about:literal] $name:ident = $key:literal [$($alias:literal),*],
        $module:ident::$handler:ident($access:ident, $request:ident) -> $answer:ident, $limit:ident;)+) => {
        async fn act(
            ctx: &Context,
            origin: &ConnectionId,
            action: Action,
            fields: Fields,
            is_asked: bool,
        ) -> Result<Option<Frame>, Error> {
            match action {
                $(Action::$name => {
                    let request = fields.read::<requests::$request>()?;
                    let access = <permitted::$access as Access<_, _>>::resolve(ctx, origin, &request).await?;
                    let answer: answers::$answer = $module::$handler(ctx, access, request).await?;
                    Ok(answer.into_frame(is_asked))
                })+
            }
        }
    };
}
actions!(dispatch_actions);

/// Matches a route of the HTTP API to its handler.
macro_rules! dispatch_http_routes {
    ($(#[doc = $about:literal] $name:ident = $key:literal,
        $module:ident::$handler:ident($access:ident, $request:ident) -> $answer:ident, $status:literal, $limit:ident;)+
    ) => {
        async fn serve(
            ctx: &Context,
            origin: &HttpCredentials,
            route: HttpRoute,
            fields: Fields,
        ) -> Result<Option<Frame>, Error> {
            match route {
                $(HttpRoute::$name => {
                    let request = fields.read::<requests::$request>()?;
                    let access = <permitted::$access as Access<_, _>>::resolve(ctx, origin, &request).await?;
                    let answer: answers::$answer = $module::$handler(ctx, access, request).await?;
                    Ok(answer.into_frame(true))
                })+
            }
        }
    };
}
http_routes!(dispatch_http_routes);

/// The types of access that rows of the catalogue name.
mod permitted {
    pub use crate::access::*;
    pub use crate::store::Connection;
}

/// The answers that rows of the catalogue name.
use crate::wire::frames as answers;

async fn answer_frame(ctx: &Context, frame: event::Frame) -> (Response, Result<u16, Error>) {
    let event::Frame { connection, content: ClientFrame { action, request_id }, has_route_response } = frame;
    let named = action.as_ref().ok().map(|(action, _)| *action);
    let outcome = match action {
        Ok((action, fields)) => act(ctx, &connection, action, fields, request_id.is_some()).await,
        Err(error) => Err(error),
    };
    let format = ctx.trace().format;
    let text = match &outcome {
        Ok(frame) => frame
            .as_ref()
            .map(|frame| frame.to_answer_with(format, request_id.as_deref(), |text| with_links(ctx, text))),
        Err(error) => Some(failure(error, named, &ctx.request_id).to_answer(format, request_id.as_deref())),
    };
    let is_closed_after = matches!(outcome, Err(Error::Reconnect));
    let response = match text {
        // 204 where there is nothing to say: without a body, 200 may be heard as an empty frame.
        None => Response::websocket(204),
        Some(text) if has_route_response && !is_closed_after => Response::websocket(200).with_body(text),
        Some(text) => {
            ctx.delivery.post_text(&connection, text).await;
            if is_closed_after {
                ctx.delivery.close(&connection).await;
            }
            Response::websocket(204)
        }
    };
    (response, outcome.map(|_| 200))
}

async fn answer_http(ctx: &Context, request: HttpRequest) -> (Response, Result<u16, Error>) {
    let HttpRequest { route, credentials, fields } = request;
    let outcome = match fields {
        Ok(fields) => serve(ctx, &credentials, route, fields).await,
        Err(error) => Err(error),
    };
    match outcome {
        Ok(frame) => {
            let body = frame.as_ref().map_or_else(|| "{}".to_owned(), |frame| with_links(ctx, frame.to_body()));
            (Response::http(route.status(), body).with_location(frame.as_ref()), Ok(route.status()))
        }
        Err(error) => {
            let body = failure(&error, None, &ctx.request_id).to_body();
            (Response::http(error.status(), body), Err(error))
        }
    }
}

fn failure(error: &Error, action: Option<Action>, request_id: &str) -> Frame {
    Failure::new(error, action, request_id).into()
}

/// The response to a handshake that fails.
fn refusal(ctx: &Context, error: &Error) -> Response {
    Response::websocket(error.status()).with_body(failure(error, None, &ctx.request_id).to_body())
}

/// An answer with links to files, where the caller's format wants them.
fn with_links(ctx: &Context, answer: String) -> String {
    let trace = ctx.trace();
    match &trace.user {
        Some(user) if trace.format.wants_links() => ctx.links.personalise(&answer, user, ctx.now),
        _ => answer,
    }
}

/// What an invocation was about, for its line.
struct Line<'a> {
    route: &'static str,
    request_id: &'a str,
    connection_id: Option<&'a str>,
    trace: &'a Trace,
}

/// The one line that an invocation leaves: who, where, how it ended; never the content of a message.
fn leave_line(services: &Services, about: Line<'_>, started: Instant, status: u16, error: Option<&Error>) {
    let duration_ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
    let trace = about.trace;
    let Delivered { recipients, gone, handed_on } = trace.delivered;
    let mut counts = trace.counts;
    counts.add(Metric::Recipients, recipients);
    counts.add(Metric::ConnectionsGone, gone);
    counts.add(Metric::Failures, u64::from(status >= 500));
    counts.add(Metric::Duration, duration_ms);
    let at = log::now();
    log::write(&log::Invocation {
        timestamp: at.to_iso(),
        level: if status >= 500 { "ERROR" } else { "INFO" },
        message: "invocation",
        request_id: about.request_id,
        route: about.route,
        connection_id: about.connection_id,
        room_id: trace.room.as_ref().map(RoomId::as_str),
        user_id: trace.user.as_ref().map(UserId::as_str),
        status,
        code: error.map_or("OK", Error::code),
        field: error.and_then(Error::field),
        duration_ms,
        recipients,
        gone,
        handed_on,
        error: error.and_then(Error::cause),
        target: module_path!(),
        metrics: Embedded { namespace: &services.config.metrics_namespace, at, counts },
    });
}

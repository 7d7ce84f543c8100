//! From an event to a handler and back: the only place that writes responses, and the log line of each invocation.

mod line;
mod response;

use std::sync::Arc;

use serde_json::value::RawValue;
use tokio::time::Instant;

use crate::access::{self, Access, backend, limits};
use crate::actions::{Action, HttpRoute, Limit, actions, http_routes};
use crate::context::{Context, InvocationContext, Services, Trace};
use crate::domain::ConnectionId;
use crate::error::{BoxError, Error, chain};
use crate::event::{self, Event, HttpCredentials, HttpRequest, Invocation, UnknownEvent, WaitingClient};
use crate::handlers::{
    additions, admin, admin_rooms, blocks, change, closing, connection, erase, export, history, inbox, invites,
    message, moderation, nearby, room, search, settings, stream, sweep, typing, unread, upload,
};
use crate::log;
use crate::wire::frames::{self, Answer, Failure, Frame};
use crate::wire::{ClientFrame, Fields, requests};

use line::{Line, write_line};
use response::BatchResponse;
pub use response::Response;

/// The route in the log line of an event that cannot be read.
const UNKNOWN_ROUTE: &str = "unknown";

/// Handles an event.
///
/// # Errors
/// An event that cannot be read, or one that failed and that no client waits for: Lambda retries it. If a client waits,
/// every failure is a response.
pub async fn handle(
    services: &Arc<Services>,
    event: &RawValue,
    lambda: InvocationContext,
) -> Result<Response, BoxError> {
    let started = Instant::now();
    let invocation = match Invocation::decode(event) {
        Ok(invocation) => invocation,
        Err(unknown) => return refuse(services, unknown, &lambda.request_id, started),
    };
    let ctx = Context::new(services, &invocation, lambda);
    let answered = log::about(invocation.request_id, async {
        let connection_id = ctx.connection.as_ref().map(ConnectionId::as_str);
        tracing::debug!(route = ctx.route, connection_id, "an invocation begins");
        let (response, outcome) = dispatch(&ctx, invocation.event).await;
        let status = outcome.as_ref().map_or_else(Error::status, |status| *status);
        let line = Line {
            route: ctx.route,
            request_id: &ctx.request_id,
            lambda_request_id: &ctx.lambda_request_id,
            connection_id,
            source_ip: ctx.source_ip,
            is_send: ctx.limit == Some(Limit::Messages),
            trace: &ctx.trace(),
        };
        write_line(services, line, started, status, outcome.as_ref().err());
        match (response, outcome) {
            (Response::Done, Err(error)) => Err(error.into()),
            (response, _) => Ok(response),
        }
    });
    // Boxed once: the futures of the SDK nest deeper than the compiler follows by itself.
    Box::pin(answered).await
}

/// Answers an event that cannot be read, if a client waits for an answer.
fn refuse(
    services: &Services,
    unknown: UnknownEvent,
    lambda_request_id: &str,
    started: Instant,
) -> Result<Response, BoxError> {
    let Some(client) = unknown.client else {
        tracing::warn!(error = chain(&unknown), "unknown event");
        return Err(unknown.into());
    };
    let error = Error::internal(chain(&unknown));
    let request_id = unknown.request_id.as_str();
    let line = Line {
        route: UNKNOWN_ROUTE,
        request_id,
        lambda_request_id,
        connection_id: None,
        source_ip: None,
        is_send: false,
        trace: &Trace::default(),
    };
    write_line(services, line, started, error.status(), Some(&error));
    Ok(match client {
        WaitingClient::Handshake => Response::websocket(error.status()),
        WaitingClient::Http => Response::http(error.status(), failure(&error, None, request_id).to_body()),
    })
}

/// Hands an event to its handler. Returns the response, and the status or the error for the log line.
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
        Event::Cleanup(cleanup) => done(connection::clean_up(ctx, &cleanup).await),
        Event::Stream(records) => match stream::publish(ctx, records).await {
            Ok(()) => (Response::Batch(BatchResponse::default()), Ok(200)),
            Err(stream::Unfinished { from, error }) => (Response::Batch(BatchResponse::retry_from(from)), Err(error)),
        },
        Event::Erase(step) => done(erase::go_on(ctx, &step.user_id).await),
        Event::Export(step) => done(export::go_on(ctx, &step.user_id, &step.export_id).await),
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

/// Declares the function that matches a row of a catalogue to its handler.
macro_rules! dispatch {
    (($function:ident, $origin:ident, $catalogue:ident)
        $(#[doc = $about:literal] $name:ident = $key:literal $([$($alias:literal),*])?,
        $module:ident::$handler:ident($access:ident, $request:ident) -> $answer:ident $(, $status:literal)?,
        $limit:ident;)+) => {
        async fn $function(
            ctx: &Context,
            origin: &$origin,
            row: $catalogue,
            fields: Fields,
            is_asked: bool,
        ) -> Result<Option<Frame>, Error> {
            match row {
                $($catalogue::$name => {
                    let request = fields.read::<requests::$request>()?;
                    ctx.note_messages(requests::Request::messages(&request));
                    let access = <access::$access as Access<_, _>>::resolve(ctx, origin, &request).await?;
                    let answer: frames::$answer = $module::$handler(ctx, access, request).await?;
                    Ok(answer.into_frame(is_asked))
                })+
            }
        }
    };
}
actions!(dispatch(act, ConnectionId, Action));
http_routes!(dispatch(serve, HttpCredentials, HttpRoute));

async fn answer_frame(ctx: &Context, frame: event::Frame) -> (Response, Result<u16, Error>) {
    let event::Frame { connection, content: ClientFrame { action, request_id }, has_route_response } = frame;
    let named = action.as_ref().ok().map(|(action, _)| *action);
    let outcome = match action {
        Ok((action, fields)) => act(ctx, &connection, action, fields, request_id.is_some()).await,
        Err(error) => Err(error),
    };
    let (outcome, is_closed_after) = limited(ctx, &connection, outcome).await;
    let format = ctx.trace().format;
    let text = match &outcome {
        // Nobody waits for the answer to a typing indicator.
        Err(Error::RateLimited { .. }) if ctx.limit == Some(Limit::Typing) => None,
        Ok(frame) => frame
            .as_ref()
            .map(|frame| frame.to_answer_with(format, request_id.as_deref(), |text| with_links(ctx, text))),
        Err(error) => Some(failure(error, named, &ctx.request_id).to_answer(format, request_id.as_deref())),
    };
    let response = match text {
        // 204 without an answer: a client may receive 200 without a body as an empty frame.
        None => Response::websocket(204),
        Some(text) if has_route_response && !is_closed_after => Response::websocket(200).with_body(text),
        Some(text) => {
            ctx.delivered(ctx.delivery.post_text(&connection, text).await);
            if is_closed_after {
                ctx.delivery.close(&connection).await;
            }
            Response::websocket(204)
        }
    };
    (response, outcome.map(|_| 200))
}

/// The outcome of a frame: one whose sender is not known counts as well. Returns also whether the connection is closed
/// after the answer.
async fn limited(
    ctx: &Context,
    connection: &ConnectionId,
    outcome: Result<Option<Frame>, Error>,
) -> (Result<Option<Frame>, Error>, bool) {
    let outcome = match outcome {
        Err(error) => limits::admit_unknown(ctx, connection).await.and(Err(error)),
        answered => answered,
    };
    let is_closed_after = match &outcome {
        Err(Error::Reconnect | Error::SessionExpired) => true,
        // Typing too often is no refusal, too many frames is one.
        Err(error) => match error.scope() {
            Some(scope) if scope != Limit::Typing.name() => limits::refuse(ctx, connection).await,
            _ => false,
        },
        Ok(_) => false,
    };
    (outcome, is_closed_after)
}

async fn answer_http(ctx: &Context, request: HttpRequest) -> (Response, Result<u16, Error>) {
    let route = request.route;
    match serve_once(ctx, request).await {
        Ok((body, frame)) => (Response::http(route.status(), body).with_location(frame.as_ref()), Ok(route.status())),
        Err(error) => {
            let body = failure(&error, None, &ctx.request_id).to_body();
            (Response::http(error.status(), body).with_retry_after(error.retry_after_ms()), Err(error))
        }
    }
}

/// The body of the answer, and the frame that it is. The repeat of a backend's request gets the body of the first one.
async fn serve_once(ctx: &Context, request: HttpRequest) -> Result<(String, Option<Frame>), Error> {
    let HttpRequest { route, mut credentials, fields } = request;
    let fields = fields?;
    if route.is_for_backends()
        && let Some(body) = backend::begin(ctx, &mut credentials).await?
    {
        return Ok((body, None));
    }
    let frame = serve(ctx, &credentials, route, fields, true).await?;
    let body = frame.as_ref().map_or_else(|| "{}".to_owned(), |frame| with_links(ctx, frame.to_body()));
    backend::finish(ctx, &credentials, &body).await;
    Ok((body, frame))
}

fn failure(error: &Error, action: Option<Action>, request_id: &str) -> Frame {
    Failure::new(error, action, request_id).into()
}

/// The response to a handshake that fails.
fn refusal(ctx: &Context, error: &Error) -> Response {
    Response::websocket(error.status()).with_body(failure(error, None, &ctx.request_id).to_body())
}

/// An answer with links to files, if the caller's format needs them.
fn with_links(ctx: &Context, answer: String) -> String {
    let trace = ctx.trace();
    match &trace.user {
        Some(user) if ctx.links.are_in(trace.format) => ctx.links.personalise(&answer, user, ctx.now),
        _ => answer,
    }
}

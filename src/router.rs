//! From an event to a handler and back: the only place that writes responses, and the log line of each invocation.

use aws_lambda_events::apigw::{ApiGatewayProxyResponse, ApiGatewayV2httpResponse};
use aws_lambda_events::encodings::Body;
use http::HeaderValue;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, LOCATION, SEC_WEBSOCKET_PROTOCOL};
use serde::Serialize;
use serde_json::value::RawValue;
use tokio::time::Instant;

use crate::app::App;
use crate::delivery::Delivered;
use crate::domain::{ConnectionId, RoomId, UserId};
use crate::error::{BoxError, Error, chain};
use crate::event::{Call, Payload, Trace, UnknownEvent, Waiting};
use crate::handlers::{connection, history, inbox, invites, message, moderation, places, room, sweep, typing, upload};
use crate::log::{self, Invocation};
use crate::metrics::{Embedded, Metric};
use crate::routes::Route;
use crate::wire::Frame;

/// What stands for the route in the line of an event that cannot be read.
const UNKNOWN_ROUTE: &str = "unknown";

/// What a handler has to say.
enum Reply {
    Nothing,
    Frame(Box<Frame>),
    /// The handshake holds; with the subprotocol that is echoed.
    Open {
        subprotocol: Option<&'static str>,
    },
    Healthy,
}

impl Reply {
    fn frame(frame: Frame) -> Self {
        Self::Frame(Box::new(frame))
    }

    fn frame_if_any(frame: Option<Frame>) -> Self {
        frame.map_or(Self::Nothing, Self::frame)
    }
}

/// What API Gateway gets back.
#[derive(Serialize)]
#[serde(untagged)]
pub enum Response {
    WebSocket(Box<ApiGatewayProxyResponse>),
    Http(Box<ApiGatewayV2httpResponse>),
    /// To a source that waits for no answer.
    Done,
}

/// # Errors
/// For an event that no source of ours sends, and for one that nobody waits for and that failed: Lambda sends it again.
/// Whatever a client does wrong, or a dependency that a client waits for, is a response.
pub async fn handle(app: &App, event: &RawValue, deadline: Instant) -> Result<Response, BoxError> {
    let started = Instant::now();
    let mut call = match Call::decode(event, deadline) {
        Ok(call) => call,
        Err(unknown) => return refuse(app, unknown, started),
    };
    let answered = log::about(call.request_id.clone(), async {
        let connection_id = call.connection.as_ref().map(ConnectionId::as_str);
        tracing::debug!(route = call.route.key(), connection_id, "an invocation begins");
        let outcome = dispatch(app, &mut call).await;
        let error = outcome.as_ref().err();
        let status = error.map_or(status(call.route), Error::status);
        leave_line(app, (&call).into(), started, status, error);
        match outcome {
            Err(error) if call.route.is_background() => Err(error.into()),
            outcome => Ok(respond(app, &call, outcome).await),
        }
    });
    // Boxed once: the futures of the SDK nest deeper than the compiler follows by itself.
    Box::pin(answered).await
}

/// Answers an event that cannot be read, where somebody waits for an answer.
fn refuse(app: &App, unknown: UnknownEvent, started: Instant) -> Result<Response, BoxError> {
    let Some(waiting) = unknown.waiting else {
        tracing::warn!(error = chain(&unknown), "unknown event");
        return Err(unknown.into());
    };
    let error = Error::internal(chain(&unknown));
    let (trace, request_id) = (Trace::default(), unknown.request_id.as_str());
    leave_line(
        app,
        Line { route: UNKNOWN_ROUTE, request_id, connection: None, trace: &trace },
        started,
        error.status(),
        Some(&error),
    );
    Ok(match waiting {
        Waiting::Handshake => Response::websocket(error.status().into()),
        Waiting::Request => Response::http(error.status(), Frame::error(&error, Route::Default, request_id).to_body()),
    })
}

async fn dispatch(app: &App, call: &mut Call) -> Result<Reply, Error> {
    match call.route {
        Route::Connect => connection::open(app, call).await.map(|subprotocol| Reply::Open { subprotocol }),
        Route::Disconnect => connection::close(app, call).await.map(|()| Reply::Nothing),
        Route::Default => connection::not_understood(call).map(Reply::frame),
        Route::Ping => connection::ping(app, call).await.map(Reply::frame),
        Route::Hello => connection::hello(app, call).await.map(Reply::frame),
        Route::GetMe => connection::me(app, call).map(Reply::frame),
        Route::CreateRoom => room::create(app, call).await.map(Reply::frame),
        Route::JoinRoom | Route::PostJoin => room::join(app, call).await.map(Reply::frame),
        Route::LeaveRoom | Route::PostLeave => room::leave(app, call).await.map(Reply::frame),
        Route::RoomInfo | Route::GetRoom => room::info(app, call).await.map(Reply::frame),
        Route::CloseRoom | Route::PostClose => room::close(app, call).await.map(Reply::frame),
        Route::RemoveMember => moderation::remove(app, call).await.map(Reply::frame),
        Route::BanMember => moderation::ban(app, call).await.map(Reply::frame),
        Route::UnbanMember => moderation::unban(app, call).await.map(Reply::frame),
        Route::SetRole => moderation::set_role(app, call).await.map(Reply::frame),
        Route::SendMessage => message::send(app, call).await.map(Reply::frame_if_any),
        Route::BroadcastMessage => message::broadcast(app, call).await.map(Reply::frame_if_any),
        Route::TypingIndicator => typing::start(app, call).await.map(|()| Reply::Nothing),
        Route::HandleFileUpload => upload::announce(app, call).await.map(Reply::frame),
        Route::GetFile | Route::GetFileUrl => upload::fetch(app, call).await.map(Reply::frame),
        Route::GetMessages | Route::GetRoomMessages => history::page(app, call).await.map(Reply::frame),
        Route::Resume => history::resume(app, call).await.map(Reply::frame),
        Route::MarkRead => inbox::mark_read(app, call).await.map(Reply::frame),
        Route::ListRooms => inbox::list(app, call).await.map(Reply::frame),
        Route::Health => Ok(Reply::Healthy),
        Route::PostRoom => places::create(app, call).await.map(Reply::frame),
        Route::GetRooms => places::search(app, call).await.map(Reply::frame),
        Route::PostInvite => invites::make(app, call).await.map(Reply::frame),
        Route::DeleteInvite => invites::revoke(app, call).await.map(Reply::frame),
        Route::ObjectCreated => upload::created(app, call).await.map(|()| Reply::Nothing),
        Route::Sweep => sweep::run(app, call).await.map(|()| Reply::Nothing),
        Route::FanOut => message::go_on(app, call).await.map(|()| Reply::Nothing),
    }
}

async fn respond(app: &App, call: &Call, outcome: Result<Reply, Error>) -> Response {
    match &call.payload {
        Payload::Frame { request_id, has_route_response, .. } => {
            let frame = match &outcome {
                Ok(Reply::Frame(frame)) => {
                    let finish = |text| with_links(app, call, text);
                    Some(frame.to_answer_with(call.format, request_id.as_deref(), finish))
                }
                Ok(_) => None,
                Err(error) => {
                    let frame = Frame::error(error, call.route, &call.request_id);
                    Some(frame.to_answer(call.format, request_id.as_deref()))
                }
            };
            let reconnect = matches!(outcome, Err(Error::Reconnect));
            answer(app, call, frame, *has_route_response, reconnect).await
        }
        Payload::Request { .. } => match outcome {
            Ok(Reply::Frame(frame)) => {
                let body = with_links(app, call, frame.to_body());
                Response::http(status(call.route), body).with_location(&frame)
            }
            Ok(_) => Response::http(200, r#"{"status":"ok"}"#.to_owned()),
            Err(error) => Response::http(error.status(), Frame::error(&error, call.route, &call.request_id).to_body()),
        },
        _ if call.route.is_background() => Response::Done,
        _ => match outcome {
            Ok(Reply::Open { subprotocol: Some(subprotocol) }) => {
                Response::websocket(200).with_subprotocol(subprotocol)
            }
            Ok(_) => Response::websocket(200),
            Err(error) => {
                let body = Frame::error(&error, call.route, &call.request_id).to_body();
                Response::websocket(error.status().into()).with_body(body)
            }
        },
    }
}

/// An answer as the caller can use it: with links to files where its format wants them.
fn with_links(app: &App, call: &Call, answer: String) -> String {
    match &call.trace.user {
        Some(user) if call.format.wants_links() => app.links.personalise(&answer, user, call.at),
        _ => answer,
    }
}

/// The status when all is well.
fn status(route: Route) -> u16 {
    match route {
        Route::PostRoom | Route::PostInvite => 201,
        Route::GetFileUrl => 302,
        _ => 200,
    }
}

/// An answer travels on the route response. Where there is none, and where the connection is closed behind the
/// answer, it is posted.
async fn answer(app: &App, call: &Call, frame: Option<String>, has_route_response: bool, close: bool) -> Response {
    // 204 where the route response has nothing to say: without a body, 200 may be heard as an empty frame.
    let response = Response::websocket(204);
    let (Some(frame), Some(connection)) = (frame, &call.connection) else { return response };
    if has_route_response && !close {
        return Response::websocket(200).with_body(frame);
    }
    app.delivery.tell(connection, frame).await;
    if close {
        app.delivery.close(connection).await;
    }
    response
}

/// What an invocation was about, for its line.
struct Line<'a> {
    route: &'static str,
    request_id: &'a str,
    connection: Option<&'a ConnectionId>,
    trace: &'a Trace,
}

impl<'a> From<&'a Call> for Line<'a> {
    fn from(call: &'a Call) -> Self {
        let connection = call.connection.as_ref();
        Self { route: call.route.key(), request_id: &call.request_id, connection, trace: &call.trace }
    }
}

/// The one line that an invocation leaves: who, where, how it ended; never what was said.
fn leave_line(app: &App, about: Line<'_>, started: Instant, status: u16, error: Option<&Error>) {
    let duration_ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
    let trace = about.trace;
    let Delivered { recipients, gone, handed_on } = trace.delivered;
    let mut counts = trace.counts;
    counts.add(Metric::Recipients, recipients);
    counts.add(Metric::ConnectionsGone, gone);
    counts.add(Metric::Failures, u64::from(status >= 500));
    counts.add(Metric::Duration, duration_ms);
    let at = log::now();
    log::write(&Invocation {
        timestamp: at.to_iso(),
        level: if status >= 500 { "ERROR" } else { "INFO" },
        message: "invocation",
        request_id: about.request_id,
        route: about.route,
        connection_id: about.connection.map(ConnectionId::as_str),
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
        metrics: Embedded { namespace: &app.config.metrics_namespace, at, counts },
    });
}

impl Response {
    fn websocket(status: i64) -> Self {
        let mut response = ApiGatewayProxyResponse::default();
        response.status_code = status;
        Self::WebSocket(Box::new(response))
    }

    fn http(status: u16, json: String) -> Self {
        let mut response = ApiGatewayV2httpResponse::default();
        response.status_code = status.into();
        response.headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        response.body = Some(Body::Text(json));
        Self::Http(Box::new(response))
    }

    /// Sends the client on, if the frame tells where a file is. That is good for a minute, and for nobody to keep.
    fn with_location(mut self, frame: &Frame) -> Self {
        if let (Self::Http(response), Frame::File { file, .. }) = (&mut self, frame)
            && let Ok(url) = HeaderValue::from_str(&file.file_url)
        {
            response.headers.insert(LOCATION, url);
            response.headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        }
        self
    }

    fn with_body(mut self, json: String) -> Self {
        if let Self::WebSocket(response) = &mut self {
            response.body = Some(Body::Text(json));
        }
        self
    }

    fn with_subprotocol(mut self, subprotocol: &'static str) -> Self {
        if let Self::WebSocket(response) = &mut self {
            response.headers.insert(SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(subprotocol));
        }
        self
    }
}

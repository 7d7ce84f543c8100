//! What AWS sends, in one form.

mod decode;

use std::net::IpAddr;

use http::HeaderMap;

use crate::actions::{self, HttpRoute, Limit};
use crate::delivery::{Cleanup, Continuation, ErasureStep, ExportStep};
use crate::domain::{ConnectionId, ObjectKey, Timestamp, UserId};
use crate::error::{BoxError, Error};
use crate::store::StreamRecord;
use crate::wire::{ClientFrame, Fields};

/// One invocation: what happened, and when.
pub struct Invocation {
    /// API Gateway's id for the request, or that of another source.
    pub request_id: String,
    /// The event's own time; the code asks no other clock what time it is.
    pub at: Timestamp,
    /// The address of the client, if it is one's.
    pub source_ip: Option<IpAddr>,
    pub event: Event,
}

/// What happened.
pub enum Event {
    /// A client opens a WebSocket.
    Connect(Connect),
    /// A WebSocket has closed.
    Disconnect(ConnectionId),
    /// A client sent a text frame.
    Frame(Frame),
    /// A client called the HTTP API.
    Http(HttpRequest),
    /// Objects were created in a bucket.
    ObjectsCreated(Vec<NewObject>),
    /// A run of the schedule.
    Sweep,
    /// The continuation of a fan-out that another invocation began.
    FanOut(Box<Continuation>),
    /// The cleanup of stale connections that another invocation found.
    Cleanup(Cleanup),
    /// Rows were written, in the order of the stream of their table.
    Stream(Vec<StreamRecord>),
    /// The next step of the erasure of a user.
    Erase(ErasureStep),
    /// The next step of an export of a user.
    Export(ExportStep),
}

/// The handshake of a WebSocket.
pub struct Connect {
    pub connection: ConnectionId,
    pub headers: HeaderMap,
    pub query: Vec<(String, String)>,
}

/// A text frame of a client.
pub struct Frame {
    pub connection: ConnectionId,
    pub content: ClientFrame,
    /// Whether API Gateway returns the response body to the client.
    pub has_route_response: bool,
}

/// A request to the HTTP API.
pub struct HttpRequest {
    pub route: HttpRoute,
    pub credentials: HttpCredentials,
    /// The fields, or what is wrong with them.
    pub fields: Result<Fields, Error>,
}

/// Who calls the HTTP API, as far as the request tells.
pub struct HttpCredentials {
    pub headers: HeaderMap,
    /// The `userId` of the query or the body.
    pub user: Option<UserId>,
    /// Of a backend's request: API Gateway has verified its signature.
    pub signed: Option<Signed>,
}

/// A request that an IAM identity has signed.
pub struct Signed {
    /// The ARN of the identity.
    pub arn: String,
    /// The header `Idempotency-Key`.
    pub key: Option<String>,
    /// Whether it needs one: a `POST` does.
    pub needs_key: bool,
    /// Of the route, the path, the query and the body.
    pub digest: String,
    /// The room and the user of the path.
    pub room: Option<String>,
    pub user: Option<String>,
    /// When it was made first, once that is known.
    pub made_at: Option<Timestamp>,
}

/// An object that was created in a bucket.
pub struct NewObject {
    pub bucket: String,
    pub key: ObjectKey,
}

impl Event {
    /// The route, as logs and metrics name it.
    pub fn route(&self) -> &'static str {
        match self {
            Self::Connect(_) => actions::CONNECT,
            Self::Disconnect(_) => actions::DISCONNECT,
            Self::Frame(frame) => frame.content.action.as_ref().map_or(actions::DEFAULT, |(action, _)| action.key()),
            Self::Http(request) => request.route.key(),
            Self::ObjectsCreated(_) => actions::OBJECT_CREATED,
            Self::Sweep => actions::SWEEP,
            Self::FanOut(_) => actions::FAN_OUT,
            Self::Cleanup(_) => actions::CLEANUP,
            Self::Stream(_) => actions::STREAM,
            Self::Erase(_) => actions::ERASE,
            Self::Export(_) => actions::EXPORT,
        }
    }

    /// The class of its rate limit, if a client sent it.
    pub fn limit(&self) -> Option<Limit> {
        match self {
            Self::Connect(_) => Some(Limit::Connections),
            Self::Frame(frame) => {
                Some(frame.content.action.as_ref().map_or(Limit::Frames, |(action, _)| action.limit()))
            }
            Self::Http(request) => Some(request.route.limit()),
            _ => None,
        }
    }

    /// The connection that the event is about.
    pub fn connection(&self) -> Option<&ConnectionId> {
        match self {
            Self::Connect(connect) => Some(&connect.connection),
            Self::Disconnect(connection) => Some(connection),
            Self::Frame(frame) => Some(&frame.connection),
            _ => None,
        }
    }
}

/// The event cannot be read: a mistake in the deployment, not of a client.
#[derive(Debug, thiserror::Error)]
#[error("not an event of the WebSocket API, the HTTP API, the bucket, the schedule, a stream or the function itself")]
pub struct UnknownEvent {
    #[source]
    cause: BoxError,
    /// API Gateway's id for the request, where there is one.
    pub request_id: String,
    /// Who waits for an answer.
    pub client: Option<WaitingClient>,
}

/// The client that waits for an answer to an event that cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WaitingClient {
    Handshake,
    Http,
}

#[cfg(test)]
mod tests {
    use serde_json::value::RawValue;

    use super::*;

    #[test]
    fn errors_of_unreadable_events_contain_none_of_their_content() {
        let event = r#"{"source":"switchboard.fan-out","requestId":"r1","at":0,"part":"a secret"}"#;
        let event = RawValue::from_string(event.to_owned()).unwrap();
        let unknown = Invocation::decode(&event).err().expect("it is understood");
        let logged = format!("{unknown:?} {}", crate::error::chain(&unknown));
        assert!(logged.contains("Data error at line 1") && !logged.contains("secret"), "{logged}");
    }

    #[test]
    fn unreadable_events_name_the_waiting_client() {
        let http = r#""http":{"method":"GET","path":"/x","protocol":"HTTP/1.1","sourceIp":"::1","userAgent":""}"#;
        for (context, client) in [
            (format!(r#"{http},"routeKey":"GET /nowhere""#), Some(WaitingClient::Http)),
            (format!(r#"{http},"routeKey":7"#), Some(WaitingClient::Http)),
            (r#""eventType":"CONNECT""#.to_owned(), Some(WaitingClient::Handshake)),
            (r#""eventType":"OTHER""#.to_owned(), None),
        ] {
            let event = format!(r#"{{"headers":{{}},"requestContext":{{"requestId":"r1",{context}}}}}"#);
            let event = RawValue::from_string(event).unwrap();
            let unknown = Invocation::decode(&event).err().expect("it is understood");
            assert_eq!((unknown.client, unknown.request_id.as_str()), (client, "r1"), "{context}");
        }
    }

    #[test]
    fn records_of_other_services_are_not_taken_for_objects() {
        for source in [
            r#""eventSource":"aws:sqs","body":"{}""#,
            r#""EventSource":"aws:sns","Sns":{}"#,
            r#""eventSource":"aws:kinesis","kinesis":{}"#,
            r#""eventSource":"aws:dynamodb","dynamodb":{}"#,
            r#""other":1"#,
        ] {
            let event = RawValue::from_string(format!(r#"{{"Records":[{{{source}}}]}}"#)).unwrap();
            assert!(Invocation::decode(&event).is_err(), "{source}");
        }
    }
}

//! What AWS sends, decoded into one form.

use aws_lambda_events::apigw::{ApiGatewayV2httpRequest, ApiGatewayWebsocketProxyRequest};
use aws_lambda_events::query_map::QueryMap;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use http::HeaderMap;
use http::header::AUTHORIZATION;
use percent_encoding::percent_decode_str;
use serde::Deserialize;
use serde_json::value::RawValue;
use tokio::time::Instant;

use crate::config::Auth;
use crate::delivery::{Continuation, Delivered, Occasion};
use crate::domain::{ConnectionId, Format, ObjectKey, RoomId, Timestamp, UserId};
use crate::error::{BoxError, Error};
use crate::metrics::{Counts, Metric};
use crate::routes::Route;
use crate::wire::Fields;

/// One invocation: what is asked, by whom, when. What is found out on the way stands here too, for the log.
pub struct Call {
    pub route: Route,
    /// API Gateway's id for the request.
    pub request_id: String,
    /// The event's own time; the code asks no other clock what time it is.
    pub at: Timestamp,
    /// When the function has to have answered.
    pub deadline: Instant,
    pub connection: Option<ConnectionId>,
    pub payload: Payload,
    /// The format of the connection that asks, as far as its row has been read: before that, nothing is answered that
    /// differs.
    pub format: Format,
    pub trace: Trace,
}

pub enum Payload {
    /// A client opens a connection.
    Handshake {
        headers: HeaderMap,
        query: QueryMap,
    },
    /// A client's frame: its fields, or what is wrong with it.
    Frame {
        fields: Result<Fields, Error>,
        /// The client's own id for the frame, that the answer repeats.
        request_id: Option<String>,
        /// Whether API Gateway takes the answer back to the client by itself.
        has_route_response: bool,
    },
    /// A request to the HTTP API.
    Request {
        headers: HeaderMap,
        /// Who the client says it is.
        user: Option<UserId>,
        /// Its fields, or what is wrong with it.
        fields: Result<Fields, Error>,
    },
    /// Objects that have come into a bucket.
    Objects(Vec<NewObject>),
    /// A part of a fan-out that another invocation had no time for.
    Rest(Box<Continuation>),
    Empty,
}

/// An object that has come into a bucket.
pub struct NewObject {
    pub bucket: String,
    pub key: ObjectKey,
}

/// What the log tells of an invocation besides its outcome.
#[derive(Debug, Default)]
pub struct Trace {
    pub room: Option<RoomId>,
    pub user: Option<UserId>,
    pub delivered: Delivered,
    pub counts: Counts,
}

impl Trace {
    pub fn count(&mut self, metric: Metric, more: u64) {
        self.counts.add(metric, more);
    }
}

/// The event cannot be read: a mistake in the deployment, not of a client.
#[derive(Debug, thiserror::Error)]
#[error("this is no event of the WebSocket API, the HTTP API, the bucket, the schedule or the function itself")]
pub struct UnknownEvent {
    #[source]
    cause: BoxError,
    /// API Gateway's id for the request, where there is one.
    pub request_id: String,
    pub waiting: Option<Waiting>,
}

/// Who waits for an answer to an event that was not understood.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Waiting {
    Handshake,
    Request,
}

/// What tells the kinds of events apart.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Envelope<'a> {
    #[serde(borrow)]
    request_context: Option<EnvelopeContext<'a>>,
    source: Option<&'a str>,
    #[serde(borrow, rename = "Records")]
    records: Option<&'a RawValue>,
    #[serde(rename = "Event")]
    event: Option<&'a str>,
}

/// What EventBridge sends by a schedule.
#[derive(Deserialize)]
struct Scheduled {
    id: String,
    time: String,
}

/// What S3 sends of a bucket.
#[derive(Deserialize)]
struct Bucketful {
    #[serde(rename = "Records")]
    records: Vec<ObjectRecord>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ObjectRecord {
    event_name: String,
    event_time: String,
    s3: ObjectContext,
    response_elements: Option<ResponseElements>,
}

#[derive(Deserialize)]
struct ObjectContext {
    bucket: BucketNamed,
    object: ObjectNamed,
}

#[derive(Deserialize)]
struct BucketNamed {
    name: String,
}

#[derive(Deserialize)]
struct ObjectNamed {
    /// Form-encoded.
    key: String,
}

#[derive(Deserialize)]
struct ResponseElements {
    #[serde(rename = "x-amz-request-id")]
    request_id: Option<String>,
}

/// What the names of events begin with that tell of new objects.
const CREATED: &str = "ObjectCreated:";

/// What S3 sends when it is told whom to send to.
const S3_TEST: &str = "s3:TestEvent";

/// Where EventBridge's schedules say that they come from: its rules, and its scheduler.
const SCHEDULES: [&str; 2] = ["aws.events", "aws.scheduler"];

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct EnvelopeContext<'a> {
    #[serde(borrow)]
    http: Option<&'a RawValue>,
    event_type: Option<&'a str>,
    request_id: Option<&'a str>,
}

/// # Errors
/// Where and how it is wrong. Not what is there, as the library says it: a message may be in the event, and errors are
/// logged.
fn parsed<'a, T: Deserialize<'a>>(event: &'a RawValue) -> Result<T, BoxError> {
    serde_json::from_str(event.get()).map_err(|error| {
        format!("{:?} error at line {}, column {}", error.classify(), error.line(), error.column()).into()
    })
}

impl Call {
    /// # Errors
    /// An event of another source, or one without the parts that its source always sends.
    pub fn decode(event: &RawValue, deadline: Instant) -> Result<Self, UnknownEvent> {
        let (mut waiting, mut request_id) = (None, String::new());
        let decoded = parsed::<Envelope<'_>>(event).and_then(|envelope| {
            let Some(context) = envelope.request_context else {
                return match envelope.source {
                    _ if envelope.records.is_some() => Self::of_bucket(parsed(event)?, deadline),
                    _ if envelope.event == Some(S3_TEST) => {
                        Self::of_bucket(Bucketful { records: Vec::new() }, deadline)
                    }
                    Some(source) if SCHEDULES.contains(&source) => Self::of_schedule(parsed(event)?, deadline),
                    Some(Continuation::SOURCE) => Ok(Self::of_rest(parsed(event)?, deadline)),
                    _ => Err("an unknown source".into()),
                };
            };
            request_id = context.request_id.unwrap_or_default().to_owned();
            if context.http.is_some() {
                waiting = Some(Waiting::Request);
                Self::of_http(parsed(event)?, deadline)
            } else {
                waiting = (context.event_type == Some("CONNECT")).then_some(Waiting::Handshake);
                Self::of_websocket(parsed(event)?, deadline)
            }
        });
        decoded.map_err(|cause| UnknownEvent { cause, request_id, waiting })
    }

    fn of_bucket(event: Bucketful, deadline: Instant) -> Result<Self, BoxError> {
        let first = event.records.first();
        let at = first.and_then(|record| Timestamp::from_rfc3339(&record.event_time));
        let request_id = first.and_then(|record| record.response_elements.as_ref()?.request_id.clone());
        let object = |record: ObjectRecord| {
            // As in a form: a plus is a space, and the rest is percent-encoded.
            let spaced = record.s3.object.key.replace('+', " ");
            let key = ObjectKey::of(percent_decode_str(&spaced).decode_utf8_lossy().into_owned());
            NewObject { bucket: record.s3.bucket.name, key }
        };
        if first.is_some() && at.is_none() {
            return Err("the object's time is none".into());
        }
        let created = event.records.into_iter().filter(|record| record.event_name.starts_with(CREATED));
        Ok(Self {
            route: Route::ObjectCreated,
            request_id: request_id.unwrap_or_default(),
            at: at.unwrap_or(Timestamp::from_millis(0)),
            deadline,
            connection: None,
            payload: Payload::Objects(created.map(object).collect()),
            format: Format::default(),
            trace: Trace::default(),
        })
    }

    fn of_schedule(event: Scheduled, deadline: Instant) -> Result<Self, BoxError> {
        Ok(Self {
            route: Route::Sweep,
            request_id: event.id,
            at: Timestamp::from_rfc3339(&event.time).ok_or("the schedule's time is none")?,
            deadline,
            connection: None,
            payload: Payload::Empty,
            format: Format::default(),
            trace: Trace::default(),
        })
    }

    fn of_rest(event: Continuation, deadline: Instant) -> Self {
        Self {
            route: Route::FanOut,
            request_id: event.request_id.clone(),
            at: event.at,
            deadline,
            connection: None,
            format: Format::default(),
            trace: Trace { room: event.room(), ..Trace::default() },
            payload: Payload::Rest(Box::new(event)),
        }
    }

    fn of_websocket(event: ApiGatewayWebsocketProxyRequest, deadline: Instant) -> Result<Self, BoxError> {
        let context = event.request_context;
        // The route key alone does not tell: a client can send a frame whose action is "$connect".
        let (route, payload) = match context.event_type.as_deref() {
            Some("CONNECT") => {
                // A header of several lines has them all in the second map alone.
                let several = event.multi_value_headers;
                let headers = if several.is_empty() { event.headers } else { several };
                let payload = Payload::Handshake { headers, query: event.query_string_parameters };
                (Route::Connect, payload)
            }
            Some("DISCONNECT") => (Route::Disconnect, Payload::Empty),
            Some("MESSAGE") => {
                let (route, fields, request_id) = Fields::of_frame(event.body.as_deref().unwrap_or_default());
                let key = context.route_key.as_deref().and_then(Route::of_key);
                let has_route_response = key.is_none_or(Route::has_route_response);
                (route, Payload::Frame { fields, request_id, has_route_response })
            }
            _ => return Err("an unknown eventType".into()),
        };
        Ok(Self {
            route,
            request_id: context.request_id.unwrap_or_default(),
            at: Timestamp::from_millis(context.request_time_epoch),
            deadline,
            connection: Some(ConnectionId::try_from(context.connection_id.ok_or("no connectionId")?)?),
            payload,
            format: Format::default(),
            trace: Trace::default(),
        })
    }

    fn of_http(event: ApiGatewayV2httpRequest, deadline: Instant) -> Result<Self, BoxError> {
        let context = event.request_context;
        let route = context.route_key.as_deref().and_then(Route::of_key).filter(|route| route.is_http());
        let body = event.body.unwrap_or_default();
        let body = if event.is_base64_encoded { BASE64_STANDARD.decode(&body)? } else { body.into_bytes() };
        let query = form_urlencoded::parse(event.raw_query_string.as_deref().unwrap_or_default().as_bytes());
        let path = event.path_parameters.into_iter();
        let fields = Fields::of_http(&context.http.method, &body, query.into_owned(), path);
        let (user, fields) = match fields.and_then(|mut fields| Ok((fields.take("userId")?, fields))) {
            Ok((user, fields)) => (user, Ok(fields)),
            Err(error) => (None, Err(error)),
        };
        Ok(Self {
            route: route.ok_or("a route of the HTTP API that the route table does not have")?,
            request_id: context.request_id.unwrap_or_default(),
            at: Timestamp::from_millis(context.time_epoch),
            deadline,
            connection: None,
            payload: Payload::Request { headers: event.headers, user, fields },
            format: Format::default(),
            trace: Trace::default(),
        })
    }

    /// The occasion on which something is told.
    pub fn occasion(&self) -> Occasion<'_> {
        Occasion { now: self.at, deadline: self.deadline, request_id: &self.request_id }
    }

    /// Whether the client gave its frame an id for the answer.
    pub fn has_request_id(&self) -> bool {
        matches!(self.payload, Payload::Frame { request_id: Some(_), .. })
    }

    /// Whether a request says by itself who asks, in the way that counts, or comes on a connection, which does.
    pub fn says_who_asks(&self, auth: &Auth) -> bool {
        match (&self.payload, auth) {
            (Payload::Request { user, .. }, Auth::Open) => user.is_some(),
            (Payload::Request { headers, .. }, Auth::Jwt(_)) => {
                headers.get(AUTHORIZATION).is_some_and(|value| !value.is_empty())
            }
            _ => true,
        }
    }

    /// The connection that a WebSocket route was called on.
    ///
    /// # Errors
    /// `INTERNAL` on a route of the HTTP API.
    pub fn connection(&self) -> Result<&ConnectionId, Error> {
        self.connection.as_ref().ok_or_else(|| Error::internal("the event has no connection"))
    }

    /// The client's frame or request as what its route takes.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn request<T: TryFrom<Fields, Error = Error>>(&mut self) -> Result<T, Error> {
        self.take_fields()?.try_into()
    }

    /// # Errors
    /// What is wrong with the frame or the request, if it is.
    pub fn take_fields(&mut self) -> Result<Fields, Error> {
        match &mut self.payload {
            Payload::Frame { fields, .. } | Payload::Request { fields, .. } => {
                std::mem::replace(fields, Ok(Fields::default()))
            }
            _ => Err(Error::internal("the event has no fields")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_of_an_event_that_cannot_be_read_is_logged() {
        let event = r#"{"source":"switchboard.fan-out","requestId":"r1","at":0,"part":"a secret"}"#;
        let event = RawValue::from_string(event.to_owned()).unwrap();
        let unknown = Call::decode(&event, Instant::now()).err().expect("it is understood");
        let logged = format!("{unknown:?} {}", crate::error::chain(&unknown));
        assert!(logged.contains("Data error at line 1") && !logged.contains("secret"), "{logged}");
    }

    #[test]
    fn an_event_that_cannot_be_read_tells_who_waits_for_an_answer() {
        let http = r#""http":{"method":"GET","path":"/x","protocol":"HTTP/1.1","sourceIp":"::1","userAgent":""}"#;
        for (context, waiting) in [
            (format!(r#"{http},"routeKey":"GET /nowhere""#), Some(Waiting::Request)),
            (format!(r#"{http},"routeKey":7"#), Some(Waiting::Request)),
            (r#""eventType":"CONNECT""#.to_owned(), Some(Waiting::Handshake)),
            (r#""eventType":"OTHER""#.to_owned(), None),
        ] {
            let event = format!(r#"{{"headers":{{}},"requestContext":{{"requestId":"r1",{context}}}}}"#);
            let event = RawValue::from_string(event).unwrap();
            let unknown = Call::decode(&event, Instant::now()).err().expect("it is understood");
            assert_eq!((unknown.waiting, unknown.request_id.as_str()), (waiting, "r1"), "{context}");
        }
    }
}

//! Decoding. Sources are told apart by `requestContext` and `eventSource`.

use aws_lambda_events::apigw::{ApiGatewayV2httpRequest, ApiGatewayWebsocketProxyRequest};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use http::Method;
use percent_encoding::percent_decode_str;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::{
    Connect, Event, Frame, HttpCredentials, HttpRequest, Invocation, NewObject, Signed, UnknownEvent, WaitingClient,
};
use crate::actions::{self, HttpRoute};
use crate::delivery::{Cleanup, Continuation, ErasureStep, ExportStep};
use crate::domain::{self, ConnectionId, ObjectKey, Timestamp};
use crate::error::BoxError;
use crate::store::StreamRecord;
use crate::wire::{ClientFrame, Fields};

/// The members by which the sources are told apart.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Envelope<'a> {
    #[serde(borrow)]
    request_context: Option<EnvelopeContext<'a>>,
    source: Option<&'a str>,
    #[serde(borrow, default, rename = "Records")]
    records: Vec<EnvelopeRecord<'a>>,
    #[serde(rename = "Event")]
    event: Option<&'a str>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct EnvelopeContext<'a> {
    #[serde(borrow)]
    http: Option<&'a RawValue>,
    event_type: Option<&'a str>,
    request_id: Option<&'a str>,
}

/// S3, SQS and DynamoDB Streams send `eventSource`, SNS `EventSource`.
#[derive(Deserialize)]
struct EnvelopeRecord<'a> {
    #[serde(rename = "eventSource", alias = "EventSource")]
    event_source: Option<&'a str>,
}

/// Records of the stream of a table.
#[derive(Deserialize)]
struct StreamEvent {
    #[serde(rename = "Records")]
    records: Vec<StreamRecord>,
}

/// A scheduled event of EventBridge.
#[derive(Deserialize)]
struct Scheduled {
    id: String,
    time: String,
}

/// An event notification of S3.
/// <https://docs.aws.amazon.com/AmazonS3/latest/userguide/notification-content-structure.html>
#[derive(Deserialize)]
struct BucketEvent {
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
    bucket: BucketName,
    object: ObjectName,
}

#[derive(Deserialize)]
struct BucketName {
    name: String,
}

#[derive(Deserialize)]
struct ObjectName {
    /// Form-encoded.
    key: String,
}

#[derive(Deserialize)]
struct ResponseElements {
    #[serde(rename = "x-amz-request-id")]
    request_id: Option<String>,
}

/// Prefix of the names of S3's events for new objects.
const CREATED: &str = "ObjectCreated:";
/// The header by which a backend names a request.
const IDEMPOTENCY_KEY: &str = "idempotency-key";
/// `eventSource` of S3's records.
const S3: &str = "aws:s3";
/// `eventSource` of records of streams.
const STREAM: &str = "aws:dynamodb";
/// `Event` of what S3 sends when notifications are configured.
const S3_TEST: &str = "s3:TestEvent";
/// `source` of EventBridge's rules and of its scheduler.
const SCHEDULES: [&str; 2] = ["aws.events", "aws.scheduler"];

/// The request of a backend, if API Gateway has authorized it.
fn signed(event: &ApiGatewayV2httpRequest, route: HttpRoute, body: &[u8]) -> Option<Signed> {
    let context = &event.request_context;
    let arn = context.authorizer.as_ref()?.iam.as_ref()?.user_arn.clone()?;
    let [path, query] = [&event.raw_path, &event.raw_query_string].map(|text| text.as_deref().unwrap_or_default());
    let named = |name: &str| event.path_parameters.get(name).cloned();
    Some(Signed {
        arn,
        key: event.headers.get(IDEMPOTENCY_KEY).map(|key| String::from_utf8_lossy(key.as_bytes()).into_owned()),
        needs_key: context.http.method == Method::POST,
        digest: domain::hash(&[route.key().as_bytes(), path.as_bytes(), query.as_bytes(), body]),
        room: named("roomId"),
        user: named("userId"),
        made_at: None,
    })
}

/// # Errors
/// Where and how it is wrong. Without the values, as the library reports it: errors are logged, and an event may hold a
/// message.
fn parsed<'a, T: Deserialize<'a>>(event: &'a RawValue) -> Result<T, BoxError> {
    serde_json::from_str(event.get()).map_err(|error| {
        format!("{:?} error at line {}, column {}", error.classify(), error.line(), error.column()).into()
    })
}

impl Invocation {
    /// # Errors
    /// An event of another source, or one without the parts that its source always sends.
    pub fn decode(event: &RawValue) -> Result<Self, UnknownEvent> {
        let (mut client, mut request_id) = (None, String::new());
        let decoded = parsed::<Envelope<'_>>(event).and_then(|envelope| {
            let Some(context) = &envelope.request_context else { return Self::of_service(&envelope, event) };
            request_id = context.request_id.unwrap_or_default().to_owned();
            if context.http.is_some() {
                client = Some(WaitingClient::Http);
                Self::of_http(parsed(event)?)
            } else {
                client = (context.event_type == Some("CONNECT")).then_some(WaitingClient::Handshake);
                Self::of_websocket(parsed(event)?)
            }
        });
        decoded.map_err(|cause| UnknownEvent { cause, request_id, client })
    }

    /// An event of a service that expects no answer.
    fn of_service(envelope: &Envelope<'_>, event: &RawValue) -> Result<Self, BoxError> {
        let is_of = |source: &str| {
            let mut sources = envelope.records.iter().map(|record| record.event_source);
            !envelope.records.is_empty() && sources.all(|of| of == Some(source))
        };
        match envelope.source {
            _ if is_of(S3) => Self::of_bucket(parsed(event)?),
            _ if is_of(STREAM) => Ok(Self::of_stream(parsed(event)?)),
            _ if envelope.event == Some(S3_TEST) => Self::of_bucket(BucketEvent { records: Vec::new() }),
            Some(source) if SCHEDULES.contains(&source) => Self::of_schedule(parsed(event)?),
            Some(Continuation::SOURCE) => {
                let rest: Continuation = parsed(event)?;
                Ok(Self::of_aws(rest.request_id.clone(), rest.at, Event::FanOut(Box::new(rest))))
            }
            Some(Cleanup::SOURCE) => {
                let cleanup: Cleanup = parsed(event)?;
                Ok(Self::of_aws(cleanup.request_id.clone(), cleanup.at, Event::Cleanup(cleanup)))
            }
            Some(ErasureStep::SOURCE) => {
                let step: ErasureStep = parsed(event)?;
                Ok(Self::of_aws(step.request_id.clone(), step.at, Event::Erase(step)))
            }
            Some(ExportStep::SOURCE) => {
                let step: ExportStep = parsed(event)?;
                Ok(Self::of_aws(step.request_id.clone(), step.at, Event::Export(step)))
            }
            _ => Err("an unknown source".into()),
        }
    }

    fn of_aws(request_id: String, at: Timestamp, event: Event) -> Self {
        Self { request_id, at, source_ip: None, event }
    }

    fn of_bucket(event: BucketEvent) -> Result<Self, BoxError> {
        let first = event.records.first();
        let at = first.and_then(|record| Timestamp::from_iso(&record.event_time));
        let request_id = first.and_then(|record| record.response_elements.as_ref()?.request_id.clone());
        let object = |record: ObjectRecord| {
            // As in a form: a plus is a space, and the rest is percent-encoded.
            let spaced = record.s3.object.key.replace('+', " ");
            let key = ObjectKey::of(percent_decode_str(&spaced).decode_utf8_lossy().into_owned());
            NewObject { bucket: record.s3.bucket.name, key }
        };
        if first.is_some() && at.is_none() {
            return Err("the record has no valid `eventTime`".into());
        }
        let created = event.records.into_iter().filter(|record| record.event_name.starts_with(CREATED));
        let created = Event::ObjectsCreated(created.map(object).collect());
        Ok(Self::of_aws(request_id.unwrap_or_default(), at.unwrap_or(Timestamp::from_millis(0)), created))
    }

    /// The time of the event is that of its newest record.
    fn of_stream(StreamEvent { records }: StreamEvent) -> Self {
        let at = records.iter().map(StreamRecord::at).max().unwrap_or(Timestamp::from_millis(0));
        let first = records.first().map(StreamRecord::sequence_number).unwrap_or_default();
        Self::of_aws(first.to_owned(), at, Event::Stream(records))
    }

    fn of_schedule(event: Scheduled) -> Result<Self, BoxError> {
        let at = Timestamp::from_iso(&event.time).ok_or("the schedule event has no valid `time`")?;
        Ok(Self::of_aws(event.id, at, Event::Sweep))
    }

    fn of_websocket(event: ApiGatewayWebsocketProxyRequest) -> Result<Self, BoxError> {
        let context = event.request_context;
        let connection = ConnectionId::try_from(context.connection_id.ok_or("no connectionId")?)?;
        // The route key alone does not tell: a client can send a frame whose action is "$connect".
        let happened = match context.event_type.as_deref() {
            Some("CONNECT") => {
                // A header of several lines is complete in the second map only.
                let several = event.multi_value_headers;
                let headers = if several.is_empty() { event.headers } else { several };
                let query = event.query_string_parameters.iter();
                let query = query.map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
                Event::Connect(Connect { connection, headers, query })
            }
            Some("DISCONNECT") => Event::Disconnect(connection),
            Some("MESSAGE") => {
                let key = context.route_key.as_deref().unwrap_or(actions::DEFAULT);
                let route = actions::websocket_routes().find(|(known, _)| *known == key);
                let content = ClientFrame::parse(event.body.as_deref().unwrap_or_default());
                Event::Frame(Frame {
                    connection,
                    content,
                    has_route_response: route.is_none_or(|(_, answers)| answers),
                })
            }
            _ => return Err("an unknown eventType".into()),
        };
        Ok(Self {
            request_id: context.request_id.unwrap_or_default(),
            at: Timestamp::from_millis(context.request_time_epoch),
            source_ip: context.identity.source_ip.and_then(|address| address.parse().ok()),
            event: happened,
        })
    }

    fn of_http(event: ApiGatewayV2httpRequest) -> Result<Self, BoxError> {
        let context = &event.request_context;
        let route = context.route_key.as_deref().and_then(HttpRoute::of_key);
        let body = event.body.as_deref().unwrap_or_default();
        let body = if event.is_base64_encoded { BASE64_STANDARD.decode(body)? } else { body.as_bytes().to_vec() };
        let method = &context.http.method;
        let has_fields_in_body =
            [Method::PATCH, Method::POST, Method::PUT].contains(method) || (*method != Method::GET && !body.is_empty());
        let query = form_urlencoded::parse(event.raw_query_string.as_deref().unwrap_or_default().as_bytes());
        let query: Vec<_> = query.into_owned().collect();
        let route = route.ok_or("a route of the HTTP API that the catalogue does not have")?;
        let is_for_backends = route.is_for_backends();
        let signed = if is_for_backends { signed(&event, route, &body) } else { None };
        let body = has_fields_in_body.then_some(body.as_slice());
        let fields = Fields::of_http(body, query, event.path_parameters);
        // A backend says whom it is about, everybody else who they are.
        let (user, fields) = match fields {
            Ok(mut fields) if !is_for_backends => match fields.take_user() {
                Ok(user) => (user, Ok(fields)),
                Err(error) => (None, Err(error)),
            },
            fields => (None, fields),
        };
        let source_ip = context.http.source_ip.as_ref().and_then(|address| address.parse().ok());
        let credentials = HttpCredentials { headers: event.headers, user, signed };
        let request = HttpRequest { route, credentials, fields };
        Ok(Self {
            request_id: event.request_context.request_id.unwrap_or_default(),
            at: Timestamp::from_millis(event.request_context.time_epoch),
            source_ip,
            event: Event::Http(request),
        })
    }
}

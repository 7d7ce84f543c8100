//! The argument of every handler: the services, created once per process, and the context of the request.

use std::net::IpAddr;
use std::ops::Deref;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::time::Instant;

use crate::auth::Issuers;
use crate::aws::Clients;
use crate::aws::transport::Transport;
use crate::bus::Bus;
use crate::config::Config;
use crate::delivery::{Delivered, Delivery, Except, Function, OutboundFrame, RequestContext};
use crate::domain::{ConnectionId, Format, Limit, Limited, RoomId, Timestamp, UserId};
use crate::error::BoxError;
use crate::event::Invocation;
use crate::file_links::FileLinks;
use crate::files::Files;
use crate::metrics::{Counts, Metric};
use crate::review::Reviews;
use crate::store::{Channel, Store, Timing};

/// Shared by all invocations: the clients reuse their connections to AWS.
pub struct Services {
    pub config: Arc<Config>,
    pub issuers: Issuers,
    pub store: Store,
    pub files: Files,
    pub links: Arc<FileLinks>,
    pub delivery: Delivery,
    pub bus: Bus,
    pub reviews: Reviews,
}

impl Services {
    /// Creates the clients. Nothing is sent before the first request.
    ///
    /// # Errors
    /// As [`Transport::new`] and [`Clients::new`].
    pub fn new(config: Config) -> Result<Self, BoxError> {
        let config = Arc::new(config);
        let transport = Transport::new(&config.authorities)?;
        let Clients { dynamodb, s3, connections, lambda, review, events } = Clients::new(&config, &transport)?;
        let issuers = Issuers::new(&config.auth, &transport);
        let store = Store::new(dynamodb, Arc::clone(&config));
        let links = Arc::new(FileLinks::new(&config));
        let function = Function { name: config.function_name.clone(), version: config.function_version.clone() };
        let delivery = Delivery::new(connections, store.clone(), lambda, function, Arc::clone(&links));
        let files = Files::new(s3, &config.uploads);
        let bus = Bus::new(events, &config.events);
        let reviews = Reviews::new(review, Arc::clone(&config));
        Ok(Self { config, issuers, store, files, links, delivery, bus, reviews })
    }
}

/// What Lambda says of an invocation.
pub struct InvocationContext {
    /// Lambda's own id: the lines that Lambda itself logs have it.
    pub request_id: String,
    /// The time by which the function must have answered.
    pub deadline: Instant,
}

/// The context of an invocation: the services, the request, and what its log line will say.
pub struct Context {
    services: Arc<Services>,
    /// The route, as logs, metrics and answers name it.
    pub route: &'static str,
    /// API Gateway's id for the request, or that of another source.
    pub request_id: String,
    /// Lambda's id for the invocation.
    pub lambda_request_id: String,
    /// The event's own time; the code asks no other clock what time it is.
    pub now: Timestamp,
    /// When the invocation began: nothing that it has read is older.
    begun: Instant,
    /// The time by which the function must have answered.
    pub deadline: Instant,
    /// The connection that the request came on.
    pub connection: Option<ConnectionId>,
    /// The address of the client.
    pub source_ip: Option<IpAddr>,
    /// The class of the request's rate limit; absent for events of AWS.
    pub limit: Option<Limit>,
    trace: Mutex<Trace>,
}

/// What is learned about an invocation while it is handled.
#[derive(Clone, Debug, Default)]
pub struct Trace {
    pub room: Option<RoomId>,
    pub user: Option<UserId>,
    /// The format of the connection, once its row is read: no answer before that depends on it.
    pub format: Format,
    /// How many messages the request has, if it can have several.
    messages: usize,
    limited: Option<Limited>,
    pub delivered: Delivered,
    pub counts: Counts,
}

impl Deref for Context {
    type Target = Services;

    fn deref(&self) -> &Services {
        &self.services
    }
}

impl Context {
    /// The context of an invocation.
    pub fn new(services: &Arc<Services>, invocation: &Invocation, lambda: InvocationContext) -> Self {
        Self {
            services: Arc::clone(services),
            route: invocation.event.route(),
            request_id: invocation.request_id.clone(),
            lambda_request_id: lambda.request_id,
            now: invocation.at,
            begun: Instant::now(),
            deadline: lambda.deadline,
            connection: invocation.event.connection().cloned(),
            source_ip: invocation.source_ip,
            limit: invocation.event.limit(),
            trace: Mutex::default(),
        }
    }

    /// What an append needs to know of the request.
    pub fn timing(&self) -> Timing {
        Timing { now: self.now, begun: self.begun, deadline: self.deadline }
    }

    /// What delivery needs to know of the request.
    pub fn request(&self) -> RequestContext<'_> {
        RequestContext { now: self.now, deadline: self.deadline, request_id: &self.request_id }
    }

    /// Everybody except the connection of the request; over HTTP, everybody.
    pub fn others(&self) -> Except {
        Except::caller(self.connection.as_ref())
    }

    /// Publishes a frame, and counts its recipients.
    pub async fn publish(&self, channels: &[Channel], frame: &OutboundFrame) {
        self.delivered(self.delivery.publish(channels, frame, self.request()).await);
    }

    /// A copy of what has been recorded.
    pub fn trace(&self) -> Trace {
        self.lock().clone()
    }

    /// Whether it is known who sent the request.
    pub fn knows_user(&self) -> bool {
        self.lock().user.is_some()
    }

    /// How many messages the request has: 1 for most.
    pub fn messages(&self) -> usize {
        self.lock().messages.max(1)
    }

    /// Records how many messages the request has.
    pub fn note_messages(&self, count: usize) {
        self.lock().messages = count;
    }

    /// The limit that refuses new messages of this request: only repeats are answered.
    pub fn limited(&self) -> Option<Limited> {
        self.lock().limited
    }

    /// Records the limit that refuses new messages of this request.
    pub fn note_limited(&self, limited: Limited) {
        self.lock().limited = Some(limited);
    }

    /// Records the user of the request.
    pub fn note_user(&self, user: &UserId) {
        self.lock().user = Some(user.clone());
    }

    /// Records the room of the request.
    pub fn note_room(&self, room: &RoomId) {
        self.lock().room = Some(room.clone());
    }

    /// Records the format of the connection.
    pub fn note_format(&self, format: Format) {
        self.lock().format = format;
    }

    /// Counts for a metric.
    pub fn count(&self, metric: Metric, more: u64) {
        self.lock().counts.add(metric, more);
    }

    /// Counts what was delivered.
    pub fn delivered(&self, more: Delivered) {
        self.lock().delivered += more;
    }

    fn lock(&self) -> MutexGuard<'_, Trace> {
        self.trace.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

//! The event bus: EventBridge, where backends receive what was written.

use crate::aws::events::{EventBridge, PutEntry};
use crate::config::Events;
use crate::error::{BoxError, Error};
use crate::wire::events::Event;

/// `source` of all events.
pub const SOURCE: &str = "switchboard";
/// Most events in one request.
const MOST_EVENTS: usize = 10;
/// Most bytes of the events of a request, as EventBridge counts them.
const MOST_BYTES: usize = 256 * 1024;
/// What EventBridge answers for an event that it may take later. What is wrong with any other lies in the event.
const TRANSIENT: [&str; 3] = ["ThrottlingException", "InternalFailure", "InternalException"];

/// The event bus of the deployment, if it has one.
#[derive(Debug)]
pub struct Bus {
    client: EventBridge,
    name: Option<String>,
}

impl Bus {
    /// Nothing is sent before the first event.
    pub fn new(client: EventBridge, config: &Events) -> Self {
        Self { client, name: config.bus.clone() }
    }

    /// Whether there is a bus.
    pub fn exists(&self) -> bool {
        self.name.is_some()
    }

    /// As many of the first of these events as one request takes.
    pub fn first_request(events: &[Event]) -> usize {
        let mut bytes = 0;
        let fits = |event: &&Event| {
            bytes += event.to_json().map_or(0, |json| json.len()) + SOURCE.len() + event.fact.name().len();
            bytes <= MOST_BYTES
        };
        events.iter().take(MOST_EVENTS).take_while(fits).count().max(1).min(events.len())
    }

    /// Puts events by one request, at most as many as [`Bus::first_request`] tells. Returns why an event is not on the
    /// bus, for each of them. One that the bus refuses for what users wrote is put without that: nobody can hold up the
    /// stream by what they write.
    pub async fn put(&self, events: &[Event]) -> Vec<Result<(), Error>> {
        let codes = match self.put_once(events).await {
            Ok(codes) => codes,
            Err(error) => {
                let cause = error.to_string();
                return events.iter().map(|_| Err(Error::Unavailable(cause.clone().into()))).collect();
            }
        };
        let mut results = Vec::with_capacity(events.len());
        for (event, code) in events.iter().zip(codes) {
            results.push(match code {
                None => Ok(()),
                Some(code) if TRANSIENT.contains(&code.as_str()) => Err(Error::Unavailable(code.into())),
                Some(code) => self.put_without_bodies(event, &code).await,
            });
        }
        results
    }

    async fn put_without_bodies(&self, event: &Event, code: &str) -> Result<(), Error> {
        tracing::warn!(event_id = event.id, kind = event.fact.name(), code, "an event is put without its body");
        let bare = event.clone().without_bodies();
        match self.put_once(std::slice::from_ref(&bare)).await {
            Ok(codes) => match codes.into_iter().flatten().next() {
                None => Ok(()),
                Some(code) => Err(Error::Unavailable(code.into())),
            },
            Err(error) => Err(Error::Unavailable(error)),
        }
    }

    async fn put_once(&self, events: &[Event]) -> Result<Vec<Option<String>>, BoxError> {
        let bus = self.name.as_deref().ok_or("there is no event bus")?;
        let details = events.iter().map(Event::to_json).collect::<Result<Vec<_>, _>>()?;
        let entries = events.iter().zip(&details).map(|(event, detail)| PutEntry {
            source: SOURCE,
            detail_type: event.fact.name(),
            detail,
            event_bus_name: bus,
        });
        self.client.put(&entries.collect::<Vec<_>>()).await
    }
}

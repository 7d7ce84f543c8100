//! The review of texts: a Lambda function of the operator decides whether a text is accepted, and may replace it. Its
//! events and answers are those of the message review handlers of Amazon IVS Chat, so one written for that works here.
//!
//! <https://docs.aws.amazon.com/ivs/latest/ChatUserGuide/chat-message-review-handler.html>

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use aws_sdk_lambda::primitives::Blob;
use serde::{Deserialize, Serialize};

use crate::config::{Config, Review};
use crate::domain::{Content, MAX_CONTENT_BYTES, Name, RoomId, Style, UserId};
use crate::error::BoxError;

/// Most characters of a reason that is told to the author.
const MAX_REASON_CHARS: usize = 500;

/// What kind of a text is reviewed.
#[derive(Clone, Copy, Debug)]
pub enum Kind {
    Message,
    Edit,
    FileName,
    RoomName,
    UserName,
}

impl Kind {
    fn as_str(self) -> &'static str {
        match self {
            Self::Message => "message",
            Self::Edit => "edit",
            Self::FileName => "fileName",
            Self::RoomName => "roomName",
            Self::UserName => "userName",
        }
    }
}

/// A text, and who wants to publish it.
pub struct Text<'a> {
    pub kind: Kind,
    pub room: &'a RoomId,
    /// Of the message where it has one, else of the request.
    pub id: &'a str,
    pub content: &'a str,
    /// What is attached to the message, as JSON.
    pub data: Option<&'a str>,
    pub user: &'a UserId,
    pub name: &'a Name,
    pub style: Option<&'a Style>,
    pub ip: Option<IpAddr>,
}

/// What the review says of a text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// As it is, or with another text in its place.
    Allowed(Option<Content>),
    Denied {
        reason: String,
    },
}

/// The review function of the deployment.
pub struct Reviews {
    client: aws_sdk_lambda::Client,
    config: Arc<Config>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Event<'a> {
    content: &'a str,
    message_id: &'a str,
    room_arn: String,
    attributes: BTreeMap<&'static str, &'a str>,
    sender: Sender<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Sender<'a> {
    user_id: &'a UserId,
    #[serde(skip_serializing_if = "Option::is_none")]
    ip: Option<IpAddr>,
    attributes: BTreeMap<&'static str, &'a str>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Answer {
    review_result: ReviewResult,
    #[serde(default)]
    content: Option<String>,
    #[serde(default)]
    attributes: Option<BTreeMap<String, String>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "UPPERCASE")]
enum ReviewResult {
    Allow,
    Deny,
}

impl Reviews {
    /// Nothing is sent before the first text.
    pub fn new(client: aws_sdk_lambda::Client, config: Arc<Config>) -> Self {
        Self { client, config }
    }

    /// Whether there is a review function.
    pub fn is_on(&self) -> bool {
        self.config.review.is_some()
    }

    /// Whether a text is accepted that the function says nothing of.
    pub fn lets_through(&self) -> bool {
        self.config.review.as_ref().is_some_and(|review| review.lets_through)
    }

    /// What the function says of a text.
    ///
    /// # Errors
    /// There is no function, it fails, it does not answer in time, or its answer is not one of a review handler.
    pub async fn ask(&self, text: &Text<'_>) -> Result<Verdict, BoxError> {
        let Some(Review { function, .. }) = &self.config.review else {
            return Err("REVIEW_FUNCTION is not set".into());
        };
        let event = serde_json::to_vec(&self.event(text))?;
        let answer = self.client.invoke().function_name(function).payload(Blob::new(event)).send().await?;
        if let Some(failure) = answer.function_error {
            return Err(format!("the review function failed: {failure}").into());
        }
        let payload = answer.payload.map(Blob::into_inner).unwrap_or_default();
        // Without the answer, as the library reports it: it may repeat the text.
        let answer = serde_json::from_slice(&payload).map_err(|error| {
            format!(
                "the review function's answer is not one: {:?} error at column {}",
                error.classify(),
                error.column()
            )
        })?;
        verdict(answer, text.content)
    }

    fn event<'a>(&self, text: &Text<'a>) -> Event<'a> {
        let Text { kind, room, id, content, data, user, name, style, ip } = *text;
        let mut attributes = BTreeMap::from([("kind", kind.as_str()), ("roomId", room.as_str())]);
        attributes.extend(data.map(|data| ("data", data)));
        let mut of_sender = BTreeMap::from([("userName", name.as_str())]);
        of_sender.extend(style.and_then(|style| Some(("userIcon", style.icon.as_deref()?))));
        of_sender.extend(style.and_then(|style| Some(("userColor", style.color.as_deref()?))));
        Event {
            content,
            message_id: id,
            // No service of AWS's has these rooms; a handler that takes an ARN apart finds the id in its place.
            room_arn: format!("arn:aws:switchboard:{}::room/{room}", self.config.region),
            attributes,
            sender: Sender { user_id: user, ip, attributes: of_sender },
        }
    }
}

/// # Errors
/// The text in the place of the other one is too large.
fn verdict(answer: Answer, original: &str) -> Result<Verdict, BoxError> {
    match answer.review_result {
        ReviewResult::Deny => {
            let reason = answer.attributes.and_then(|mut attributes| attributes.remove("Reason")).unwrap_or_default();
            let reason = reason.chars().filter(|letter| !letter.is_control()).take(MAX_REASON_CHARS).collect();
            Ok(Verdict::Denied { reason })
        }
        ReviewResult::Allow => {
            let replaced = answer.content.filter(|content| content != original).and_then(Content::new);
            if replaced.as_ref().is_some_and(Content::is_too_large) {
                return Err(format!("the review function's text is above {MAX_CONTENT_BYTES} bytes").into());
            }
            Ok(Verdict::Allowed(replaced))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(answer: &str) -> Option<Verdict> {
        verdict(serde_json::from_str(answer).ok()?, "hello").ok()
    }

    #[test]
    fn answers_are_those_of_a_review_handler() {
        let allowed = |text: Option<&str>| Some(Verdict::Allowed(text.map(|text| text.to_owned().into())));
        assert_eq!(read(r#"{"ReviewResult":"ALLOW","Content":"hello"}"#), allowed(None));
        assert_eq!(
            read(r#"{"ReviewResult":"ALLOW","Content":"h***o","Attributes":{"a":"b"}}"#),
            allowed(Some("h***o"))
        );
        assert_eq!(read(r#"{"ReviewResult":"ALLOW"}"#), allowed(None));
        let denied = |reason: &str| Some(Verdict::Denied { reason: reason.to_owned() });
        assert_eq!(read(r#"{"ReviewResult":"DENY","Content":"","Attributes":{"Reason":"a\u0007b"}}"#), denied("ab"));
        assert_eq!(read(r#"{"ReviewResult":"DENY"}"#), denied(""));
        for invalid in ["", "null", "{}", r#"{"ReviewResult":"allow"}"#, r#"{"statusCode":200}"#] {
            assert_eq!(read(invalid), None, "{invalid}");
        }
        let large = format!(r#"{{"ReviewResult":"ALLOW","Content":"{}"}}"#, "a".repeat(MAX_CONTENT_BYTES + 1));
        assert_eq!(read(&large), None);
    }
}

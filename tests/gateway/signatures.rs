//! Verification of request signatures, and the errors for invalid ones.

use std::time::{Duration, SystemTime};

use serde_json::Value;
use switchboard::local::AccessKey;

use crate::support::{Answer, BUCKET, Signing, World, request};

const JSON: (&str, &str) = ("content-type", "application/x-amz-json-1.0");
const LIST: [(&str, &str); 2] = [JSON, ("x-amz-target", "DynamoDB_20120810.ListTables")];
const MISMATCH: &str = "The request signature we calculated does not match the signature you provided. Check your AWS \
                        Secret Access Key and signing method. Consult the service documentation for details.";

/// The status, the error type and the message of an error from DynamoDB.
fn dynamodb_error(answer: &Answer) -> (u16, String, String) {
    let body: Value = serde_json::from_slice(&answer.bytes).unwrap();
    let kind = body["__type"].as_str().unwrap_or_default().rsplit('#').next().unwrap().to_owned();
    (answer.status, kind, body["message"].as_str().unwrap_or_default().to_owned())
}

/// The same of an error from API Gateway or Lambda, which name the type in a header.
fn header_error(answer: &Answer) -> (u16, String, String) {
    let body: Value = serde_json::from_slice(&answer.bytes).unwrap_or_default();
    let kind = answer.optional_header("x-amzn-errortype").unwrap_or_default().to_owned();
    (answer.status, kind, body["message"].as_str().unwrap_or_default().to_owned())
}

/// The same of an error from S3.
fn s3_error(answer: &Answer) -> (u16, String, String) {
    let element = |name: &str| {
        let value = answer.text().split_once(&format!("<{name}>")).and_then(|(_, rest)| rest.split_once("</"));
        value.map_or("", |(value, _)| value).to_owned()
    };
    (answer.status, element("Code"), element("Message"))
}

fn error(status: u16, kind: &str, message: &str) -> (u16, String, String) {
    (status, kind.to_owned(), message.to_owned())
}

/// DynamoDB developer guide, "Error handling with DynamoDB"; the messages are captured in mhart/dynalite on GitHub.
#[tokio::test]
async fn dynamodb_accepts_only_signatures_of_known_keys() {
    let world = World::start().await;
    let url = format!("{}/", world.urls().dynamodb);
    let good = world.signs("dynamodb");
    let ask = async |signing: Signing| signing.request("POST", &url, &LIST, b"{}").await;
    let wrong = AccessKey { secret: "guessed".to_owned(), ..good.key.clone() };

    assert_eq!(ask(good.clone()).await.status, 200);
    let unsigned = request("POST", &url, &LIST, b"{}").await;
    let unknown = ask(Signing { key: AccessKey::random(), ..good.clone() }).await;
    let guessed = ask(Signing { key: wrong, ..good.clone() }).await;
    let elsewhere = ask(Signing { region: "eu-west-1", service: "lambda", ..good.clone() }).await;
    let claimed = [JSON, LIST[1], ("authorization", "AWS4-HMAC-SHA256 Credential=test")];
    let claimed = request("POST", &url, &claimed, b"{}").await;

    assert_eq!(
        dynamodb_error(&unsigned),
        error(400, "MissingAuthenticationTokenException", "Request is missing Authentication Token")
    );
    assert_eq!(
        dynamodb_error(&unknown),
        error(400, "UnrecognizedClientException", "The security token included in the request is invalid.")
    );
    assert_eq!(dynamodb_error(&guessed), error(400, "InvalidSignatureException", MISMATCH));
    assert_eq!(
        dynamodb_error(&elsewhere),
        error(
            400,
            "InvalidSignatureException",
            "Credential should be scoped to a valid region, not 'eu-west-1'. Credential should be scoped to correct \
             service: 'dynamodb'."
        )
    );
    let (status, kind, message) = dynamodb_error(&claimed);
    assert_eq!((status, kind.as_str()), (400, "IncompleteSignatureException"));
    assert!(message.starts_with("Authorization header requires 'Signature' parameter."), "{message}");
}

/// IAM user guide, "Create a signed AWS API request": what is signed cannot be changed.
#[tokio::test]
async fn a_signature_is_valid_for_its_request_only() {
    let world = World::start().await;
    let url = format!("{}/?a=1&b=%20x", world.urls().dynamodb);
    let headers = world.signs("dynamodb").headers("POST", &url, &LIST, b"{}");
    let send = async |url: &str, change: (&str, &str), body: &[u8]| {
        let headers = headers.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        let headers: Vec<_> =
            headers.map(|(name, value)| if name == change.0 { change } else { (name, value) }).collect();
        dynamodb_error(&request("POST", url, &headers, body).await).1
    };
    let nothing = ("", "");

    assert_eq!(send(&url, nothing, b"{}").await, "");
    for refused in [
        send(&url, nothing, br#"{"Limit":1}"#).await,
        send(&url.replace("a=1", "a=2"), nothing, b"{}").await,
        send(&url.replace("/?", "/x?"), nothing, b"{}").await,
        send(&url, ("x-amz-target", "DynamoDB_20120810.DeleteTable"), b"{}").await,
    ] {
        assert_eq!(refused, "InvalidSignatureException");
    }
}

/// hassy/artillery-dino#2 on GitHub: "Signature expired", 5 minutes; the other way round as much.
#[tokio::test]
async fn a_signature_is_valid_for_five_minutes_of_the_machines_clock() {
    let world = World::start().await;
    let url = format!("{}/", world.urls().dynamodb);
    let good = world.signs("dynamodb");
    let ask = async |at| dynamodb_error(&Signing { at, ..good.clone() }.request("POST", &url, &LIST, b"{}").await);
    let (now, minute) = (SystemTime::now(), Duration::from_secs(60));
    world.stack().clock().advance(Duration::from_secs(86_400));

    assert_eq!((ask(now - 4 * minute).await.0, ask(now + 4 * minute).await.0), (200, 200));
    let (old, early) = (ask(now - 6 * minute).await, ask(now + 6 * minute).await);

    assert_eq!((old.0, old.1.as_str()), (400, "InvalidSignatureException"));
    assert!(old.2.starts_with("Signature expired: ") && old.2.ends_with(" - 5 min.)"), "{}", old.2);
    assert_eq!((early.0, early.1.as_str()), (400, "InvalidSignatureException"));
    assert!(early.2.starts_with("Signature not yet current: "), "{}", early.2);
}

/// API Gateway developer guide, "Use @connections commands in your backend service"; Lambda API reference, "Common
/// errors".
#[tokio::test]
async fn connections_and_lambda_accept_only_signatures_of_known_keys() {
    let world = World::start().await;
    let connection = format!("{}/%40connections/L0SM9cOFvHcCIhw%3D", world.urls().connections);
    let function = format!("{}/2015-03-31/functions/another/invocations", world.urls().lambda);

    for (service, url, answered) in [("execute-api", &connection, 410), ("lambda", &function, 404)] {
        let good = world.signs(service);
        let ask = async |signing: Signing| header_error(&signing.request("POST", url, &[], b"{}").await);
        let wrong = AccessKey { secret: "guessed".to_owned(), ..good.key.clone() };

        assert_eq!(ask(good.clone()).await.0, answered);
        assert_eq!(
            header_error(&request("POST", url, &[], b"{}").await),
            error(403, "MissingAuthenticationTokenException", "Missing Authentication Token")
        );
        assert_eq!(
            ask(Signing { key: AccessKey::random(), ..good.clone() }).await,
            error(403, "UnrecognizedClientException", "The security token included in the request is invalid.")
        );
        assert_eq!(
            ask(Signing { key: wrong, ..good.clone() }).await,
            error(403, "InvalidSignatureException", MISMATCH)
        );
        assert_eq!(
            ask(Signing { service: "dynamodb", ..good.clone() }).await,
            error(
                403,
                "InvalidSignatureException",
                &format!("Credential should be scoped to correct service: '{service}'.")
            )
        );
    }
}

/// S3 API reference, "Error responses": `InvalidAccessKeyId`, `SignatureDoesNotMatch`, `AuthorizationHeaderMalformed`.
#[tokio::test]
async fn s3_accepts_only_signatures_of_known_keys() {
    let world = World::start().await;
    let url = format!("{}/{BUCKET}?list-type=2", world.urls().s3);
    let good = world.signs("s3");
    let ask = async |signing: Signing| s3_error(&signing.request("GET", &url, &[], b"").await);
    let wrong = AccessKey { secret: "guessed".to_owned(), ..good.key.clone() };

    assert_eq!(ask(good.clone()).await.0, 200);
    assert_eq!(s3_error(&request("GET", &url, &[], b"").await).0, 403);
    assert_eq!(
        ask(Signing { key: AccessKey::random(), ..good.clone() }).await,
        error(403, "InvalidAccessKeyId", "The AWS Access Key Id you provided does not exist in our records.")
    );
    let (status, code, _) = ask(Signing { key: wrong, ..good.clone() }).await;
    assert_eq!((status, code.as_str()), (403, "SignatureDoesNotMatch"));
    assert_eq!(
        ask(Signing { region: "eu-west-1", ..good.clone() }).await,
        error(
            400,
            "AuthorizationHeaderMalformed",
            "The authorization header is malformed; the region 'eu-west-1' is wrong; expecting 'us-east-1'"
        )
    );
}

/// S3 API reference, "Error responses": `RequestTimeTooSkewed`; an answer in aws/aws-sdk-php#612 on GitHub: 15 minutes.
#[tokio::test]
async fn an_s3_signature_is_valid_for_15_minutes_of_the_machines_clock() {
    let world = World::start().await;
    let url = format!("{}/{BUCKET}?list-type=2", world.urls().s3);
    let good = world.signs("s3");
    let ask = async |at| s3_error(&Signing { at, ..good.clone() }.request("GET", &url, &[], b"").await);
    let (now, minute) = (SystemTime::now(), Duration::from_secs(60));
    world.stack().clock().advance(Duration::from_secs(86_400));

    assert_eq!((ask(now - 14 * minute).await.0, ask(now + 14 * minute).await.0), (200, 200));
    let skewed = "The difference between the request time and the current time is too large.";
    for at in [now - 16 * minute, now + 16 * minute] {
        assert_eq!(ask(at).await, error(403, "RequestTimeTooSkewed", skewed));
    }
}

/// S3 API reference, "Authenticating Requests (AWS Signature Version 4)": every `x-amz-*` header must be signed.
#[tokio::test]
async fn headers_for_s3_must_be_signed() {
    let world = World::start().await;
    let url = format!("{}/{BUCKET}/leaf", world.urls().s3);
    let mut headers = world.signs("s3").headers("PUT", &url, &[("x-amz-meta-kind", "mint")], b"tea");
    headers.push(("x-amz-acl".to_owned(), "public-read".to_owned()));
    let headers: Vec<_> = headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();

    let refused = request("PUT", &url, &headers, b"tea").await;

    let message = "There were headers present in the request which were not signed";
    assert_eq!(s3_error(&refused), error(403, "AccessDenied", message));
    assert!(refused.text().contains("<HeadersNotSigned>x-amz-acl</HeadersNotSigned>"), "{}", refused.text());
    assert_eq!(request("PUT", &url, &headers[..headers.len() - 1], b"tea").await.status, 200);
}

/// As in many an issue on GitHub: "Only one auth mechanism allowed".
#[tokio::test]
async fn a_presigned_url_with_an_authorization_header_is_answered_400() {
    let world = World::start().await;
    let url = world.presigns_download("leaf", Duration::from_secs(60)).await;

    let refused = request("GET", &url, &[("authorization", "Bearer mine")], b"").await;

    let message = "Only one auth mechanism allowed; only the X-Amz-Algorithm query parameter, Signature query string \
                   parameter or the Authorization header should be specified";
    assert_eq!(s3_error(&refused), error(400, "InvalidArgument", message));
}

/// S3 API reference, "Authenticating Requests: Using Query Parameters (AWS Signature Version 4)": `X-Amz-Expires`; the
/// answer in bryanjos/aws_auth#31 on GitHub.
#[tokio::test]
async fn a_presigned_url_is_valid_for_a_week_at_most_in_its_region() {
    let world = World::start().await;
    world.s3().put_object().bucket(BUCKET).key("leaf").send().await.unwrap();
    let week = Duration::from_secs(604_800);
    let url = world.presigns_download("leaf", week).await;
    let get = async |url: &str| s3_error(&request("GET", url, &[], b"").await);

    assert_eq!(get(&url).await.0, 200);
    let longer = url.replace("X-Amz-Expires=604800", "X-Amz-Expires=604801");
    let message = "X-Amz-Expires must be less than a week (in seconds); that is, the given X-Amz-Expires must be less \
                   than 604800 seconds";
    assert_eq!(get(&longer).await, error(400, "AuthorizationQueryParametersError", message));
    let elsewhere = url.replace("us-east-1", "eu-west-1");
    let message =
        "Error parsing the X-Amz-Credential parameter; the region 'eu-west-1' is wrong; expecting 'us-east-1'";
    assert_eq!(get(&elsewhere).await, error(400, "AuthorizationQueryParametersError", message));

    world.stack().clock().advance(week + Duration::from_secs(5));
    assert_eq!(get(&url).await, error(403, "AccessDenied", "Request has expired"));
}

/// S3 user guide, "AWS Signature Version 2 turned off".
#[tokio::test]
async fn signature_version_2_is_answered_400() {
    let world = World::start().await;
    let url = format!("{}/{BUCKET}/leaf", world.urls().s3);
    let key = world.stack().access_key();
    let message = "The authorization mechanism you have provided is not supported. Please use AWS4-HMAC-SHA256.";

    let header = format!("AWS {}:c2lnbmF0dXJl", key.id);
    let in_header = request("GET", &url, &[("authorization", &header)], b"").await;
    let query = format!("{url}?AWSAccessKeyId={}&Expires=9999999999&Signature=c2lnbmF0dXJl", key.id);
    let in_query = request("GET", &query, &[], b"").await;

    assert_eq!(s3_error(&in_header), error(400, "InvalidRequest", message));
    assert_eq!(s3_error(&in_query), error(400, "InvalidRequest", message));
}

//! Access control of the local ports, which AWS does not have: a web page from another origin must not read or write
//! data on this machine.

use std::time::Duration;

use serde_json::{Value, json};
use switchboard::local::{Options, Urls};

use crate::support::{BUCKET, PROBE, World, accepted, request, soon};

const PAGE: (&str, &str) = ("origin", "https://evil.example");
const LIST: [(&str, &str); 2] =
    [("content-type", "application/x-amz-json-1.0"), ("x-amz-target", "DynamoDB_20120810.ListTables")];

fn ports(urls: &Urls) -> [(&'static str, String); 5] {
    [
        ("HTTP", format!("{}/health", urls.http)),
        ("WebSocket", urls.connections.clone()),
        ("DynamoDB", format!("{}/", urls.dynamodb)),
        ("S3", format!("{}/{BUCKET}", urls.s3)),
        ("Lambda", format!("{}/2015-03-31/functions/switchboard/invocations", urls.lambda)),
    ]
}

#[tokio::test]
async fn requests_with_a_foreign_host_are_refused_on_every_port() {
    let mut world = World::with(|options| Options { fault_control: true, ..options }).await;
    let faults = ("faults", format!("{}/_faults", world.urls().http));
    for (port, url) in ports(world.urls()).into_iter().chain([faults]) {
        for host in ["evil.example", "evil.example:7070", "localhost:1", "localhost.evil.example", "192.0.2.1"] {
            let refused = request("GET", &url, &[("host", host)], b"").await;
            assert_eq!(refused.status, 403, "{port} accepts the host {host}");
            let body: Value = serde_json::from_slice(&refused.bytes).unwrap();
            let hint = format!("start with --allow-host {}", host.split(':').next().unwrap());
            assert!(body["message"].as_str().unwrap().ends_with(&hint), "{body}");
        }
    }
    world.has_invoked_nothing_else();
}

#[tokio::test]
async fn requests_to_the_address_localhost_and_allowed_hosts_are_accepted() {
    let allowed_hosts = vec!["chat.test".to_owned()];
    let mut world = World::with(|options| Options { allowed_hosts, ..options }).await;
    let ports = ports(world.urls());
    for (port, url) in ports {
        let own = url.split('/').nth(2).unwrap().to_owned();
        let number = own.rsplit(':').next().unwrap();
        for host in
            [&own, "127.0.0.1", "localhost", &format!("localhost:{number}"), "[::1]", "chat.test", "Chat.Test:8443"]
        {
            let response = tokio::spawn({
                let (url, host) = (url.clone(), host.to_owned());
                async move { request("GET", &url, &[("host", &host)], b"").await }
            });
            if port == "HTTP" {
                world.invoked().await.answers(accepted());
            }
            let answer = soon("no response arrived", response).await.unwrap();
            assert!(!answer.text().contains("--allow-host"), "{port} rejects the host {host}");
        }
    }
}

#[tokio::test]
async fn web_pages_cannot_use_dynamodb_lambda_and_connections_even_signed() {
    let mut world = World::start().await;
    let mut client = world.connect().await;
    let urls = world.urls();
    let connection = format!("{}/%40connections/{}", urls.connections, client.id.replace('=', "%3D"));
    let function = format!("{}/2015-03-31/functions/switchboard/invocations", urls.lambda);
    for (service, url, headers) in [
        ("dynamodb", format!("{}/", urls.dynamodb), LIST.as_slice()),
        ("execute-api", connection, &[]),
        ("lambda", function, &[]),
    ] {
        let headers = world.signs(service).headers("POST", &url, headers, b"{}");
        for page in [PAGE, ("origin", "null"), ("origin", urls.http.as_str()), ("sec-fetch-site", "same-site")] {
            let mut headers: Vec<_> = headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
            headers.push(page);
            let refused = request("POST", &url, &headers, b"{}").await;
            assert_eq!(
                (refused.status, refused.optional_header("access-control-allow-origin")),
                (403, None),
                "{service}"
            );
            assert!(refused.text().contains("web pages may not use this port"), "{service}: {}", refused.text());
            let preflight = [page, ("access-control-request-method", "POST")];
            let refused = request("OPTIONS", &url, &preflight, b"").await;
            assert_eq!(
                (refused.status, refused.optional_header("access-control-allow-origin")),
                (403, None),
                "{service}"
            );
        }
    }
    assert_eq!(client.pings().await, None);
    world.has_invoked_nothing_else();
}

#[tokio::test]
async fn web_pages_cannot_use_the_runtime_api() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("address");
    let command = format!("printf $AWS_LAMBDA_RUNTIME_API >'{}'; exec python3 \"$0\"", file.display());
    let function = vec!["sh".into(), "-c".into(), command.into(), PROBE.into()];
    let mut world = World::with(|options| Options { function, ..options }).await;
    let _client = world.connect().await;
    let address = std::fs::read_to_string(&file).unwrap();
    let next = format!("http://{address}/2018-06-01/runtime/invocation/next");

    for header in [PAGE, ("sec-fetch-site", "cross-site"), ("host", "evil.example")] {
        assert_eq!(request("GET", &next, &[header], b"").await.status, 403, "{header:?}");
    }
}

#[tokio::test]
async fn web_pages_can_use_only_presigned_urls_of_s3() {
    let world = World::start().await;
    let bucket = format!("{}/{BUCKET}", world.urls().s3);
    let key = format!("{bucket}/leaf");
    let signed = world.signs("s3").headers("GET", &bucket, &[], b"");
    let signed = signed.iter().map(|(name, value)| (name.as_str(), value.as_str())).chain([PAGE]);
    let preflight = [PAGE, ("access-control-request-method", "PUT")];

    for (method, url, headers) in [
        ("GET", &bucket, signed.collect()),
        ("GET", &key, vec![PAGE]),
        ("PUT", &key, vec![PAGE]),
        ("OPTIONS", &key, preflight.to_vec()),
    ] {
        let refused = request(method, url, &headers, b"").await;
        assert_eq!(
            (refused.status, refused.optional_header("access-control-allow-origin")),
            (403, None),
            "{method} {url}"
        );
    }

    let minute = aws_sdk_s3::presigning::PresigningConfig::expires_in(Duration::from_secs(60)).unwrap();
    let upload = world.s3().put_object().bucket(BUCKET).key("leaf").presigned(minute).await.unwrap();
    let download = world.presigns_download("leaf", Duration::from_secs(60)).await;
    assert_eq!(request("OPTIONS", upload.uri(), &preflight, b"").await.status, 200);
    assert_eq!(request("PUT", upload.uri(), &[PAGE], b"tea").await.status, 200);
    let got = request("GET", &download, &[PAGE], b"").await;
    assert_eq!((got.text(), got.optional_header("access-control-allow-origin")), ("tea", Some("https://evil.example")));
}

#[tokio::test]
async fn web_pages_can_chat() {
    let mut world = World::start().await;

    let handshake = world.opens("", &[PAGE]);
    world.invoked().await.answers(accepted());
    let _client = handshake.await.unwrap().unwrap();

    let (_, answer) = world.serves(("GET", "/health"), &[PAGE], b"", accepted()).await;
    assert_eq!((answer.status, answer.optional_header("access-control-allow-origin")), (200, Some("*")));
}

#[tokio::test]
async fn web_pages_cannot_control_faults() {
    let world = World::with(|options| Options { fault_control: true, ..options }).await;
    let url = format!("{}/_faults", world.urls().http);
    let plan = json!({ "storeThrottled": 1000 }).to_string();

    let same_site = ("sec-fetch-site", "same-site");
    let other_port = ("origin", world.urls().s3.as_str());
    for page in [PAGE, ("origin", "null"), same_site, other_port] {
        let refused = request("POST", &url, &[page, ("content-type", "text/plain")], plan.as_bytes()).await;
        assert_eq!(refused.status, 403, "{page:?}");
    }
    let plan: Value = serde_json::from_slice(&request("GET", &url, &[], b"").await.bytes).unwrap();
    assert_eq!(plan["storeThrottled"].as_u64().unwrap_or_default(), 0, "{plan}");
}

#[tokio::test]
async fn the_chat_page_can_control_faults() {
    let world = World::with(|options| Options { fault_control: true, ..options }).await;
    let urls = world.urls();
    let (url, plan) = (format!("{}/_faults", urls.http), json!({ "storeThrottled": 1 }).to_string());
    let page = [("origin", urls.http.as_str()), ("sec-fetch-site", "same-origin")];

    assert_eq!(request("POST", &url, &page, plan.as_bytes()).await.status, 200);
}

#[tokio::test]
async fn the_chat_page_loads_only_from_the_stack_and_runs_no_inline_scripts() {
    let mut world = World::start().await;
    let urls = world.urls();
    let page = request("GET", &format!("{}/", urls.http), &[], b"").await;
    assert_eq!((page.status, page.header("content-type")), (200, "text/html; charset=utf-8"));
    let policy = page.header("content-security-policy");
    let socket = urls.websocket.strip_suffix("/dev").unwrap();
    for part in [
        "default-src 'none';".to_owned(),
        "script-src 'self';".to_owned(),
        "style-src 'self';".to_owned(),
        format!("connect-src 'self' {socket} {};", urls.s3),
        format!("img-src 'self' {};", urls.s3),
    ] {
        assert!(policy.contains(&part), "{part} is not in {policy}");
    }
    let text = page.text();
    assert!(!text.contains("<style") && !text.contains(" style=") && !text.contains("<script>"), "{text}");
    let loaded = text.split(['"']).filter(|part| part.starts_with("/page/"));
    for path in loaded.chain(["/client/switchboard.js", "/page/config.json"]) {
        assert_eq!(request("GET", &format!("{}{path}", urls.http), &[], b"").await.status, 200, "{path}");
    }
    assert_eq!(request("GET", &format!("{}/page/nothing.js", urls.http), &[], b"").await.status, 404);
    world.has_invoked_nothing_else();
}

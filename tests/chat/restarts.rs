//! Restarts of the local stack on the same folder.

use std::path::Path;
use std::process::ExitStatus;

use serde_json::json;
use tokio::time::timeout;

use crate::harness::{Socket, request};
use crate::program::{FREE_PORTS, PATIENCE, Running, connect, local, running};
use crate::uploads::announcement;

/// A stack on a folder.
async fn stack_on(folder: &Path, arguments: &[&str]) -> Running {
    running(&[&["--json", "--data", folder.to_str().unwrap()], arguments].concat()).await
}

/// Stops a stack without any notice.
async fn is_killed(mut stack: Running) {
    stack.process.start_kill().unwrap();
    timeout(PATIENCE, stack.process.wait()).await.unwrap().unwrap();
}

/// Starts a stack that does not start: its status, and what it prints on standard error.
async fn is_not_started_on(folder: &Path, environment: &[(&str, &str)]) -> (ExitStatus, String) {
    let arguments = [&FREE_PORTS, &["--data", folder.to_str().unwrap()][..]].concat();
    let output = timeout(PATIENCE, local(&arguments, environment).output()).await.unwrap().unwrap();
    (output.status, String::from_utf8(output.stderr).unwrap())
}

#[tokio::test]
async fn messages_are_kept_in_the_data_folder() {
    let folder = tempfile::tempdir().unwrap();
    let stack = stack_on(folder.path(), &[]).await;
    let note = json!({ "action": "sendMessage", "recipientId": "ana", "content": "remember" });
    connect(&stack.urls).await.ask(note).await;
    is_killed(stack).await;

    let stack = stack_on(folder.path(), &[]).await;

    let asked = json!({ "action": "getMessages", "recipientId": "ana" });
    let history = connect(&stack.urls).await.ask(asked).await;
    assert_eq!(history["items"][0]["content"], "remember");
}

#[tokio::test]
async fn a_file_that_was_uploaded_just_before_a_crash_is_told_after_the_restart() {
    let folder = tempfile::tempdir().unwrap();
    let stack = stack_on(folder.path(), &["--faults", "{}"]).await;
    let mut ana = connect(&stack.urls).await;
    let room = ana.creates_room(&[]).await;
    let upload = ana.ask(announcement(&room, "tea.png", 3)).await;

    // Every event kills its function process, so nobody is told of the file.
    let faults = format!("{}/_faults", stack.urls["http"].as_str().unwrap());
    let plan = json!({ "functionKilledBefore": 1000 }).to_string();
    assert_eq!(request("POST", &faults, &[], plan.as_bytes()).await.status, 200);
    let headers = upload["headers"].as_object().unwrap().iter();
    let headers: Vec<_> = headers.map(|(name, value)| (name.as_str(), value.as_str().unwrap())).collect();
    let headers: Vec<_> = headers.into_iter().filter(|(name, _)| *name != "content-length").collect();
    let put = request("PUT", upload["uploadUrl"].as_str().unwrap(), &headers, b"abc").await;
    assert_eq!(put.status, 200);
    is_killed(stack).await;
    let stack = stack_on(folder.path(), &[]).await;

    let mut ana = connect(&stack.urls).await;
    let file = json!({ "action": "resume", "rooms": { room.as_str(): 0 } });
    let told = async {
        loop {
            let resumed = ana.ask(file.clone()).await;
            let items = resumed["rooms"][room.as_str()]["items"].as_array().unwrap().clone();
            if !items.is_empty() {
                return items;
            }
        }
    };
    let items = timeout(PATIENCE, told).await.expect("nobody is told of the file");
    assert_eq!((items.len(), &items[0]["file"]["fileId"]), (1, &upload["fileId"]));

    // Told once: the next stack has nothing left to send.
    is_killed(stack).await;
    let stack = stack_on(folder.path(), &[]).await;
    let mut ana = connect(&stack.urls).await;
    ana.hears_nothing().await;
    let resumed = ana.ask(file).await;
    assert_eq!(resumed["rooms"][room.as_str()]["items"].as_array().unwrap().len(), 1);
    assert_eq!(std::fs::read_dir(folder.path().join("s3-events")).unwrap().count(), 0);
}

#[tokio::test]
async fn a_restarted_stack_has_no_connections_and_keeps_memberships() {
    let folder = tempfile::tempdir().unwrap();
    let stack = stack_on(folder.path(), &[]).await;
    let mut ana = connect(&stack.urls).await;
    let room = ana.ask(json!({ "action": "createRoom", "members": ["ben"] })).await;
    let info = json!({ "action": "roomInfo", "roomId": room["roomId"] });
    let ben = format!("{}?userId=ben", stack.urls["websocket"].as_str().unwrap());
    let _ben = Socket::open(&ben, &[]).await.unwrap();
    assert_eq!(ana.ask(info.clone()).await["onlineCount"], 2);

    is_killed(stack).await;
    let stack = stack_on(folder.path(), &[]).await;

    let mut ana = connect(&stack.urls).await;
    let info = ana.ask(info).await;
    assert_eq!((&info["onlineCount"], &info["participantCount"]), (&json!(1), &json!(2)));
}

#[tokio::test]
async fn a_folder_of_another_version_is_refused_with_one_line() {
    let folder = tempfile::tempdir().unwrap();
    is_killed(stack_on(folder.path(), &[]).await).await;
    let version = folder.path().join("version");
    let current = std::fs::read_to_string(&version).unwrap();

    std::fs::write(&version, "999\n").unwrap();
    let (status, error) = is_not_started_on(folder.path(), &[]).await;
    assert!(!status.success() && error.lines().count() == 1, "{error}");
    assert!(error.contains(folder.path().to_str().unwrap()) && error.contains("version 999"), "{error}");

    // A folder of before there were versions is used if its tables are the same.
    std::fs::remove_file(&version).unwrap();
    is_killed(stack_on(folder.path(), &[]).await).await;
    assert_eq!(std::fs::read_to_string(&version).unwrap(), current);
    std::fs::remove_file(&version).unwrap();
    let (status, error) = is_not_started_on(folder.path(), &[("MEMBERS_TABLE", "ChatRooms")]).await;
    assert!(!status.success() && error.lines().count() == 1, "{error}");
    assert!(error.contains("the table ChatRooms has other keys") && error.contains("--data"), "{error}");
    assert!(!version.exists());
}

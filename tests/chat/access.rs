//! Who may do what: every action and route of the catalogue, called in every role.

use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Map, Value, json};
use switchboard::actions::{Action, HttpRoute};

use crate::harness::{Answer, User, World, token, unchecked};

/// How a user stands to the room of a case.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Role {
    /// Says not who they are.
    Guest,
    /// A member whose session has ended.
    Expired,
    Stranger,
    /// Invited into the room, and has not answered.
    Invited,
    Removed,
    Banned,
    Member,
    /// A member whom another member has blocked: in rooms that both have joined, that changes nothing.
    Blocked,
    Muted,
    Admin,
    Owner,
}

impl Role {
    /// Those who are refused more come first: an act of the others may change the room.
    const ALL: [Self; 11] = [
        Self::Guest,
        Self::Expired,
        Self::Stranger,
        Self::Invited,
        Self::Removed,
        Self::Banned,
        Self::Member,
        Self::Blocked,
        Self::Muted,
        Self::Admin,
        Self::Owner,
    ];

    fn user(self) -> String {
        format!("{self:?}").to_lowercase()
    }

    fn is_in_room(self) -> bool {
        matches!(self, Self::Member | Self::Blocked | Self::Muted | Self::Admin | Self::Owner)
    }

    /// Whether the catalogue lets this role do what requires `access`. `is_open`: users are not authenticated.
    fn may(self, access: &str, is_open: bool) -> bool {
        let is_identified = !matches!(self, Self::Guest | Self::Expired);
        match access {
            "Anyone" => true,
            "Guest" => is_identified || is_open,
            // Without a name they are an anonymous user.
            "Identified" => is_identified || is_open,
            "Caller" | "Connection" | "Bearer" => is_identified,
            "Visitor" | "Sender" | "Listener" | "FileReader" => self.is_in_room(),
            "Writer" => self.is_in_room() && self != Self::Muted,
            "Moderator" => matches!(self, Self::Admin | Self::Owner),
            "Owner" => self == Self::Owner,
            // Whatever the token: the gateway wants a signature of AWS credentials.
            "Backend" => false,
            other => panic!("say here whom the access {other} admits"),
        }
    }
}

/// What handlers refuse although the access admits it, because it depends on the room.
fn is_refused_by_handler(row: &str, role: Role, is_open: bool) -> bool {
    match row {
        // The token is the owner's.
        "refreshToken" => role != Role::Owner && !is_open,
        "joinRoom" | "POST /rooms/join" => role == Role::Banned,
        "handleFileUpload" | "react" => role == Role::Muted,
        // The owner wrote the message.
        "editMessage" | "PATCH /rooms/{roomId}/messages/{seq}" => role != Role::Owner,
        "deleteMessage" | "DELETE /rooms/{roomId}/messages/{seq}" => !matches!(role, Role::Owner | Role::Admin),
        _ => false,
    }
}

struct Mode {
    world: World,
    is_open: bool,
    /// The connections of the roles that have one: all but guests and those whose session has ended.
    users: Vec<(Role, User)>,
    victim: User,
    /// A connection for each action, whose session has ended.
    expired: Vec<User>,
}

fn token_of(user: &str, seconds: u64) -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    token(&json!({ "sub": user, "exp": now + seconds }))
}

async fn connect(world: &World, is_open: bool, user: &str, seconds: u64) -> User {
    let who = if is_open { format!("userId={user}") } else { format!("token={}", token_of(user, seconds)) };
    world.open(&format!("?format=native&{who}")).await.unwrap()
}

impl Mode {
    async fn start(is_open: bool) -> Self {
        let world = match is_open {
            true => World::with(&[("ADD_MEMBERS", "invite")]).await,
            false => World::with_tokens_and(&[("SESSION_MIN_SECONDS", "1"), ("ADD_MEMBERS", "invite")]).await,
        };
        let mut users = Vec::new();
        for role in Role::ALL.into_iter().filter(|role| !matches!(role, Role::Guest | Role::Expired)) {
            users.push((role, connect(&world, is_open, &role.user(), 7_000).await));
        }
        let mut victim = connect(&world, is_open, "victim", 7_000).await;
        victim.ask(json!({ "action": "blockUser", "userId": Role::Blocked.user() })).await;
        let mut expired = Vec::new();
        if !is_open {
            for _ in Action::ALL {
                expired.push(connect(&world, is_open, &Role::Expired.user(), 300).await);
            }
            world.time_passes(400);
        }
        Self { world, is_open, users, victim, expired }
    }

    fn user(&mut self, role: Role) -> &mut User {
        &mut self.users.iter_mut().find(|(known, _)| *known == role).unwrap().1
    }

    async fn does(&mut self, role: Role, frame: Value) -> Value {
        let answer = self.user(role).ask(unchecked(frame.clone())).await;
        assert_ne!(answer["type"], "error", "{frame}: {answer}");
        answer
    }

    /// A room in which every role is what it says.
    async fn room(&mut self) -> String {
        let room = self.does(Role::Owner, json!({ "action": "createRoom" })).await["roomId"].take();
        let about = |action: &str, user: &str| json!({ "action": action, "roomId": room, "userId": user });
        for role in [Role::Removed, Role::Banned, Role::Member, Role::Blocked, Role::Muted, Role::Admin] {
            self.does(role, json!({ "action": "joinRoom", "roomId": room })).await;
        }
        let joined = self.victim.ask(json!({ "action": "joinRoom", "roomId": room })).await;
        assert_eq!(joined["type"], "room", "{joined}");
        let promotion = json!({ "action": "setRole", "roomId": room, "userId": Role::Admin.user(), "role": "admin" });
        self.does(Role::Owner, promotion).await;
        let invitation = json!({ "action": "addMembers", "roomId": room, "members": [Role::Invited.user()] });
        let added = self.does(Role::Owner, invitation).await;
        assert_eq!(added["invited"], json!([Role::Invited.user()]), "{added}");
        self.does(Role::Owner, about("removeMember", &Role::Removed.user())).await;
        self.does(Role::Owner, about("banMember", &Role::Banned.user())).await;
        self.does(Role::Owner, about("muteMember", &Role::Muted.user())).await;
        self.does(Role::Owner, json!({ "action": "sendMessage", "roomId": room, "content": "first" })).await;
        room.as_str().unwrap().to_owned()
    }

    /// Nobody has more than a few invitations of one user that wait for an answer.
    async fn ends_invitation(&mut self, room: &str) {
        self.user(Role::Invited).ask(json!({ "action": "declineInvite", "roomId": room })).await;
    }

    /// A value for a field of a request, by its name; `None` for one that a request can do without.
    async fn value(&mut self, field: &str, room: &str, is_required: bool) -> Option<Value> {
        Some(match field {
            "roomId" => json!(room),
            "userId" => json!("victim"),
            "seq" => json!(1),
            "version" | "slowSeconds" => json!(0),
            _ if !is_required => return None,
            "role" => json!("member"),
            "roomName" => json!("Tea"),
            "level" => json!("mentions"),
            "text" => json!("first"),
            "members" => json!(["victim"]),
            "emoji" => json!("👍"),
            "content" => json!("hello"),
            "reason" => json!("spam"),
            "rooms" => json!({ room: 0 }),
            "messages" => json!([{ "content": "hello", "clientMessageId": "m1" }]),
            "fileName" => json!("a.txt"),
            "contentType" => json!("text/plain"),
            "size" => json!(4),
            "latitude" | "longitude" => json!(1),
            "invite" => json!("a-code"),
            "exportId" => json!("an-export"),
            "fileId" => self.file(room).await,
            "token" => json!(token_of(&Role::Owner.user(), 7_000)),
            other => panic!("say here what the field {other} can be"),
        })
    }

    /// A file in the room.
    async fn file(&mut self, room: &str) -> Value {
        let file = json!({
            "action": "handleFileUpload", "roomId": room, "fileName": "a.txt", "contentType": "text/plain", "size": 4
        });
        let upload = self.does(Role::Owner, file).await;
        let headers = upload["headers"].as_object().unwrap().iter();
        let headers: Vec<_> = headers.map(|(name, value)| (name.as_str(), value.as_str().unwrap())).collect();
        self.world.fetch("PUT", upload["uploadUrl"].as_str().unwrap(), &headers, "text".into()).await;
        while self.user(Role::Owner).hears("message").await["file"]["fileId"] != upload["fileId"] {}
        upload["fileId"].clone()
    }

    async fn fields(&mut self, schema: &Value, room: &str) -> Map<String, Value> {
        let required: Vec<_> = schema["required"].as_array().into_iter().flatten().cloned().collect();
        let mut fields = Map::new();
        for field in schema["properties"].as_object().into_iter().flatten().map(|(field, _)| field) {
            let is_required = required.contains(&json!(field));
            let value = if field == "action" { None } else { self.value(field, room, is_required).await };
            fields.extend(value.map(|value| (field.clone(), value)));
        }
        fields
    }

    /// The status of an action: of its answer, or where there is none of the log.
    async fn act(&mut self, role: Role, action: Action, frame: &Value) -> (u64, String) {
        if action != Action::TypingIndicator {
            let mut expired = if role == Role::Expired { self.expired.pop() } else { None };
            let user = match &mut expired {
                Some(user) => user,
                None => self.user(role),
            };
            let answer = user.ask(unchecked(frame.clone())).await;
            let code = answer["code"].as_str().unwrap_or("OK").to_owned();
            return (answer["status"].as_u64().unwrap_or(200), code);
        }
        let mut expired = if role == Role::Expired { self.expired.pop() } else { None };
        match &mut expired {
            Some(user) => user.send(unchecked(frame.clone())).await,
            None => self.user(role).send(unchecked(frame.clone())).await,
        }
        let user = role.user();
        let line = self.world.logs(|line| line["route"] == action.key() && line["user_id"] == user).await;
        (line["status"].as_u64().unwrap(), line["code"].as_str().unwrap().to_owned())
    }

    async fn call(&self, role: Role, route: HttpRoute, mut fields: Map<String, Value>) -> Answer {
        let (method, path) = route.key().split_once(' ').unwrap();
        let mut path = path.to_owned();
        for (name, value) in &fields {
            path = path.replace(&format!("{{{name}}}"), &value.to_string().replace('"', ""));
        }
        let user = Some(role.user()).filter(|_| role != Role::Guest);
        let seconds = if role == Role::Expired { 300 } else { 7_000 };
        let bearer = user.as_ref().map(|user| format!("Bearer {}", token_of(user, seconds)));
        let mut headers = vec![("content-type", "application/json")];
        if let (Some(user), true) = (&user, self.is_open) {
            fields.insert("userId".to_owned(), json!(user));
        } else if let Some(bearer) = &bearer {
            headers.push(("authorization", bearer));
        }
        let has_body = ["PATCH", "POST"].contains(&method);
        let body = if has_body { json!(fields).to_string() } else { String::new() };
        if !has_body {
            let text = |value: &Value| value.to_string().replace('"', "");
            let query: Vec<_> = fields.iter().map(|(name, value)| format!("{name}={}", text(value))).collect();
            path = format!("{path}?{}", query.join("&"));
        }
        self.world.request(method, &path, &headers, unchecked(body)).await
    }
}

/// The schema of a request: an action's, or that of a route's parameters and body.
fn schema_of(row: &str) -> Value {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/schema");
    let read =
        |name: &str| -> Value { serde_json::from_str(&std::fs::read_to_string(folder.join(name)).unwrap()).unwrap() };
    let Some((method, path)) = row.split_once(' ') else { return read(&format!("requests/{row}.json")) };
    let operation = &read("openapi.json")["paths"][path][method.to_lowercase()];
    let mut schema = operation["requestBody"]["content"]["application/json"]["schema"].clone();
    if schema.is_null() {
        schema = json!({ "properties": {}, "required": [] });
    }
    let parameters = operation["parameters"].as_array().into_iter().flatten();
    for parameter in parameters.filter(|parameter| parameter["in"] != "header") {
        let name = parameter["name"].as_str().unwrap();
        schema["properties"][name] = json!({});
        if parameter["required"] == true {
            schema["required"].as_array_mut().unwrap().push(json!(name));
        }
    }
    schema
}

/// The problem, where the outcome is not the one that the catalogue declares.
fn problem(row: &str, access: &str, role: Role, is_open: bool, (status, code): (u64, &str)) -> Option<String> {
    let is_allowed = role.may(access, is_open) && !is_refused_by_handler(row, role, is_open);
    // In open mode a request must say whose it is: that is a missing field.
    let is_refused = matches!(status, 401 | 403) || (role == Role::Guest && code == "INVALID_FIELD");
    let is_right = status < 500 && is_allowed != is_refused;
    (!is_right).then(|| format!("{row} ({access}) as {role:?}, open: {is_open}: {status} {code}"))
}

async fn walk(is_open: bool) -> Vec<String> {
    let mut mode = Mode::start(is_open).await;
    let mut problems = Vec::new();
    let has_expired = |role: &Role| *role != Role::Expired || !is_open;
    for &action in Action::ALL {
        let room = mode.room().await;
        let mut frame = Value::Object(mode.fields(&schema_of(action.key()), &room).await);
        frame["action"] = json!(action.key());
        // A guest has no connection, or one of an anonymous user, who is a stranger.
        for role in Role::ALL.into_iter().filter(has_expired).filter(|role| *role != Role::Guest) {
            let (status, code) = mode.act(role, action, &frame).await;
            problems.extend(problem(action.key(), action.access(), role, is_open, (status, &code)));
        }
        mode.ends_invitation(&room).await;
    }
    for &route in HttpRoute::ALL {
        let room = mode.room().await;
        let mut fields = mode.fields(&schema_of(route.key()), &room).await;
        // Over HTTP that is the caller.
        fields.remove("userId");
        for role in Role::ALL.into_iter().filter(has_expired) {
            let answer = mode.call(role, route, fields.clone()).await;
            let code = answer.body["code"].as_str().unwrap_or("OK").to_owned();
            problems.extend(problem(route.key(), route.access(), role, is_open, (answer.status.into(), &code)));
        }
        mode.ends_invitation(&room).await;
    }
    if !is_open {
        assert_eq!(mode.world.open("").await.err(), Some(401), "a guest connects");
    }
    problems
}

#[tokio::test]
async fn every_action_and_route_admits_whom_the_catalogue_says_in_open_mode() {
    let problems = walk(true).await;
    assert!(problems.is_empty(), "{problems:#?}");
}

#[tokio::test]
async fn every_action_and_route_admits_whom_the_catalogue_says_with_tokens() {
    let problems = walk(false).await;
    assert!(problems.is_empty(), "{problems:#?}");
}

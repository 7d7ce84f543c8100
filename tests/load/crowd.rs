//! The clients, and the posts to them.

use futures_util::future;
use futures_util::stream::{self, StreamExt};
use switchboard::local::{AccessKey, clients};

use super::function;
use super::harness::Socket;

/// Concurrent handshakes, requests or posts.
const AT_ONCE: usize = 64;

pub struct Client {
    id: String,
    socket: Socket,
}

impl Client {
    pub async fn open(url: &str) -> Self {
        let (socket, _) = Socket::open(url, &[]).await.unwrap();
        Self { id: String::new(), socket }
    }

    pub async fn open_many(url: &str, count: usize) -> Vec<Self> {
        stream::iter(0..count).map(|_| Self::open(url)).buffer_unordered(AT_ONCE).collect().await
    }

    pub async fn learns_its_id(&mut self) {
        self.id = self.asks("who am I?").await;
        assert_eq!(self.id.len(), 16, "{}", self.id);
    }

    pub async fn lets_the_function_crash(&mut self) {
        let told = self.asks(function::CRASH).await;
        assert!(told.contains("Internal server error"), "{told}");
    }

    async fn asks(&mut self, what: &str) -> String {
        self.socket.send(what).await.unwrap();
        self.hears().await
    }

    async fn hears(&mut self) -> String {
        let heard = self.socket.receive().await.expect("the connection has ended").expect("the connection failed");
        heard.into_text().unwrap().as_str().to_owned()
    }
}

pub async fn learn_ids(crowd: &mut [Client]) {
    stream::iter(crowd).for_each_concurrent(AT_ONCE, Client::learns_its_id).await;
}

/// `@connections`.
pub struct Posts(aws_sdk_apigatewaymanagement::Client);

impl Posts {
    pub fn new(url: &str, key: &AccessKey) -> Self {
        Self(clients::connections(url, key).unwrap())
    }
}

/// Posts to all clients, and waits until each has received exactly that.
pub async fn broadcast(posts: &Posts, crowd: &mut [Client], text: &str) {
    let ids: Vec<_> = crowd.iter().map(|client| client.id.clone()).collect();
    let posted = stream::iter(ids).for_each_concurrent(AT_ONCE, async |id| {
        posts.0.post_to_connection().connection_id(id).data(text.as_bytes().to_vec().into()).send().await.unwrap();
    });
    let heard = future::join_all(crowd.iter_mut().map(async |client| assert_eq!(client.hears().await, text)));
    tokio::join!(posted, heard);
}

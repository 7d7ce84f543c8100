//! The clients, and the posts to them.

use futures_util::future;
use futures_util::stream::{self, StreamExt};
use switchboard::local::{AccessKey, clients};

use super::function;
use super::harness::Socket;

/// Concurrent handshakes, requests or posts.
const CONCURRENCY: usize = 64;

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
        stream::iter(0..count).map(|_| Self::open(url)).buffer_unordered(CONCURRENCY).collect().await
    }

    pub async fn fetches_its_id(&mut self) {
        self.id = self.asks("connection id").await;
        assert_eq!(self.id.len(), 16, "{}", self.id);
    }

    pub async fn crashes_the_function(&mut self) {
        let response = self.asks(function::CRASH).await;
        assert!(response.contains("Internal server error"), "{response}");
    }

    async fn asks(&mut self, what: &str) -> String {
        self.socket.send(what).await.unwrap();
        self.hears().await
    }

    async fn hears(&mut self) -> String {
        let frame = self.socket.receive().await.expect("the connection was closed").expect("the connection failed");
        frame.into_text().unwrap().as_str().to_owned()
    }
}

pub async fn fetch_ids(crowd: &mut [Client]) {
    stream::iter(crowd).for_each_concurrent(CONCURRENCY, Client::fetches_its_id).await;
}

/// `@connections`.
pub struct Posts(aws_sdk_apigatewaymanagement::Client);

impl Posts {
    pub fn new(url: &str, key: &AccessKey) -> Self {
        Self(clients::connections(url, key).unwrap())
    }
}

/// Posts to all clients, and waits until each has received exactly that text.
pub async fn broadcast(posts: &Posts, crowd: &mut [Client], text: &str) {
    let ids: Vec<_> = crowd.iter().map(|client| client.id.clone()).collect();
    let posted = stream::iter(ids).for_each_concurrent(CONCURRENCY, async |id| {
        posts.0.post_to_connection().connection_id(id).data(text.as_bytes().to_vec().into()).send().await.unwrap();
    });
    let received = future::join_all(crowd.iter_mut().map(async |client| assert_eq!(client.hears().await, text)));
    tokio::join!(posted, received);
}

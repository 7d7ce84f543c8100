//! The database engine, which blocks its thread and therefore has its own.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::time::Duration;

use dynoxide::Database;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use uuid::Uuid;

/// Interval of the TTL deletion.
const TTL_INTERVAL: Duration = Duration::from_secs(10 * 60);

/// Starts the engine. It stops when the returned sender is dropped.
///
/// # Errors
/// The database cannot be opened, or no port or thread is available.
pub async fn start(data: Option<&Path>) -> Result<(SocketAddr, Database, oneshot::Sender<()>), String> {
    let database = open(data)?;
    let listener = bind().await.map_err(|error| error.to_string())?;
    let address = listener.local_addr().map_err(|error| error.to_string())?;
    let listener = listener.into_std().map_err(|error| error.to_string())?;
    let (stop, stopped) = oneshot::channel::<()>();
    let served = database.clone();
    std::thread::Builder::new()
        .name("dynamodb".to_owned())
        .spawn(move || run(listener, served, stopped))
        .map_err(|error| error.to_string())?;
    Ok((address, database, stop))
}

/// The engine accepts unsigned requests, so it listens on a random loopback address (127.0.0.0/8) that a web page
/// cannot guess, if the machine has more than one.
async fn bind() -> std::io::Result<TcpListener> {
    let [_, a, b, c, ..] = Uuid::new_v4().into_bytes();
    match TcpListener::bind((Ipv4Addr::new(127, a, b, c), 0)).await {
        Ok(listener) => Ok(listener),
        Err(_) => TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await,
    }
}

fn open(data: Option<&Path>) -> Result<Database, String> {
    let Some(data) = data else { return Database::memory().map_err(|error| error.to_string()) };
    std::fs::create_dir_all(data).map_err(|error| format!("{}: {error}", data.display()))?;
    let file = data.join("dynamodb.sqlite");
    Database::new(&file.to_string_lossy()).map_err(|error| format!("{}: {error}", file.display()))
}

fn run(listener: std::net::TcpListener, database: Database, stopped: oneshot::Receiver<()>) {
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return tracing::error!(%error, "the runtime of the embedded DynamoDB failed to start"),
    };
    runtime.block_on(async {
        let served = match TcpListener::from_std(listener) {
            Ok(listener) => {
                let stopped = async { drop(stopped.await) };
                let ttl = tokio::spawn(delete_expired_rows(database.clone()));
                let served = dynoxide::server::serve_with_shutdown(listener, database, stopped).await;
                ttl.abort();
                served
            }
            Err(error) => Err(error.to_string()),
        };
        if let Err(error) = served {
            tracing::error!(%error, "the embedded DynamoDB stopped unexpectedly");
        }
    });
}

/// Deletes expired rows with a delay, as DynamoDB's TTL does.
async fn delete_expired_rows(database: Database) {
    loop {
        tokio::time::sleep(TTL_INTERVAL).await;
        if let Err(error) = database.sweep_ttl() {
            tracing::warn!(%error, "failed to delete expired rows");
        }
    }
}

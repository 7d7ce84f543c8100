//! The function: it responds to each message with the id of the connection.

use std::process::ExitCode;

use lambda_runtime::{Error, LambdaEvent, service_fn};
use serde_json::{Value, json};

/// The argument that runs this program as the function.
pub const ARGUMENT: &str = "--as-function";
/// The message that makes it crash.
pub const CRASH: &str = "crash";

pub fn serve() -> ExitCode {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(lambda_runtime::run(service_fn(answer))).unwrap();
    ExitCode::SUCCESS
}

async fn answer(event: LambdaEvent<Value>) -> Result<Value, Error> {
    if event.payload["body"] == CRASH {
        std::process::exit(1);
    }
    Ok(json!({ "statusCode": 200, "body": event.payload["requestContext"]["connectionId"] }))
}

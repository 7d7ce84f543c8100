//! The local stack: API Gateway, Lambda, DynamoDB, S3 and EventBridge in one process.
//!
//! The function runs in child processes, as on Lambda, and uses the services through the AWS SDK over sockets: nothing
//! in it knows that it runs locally. See [`Stack`], and README.md in this folder for how faithful the stack is to AWS.

mod bus;
mod calls;
pub mod clients;
mod clock;
pub mod console;
mod data_folder;
mod dynamodb;
mod environment;
pub mod faults;
mod gateway;
mod guard;
pub mod issuer;
mod keys;
mod lambda;
mod network;
pub mod open_files;
mod options;
mod request_faults;
mod s3;
mod schedule;
mod services;
mod sigv4;
mod stack;
mod streams;
pub mod token;

use std::sync::Arc;

pub use bus::{Bus, BusOptions, Secret};
pub use calls::AwsCall;
pub use clock::Clock;
pub use dynamodb::StoreCall;
pub use keys::{AccessKey, AccessKeyError};
pub use options::Options;
pub use s3::S3_CORS_HEADERS;
pub use stack::{Stack, StartError, Urls};

/// Receives each line that the function logs.
pub type LogSink = Arc<dyn Fn(&str) + Send + Sync>;

const REGION: &str = "us-east-1";
/// The default bucket.
const BUCKET: &str = "switchboard-uploads";

//! Prepares the tables at start.

use std::collections::BTreeSet;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::error::{BuildError, DisplayErrorContext};
use aws_sdk_dynamodb::types::{
    AttributeDefinition, BillingMode, GlobalSecondaryIndex, KeySchemaElement, KeyType, Projection, ProjectionType,
    ScalarAttributeType, StreamSpecification, StreamViewType, TableDescription, TimeToLiveSpecification,
};

use crate::local::clients;
use crate::local::keys::AccessKey;
use crate::tables::{self, StreamView, Table, TableNames};

/// The tables of live connections.
const OF_CONNECTIONS: [&Table; 2] = [&tables::CONNECTIONS, &tables::SUBSCRIPTIONS];

/// The tables cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// A table that an earlier run has left is not the one that this version uses.
    #[error("{0}")]
    OtherKeys(String),
    #[error("{0}")]
    Other(String),
}

/// Creates missing tables, through the API, and empties those of connections. If `has_streams`, those that are streamed
/// have a stream.
///
/// # Errors
/// A table has other keys: then nothing is changed. Or a table cannot be created.
pub async fn prepare(endpoint: &str, key: &AccessKey, names: &TableNames, has_streams: bool) -> Result<(), Failure> {
    let client = clients::dynamodb(endpoint, key).map_err(|error| Failure::Other(error.to_string()))?;
    let mut missing = Vec::new();
    for table in tables::ALL {
        let name = names.of(table);
        match describe(&client, name).await.map_err(|error| failed(name, error))? {
            None => missing.push(*table),
            Some(known) if has_keys_of(&known, table) => {}
            Some(_) => {
                let problem = format!("the table {name} has other keys or indexes than this version uses");
                return Err(Failure::OtherKeys(problem));
            }
        }
    }
    for table in tables::ALL {
        let name = names.of(table);
        let is_missing = missing.iter().any(|missing| missing.variable == table.variable);
        let is_of_connections = OF_CONNECTIONS.iter().any(|of| of.variable == table.variable);
        if is_of_connections && !is_missing {
            let deleted = client.delete_table().table_name(name).send().await;
            deleted.map_err(|error| failed(name, error.into()))?;
        }
        if is_of_connections || is_missing {
            create_table(&client, table, name).await.map_err(|error| failed(name, error))?;
        }
    }
    for (table, view) in tables::STREAMED.iter().filter(|_| has_streams) {
        let name = names.of(table);
        enable_stream(&client, name, *view).await.map_err(|error| failed(name, error))?;
    }
    Ok(())
}

async fn enable_stream(client: &Client, name: &str, view: StreamView) -> Result<(), aws_sdk_dynamodb::Error> {
    let known = describe(client, name).await?.and_then(|table| table.stream_specification);
    if known.is_some_and(|stream| stream.stream_enabled) {
        return Ok(());
    }
    let view = StreamViewType::from(view.name());
    let stream = StreamSpecification::builder().stream_enabled(true).stream_view_type(view).build()?;
    client.update_table().table_name(name).stream_specification(stream).send().await?;
    Ok(())
}

fn failed(table: &str, error: aws_sdk_dynamodb::Error) -> Failure {
    Failure::Other(format!("table {table}: {}", DisplayErrorContext(error)))
}

/// `None` if the table does not exist.
async fn describe(client: &Client, name: &str) -> Result<Option<TableDescription>, aws_sdk_dynamodb::Error> {
    match client.describe_table().table_name(name).send().await {
        Ok(described) => Ok(described.table),
        Err(error) if error.as_service_error().is_some_and(|error| error.is_resource_not_found_exception()) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Whether an existing table has the keys and the indexes of the catalogue.
fn has_keys_of(known: &TableDescription, table: &Table) -> bool {
    let keys = |schema: &[KeySchemaElement]| -> Vec<String> {
        schema.iter().map(|element| element.attribute_name().to_owned()).collect()
    };
    let own: Vec<_> = [Some(table.partition_key), table.sort_key].into_iter().flatten().collect();
    let has_index = |index: &tables::Index| {
        known.global_secondary_indexes().iter().any(|known| {
            known.index_name() == Some(index.name) && keys(known.key_schema()) == [index.partition_key, index.sort_key]
        })
    };
    keys(known.key_schema()) == own && table.indexes.iter().all(has_index)
}

async fn create_table(client: &Client, table: &Table, name: &str) -> Result<(), aws_sdk_dynamodb::Error> {
    let mut request = client
        .create_table()
        .table_name(name)
        .billing_mode(BillingMode::PayPerRequest)
        .set_key_schema(Some(key_schema(table.partition_key, table.sort_key)?));
    for index in table.indexes {
        request = request.global_secondary_indexes(
            GlobalSecondaryIndex::builder()
                .index_name(index.name)
                .set_key_schema(Some(key_schema(index.partition_key, Some(index.sort_key))?))
                .projection(projection(index.includes))
                .build()?,
        );
    }
    for attribute in key_attributes(table) {
        request = request.attribute_definitions(
            AttributeDefinition::builder().attribute_name(attribute).attribute_type(ScalarAttributeType::S).build()?,
        );
    }
    request.send().await?;
    let ttl = TimeToLiveSpecification::builder().attribute_name(tables::TTL).enabled(true).build()?;
    client.update_time_to_live().table_name(name).time_to_live_specification(ttl).send().await?;
    Ok(())
}

fn projection(attributes: &[&str]) -> Projection {
    let projection = match attributes {
        [] => Projection::builder().projection_type(ProjectionType::KeysOnly),
        names => Projection::builder()
            .projection_type(ProjectionType::Include)
            .set_non_key_attributes(Some(names.iter().map(|&name| name.to_owned()).collect())),
    };
    projection.build()
}

/// The distinct key attributes of a table and its indexes.
fn key_attributes(table: &Table) -> BTreeSet<&'static str> {
    let keys = [Some(table.partition_key), table.sort_key].into_iter().flatten();
    keys.chain(table.indexes.iter().flat_map(|index| [index.partition_key, index.sort_key])).collect()
}

fn key_schema(partition: &str, sort: Option<&str>) -> Result<Vec<KeySchemaElement>, BuildError> {
    let element = |name: &str, kind: KeyType| KeySchemaElement::builder().attribute_name(name).key_type(kind).build();
    let mut schema = vec![element(partition, KeyType::Hash)?];
    if let Some(sort) = sort {
        schema.push(element(sort, KeyType::Range)?);
    }
    Ok(schema)
}

//! Creates the tables at start.

use std::collections::BTreeSet;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::error::BuildError;
use aws_sdk_dynamodb::types::{
    AttributeDefinition, BillingMode, GlobalSecondaryIndex, KeySchemaElement, KeyType, Projection, ProjectionType,
    ScalarAttributeType, TimeToLiveSpecification,
};

use crate::local::clients;
use crate::local::keys::AccessKey;
use crate::tables::{self, Table, TableNames};

/// Creates missing tables, through the API.
///
/// # Errors
/// A table cannot be created.
pub async fn create_missing(endpoint: &str, key: &AccessKey, names: &TableNames) -> Result<(), String> {
    let client = clients::dynamodb(endpoint, key).map_err(|error| error.to_string())?;
    for table in tables::ALL {
        create_table(&client, table, names.of(table)).await.map_err(|error| {
            format!("table {}: {}", names.of(table), aws_sdk_dynamodb::error::DisplayErrorContext(error))
        })?;
    }
    Ok(())
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
    match request.send().await {
        Ok(_) => {}
        // It exists since an earlier run.
        Err(error) if error.as_service_error().is_some_and(|error| error.is_resource_in_use_exception()) => {
            return Ok(());
        }
        Err(error) => return Err(error.into()),
    }
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

//! Expressions of DynamoDB, with their names and values.

use std::collections::HashMap;

use aws_sdk_dynamodb::types::AttributeValue;

/// Words of the expression language; every other word is the name of an attribute.
const KEYWORDS: &[&str] = &[
    "ADD",
    "AND",
    "BETWEEN",
    "DELETE",
    "NOT",
    "OR",
    "REMOVE",
    "SET",
    "attribute_exists",
    "attribute_not_exists",
    "contains",
    "if_not_exists",
];

/// The expressions of one request. Attributes are written by their names: the builder replaces each by a placeholder,
/// since many are reserved words.
/// <https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Expressions.html>
#[derive(Clone, Debug, Default)]
pub(super) struct Statement {
    pub update: Option<String>,
    pub condition: Option<String>,
    pub key: Option<String>,
    pub filter: Option<String>,
    names: HashMap<String, String>,
    values: HashMap<String, AttributeValue>,
}

impl Statement {
    /// What an update changes.
    pub fn update(expression: &str) -> Self {
        let mut statement = Self::default();
        statement.update = Some(statement.named(expression));
        statement
    }

    /// Which items a query reads.
    pub fn query(key_condition: &str) -> Self {
        let mut statement = Self::default();
        statement.key = Some(statement.named(key_condition));
        statement
    }

    /// What must hold for a write.
    pub fn when(mut self, condition: &str) -> Self {
        let condition = self.named(condition);
        self.condition = Some(match self.condition.take() {
            Some(other) => format!("({other}) AND ({condition})"),
            None => condition,
        });
        self
    }

    /// Which of the items that a query reads it returns.
    pub fn filter(mut self, filter: &str) -> Self {
        let filter = self.named(filter);
        self.filter = Some(match self.filter.take() {
            Some(other) => format!("{other} AND {filter}"),
            None => filter,
        });
        self
    }

    /// The attribute behind a placeholder, such as `#user`, whose name is data.
    pub fn attribute(mut self, placeholder: &str, name: String) -> Self {
        self.names.insert(placeholder.to_owned(), name);
        self
    }

    /// The value of a placeholder, such as `:now`.
    pub fn bind(mut self, placeholder: &str, value: impl Into<Value>) -> Self {
        self.values.insert(placeholder.to_owned(), value.into().0);
        self
    }

    /// As [`Statement::bind`], of a value as it is in a row.
    pub fn bind_value(mut self, placeholder: &str, value: AttributeValue) -> Self {
        self.values.insert(placeholder.to_owned(), value);
        self
    }

    /// The names behind the placeholders; nothing where there are none, which DynamoDB would refuse.
    pub fn names(&self) -> Option<HashMap<String, String>> {
        Some(self.names.clone()).filter(|names| !names.is_empty())
    }

    /// As [`Statement::names`], of the values.
    pub fn values(&self) -> Option<HashMap<String, AttributeValue>> {
        Some(self.values.clone()).filter(|values| !values.is_empty())
    }

    fn named(&mut self, expression: &str) -> String {
        let is_word = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '_' | ':' | '#');
        let mut named = String::with_capacity(expression.len() + 16);
        for token in expression.split_inclusive(|letter| !is_word(letter)) {
            let word = token.trim_end_matches(|letter| !is_word(letter));
            if word.starts_with(|letter: char| letter.is_ascii_alphabetic()) && !KEYWORDS.contains(&word) {
                named.push('#');
                self.names.insert(format!("#{word}"), word.to_owned());
            }
            named.push_str(token);
        }
        named
    }
}

/// The value of a placeholder.
pub(super) struct Value(AttributeValue);

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self(AttributeValue::S(text.to_owned()))
    }
}

impl From<i64> for Value {
    fn from(number: i64) -> Self {
        Self(AttributeValue::N(number.to_string()))
    }
}

impl From<bool> for Value {
    fn from(flag: bool) -> Self {
        Self(AttributeValue::Bool(flag))
    }
}

/// A set of texts.
impl From<Vec<String>> for Value {
    fn from(texts: Vec<String>) -> Self {
        Self(AttributeValue::Ss(texts))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attributes_become_placeholders_and_keywords_stay() {
        let statement = Statement::update("SET status = :closed, lastSeq = :seq REMOVE cell")
            .when("attribute_exists(id) AND (attribute_not_exists(max) OR count < max)")
            .bind(":closed", "closed");
        assert_eq!(statement.update.as_deref(), Some("SET #status = :closed, #lastSeq = :seq REMOVE #cell"));
        let condition = "attribute_exists(#id) AND (attribute_not_exists(#max) OR #count < #max)";
        assert_eq!(statement.condition.as_deref(), Some(condition));
        assert_eq!(statement.names().unwrap().len(), 6);
        assert_eq!(statement.values().unwrap().len(), 1);
    }
}

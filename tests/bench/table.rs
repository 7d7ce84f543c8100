//! Figures, and their table.

use std::fmt;

use serde::Serialize;

/// The goal of a figure.
#[derive(Clone, Copy, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Goal {
    AtMost(f64),
    AtLeast(f64),
}

impl Goal {
    fn holds(self, value: f64) -> bool {
        match self {
            Self::AtMost(most) => value <= most,
            Self::AtLeast(least) => value >= least,
        }
    }
}

impl fmt::Display for Goal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AtMost(most) => write!(f, "at most {}", Readable(*most)),
            Self::AtLeast(least) => write!(f, "at least {}", Readable(*least)),
        }
    }
}

/// A measurement.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Figure {
    /// The group, as in `scripts/bench --only GROUP`.
    pub group: &'static str,
    pub name: String,
    pub value: f64,
    pub unit: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub goal: Option<Goal>,
    /// Whether the goal is met, if there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub holds: Option<bool>,
}

impl Figure {
    /// A figure without a goal.
    pub fn new(group: &'static str, name: impl Into<String>, value: f64, unit: &'static str) -> Self {
        Self { group, name: name.into(), value, unit, goal: None, holds: None }
    }

    /// The same figure with a goal.
    pub fn with_goal(self, goal: Goal) -> Self {
        Self { holds: Some(goal.holds(self.value)), goal: Some(goal), ..self }
    }
}

/// The head of the Markdown table whose rows are figures.
pub const HEAD: &str = "| | figure | | goal | |\n|---|---|---:|---:|---|";

impl fmt::Display for Figure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { group, name, unit, .. } = self;
        let goal = self.goal.map(|goal| goal.to_string()).unwrap_or_default();
        let verdict = match self.holds {
            Some(true) => "met",
            Some(false) => "missed",
            None => "",
        };
        let value = format!("{} {unit}", Readable(self.value));
        write!(f, "| {group} | {name} | {} | {goal} | {verdict} |", value.trim_end())
    }
}

/// A number for human readers.
pub fn readable(value: f64) -> String {
    Readable(value).to_string()
}

/// `1,234,567`, `12.3`, `0.0123`: with as many digits as are significant.
struct Readable(f64);

impl fmt::Display for Readable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let value = self.0;
        if value.fract() == 0.0 || value.abs() >= 1000.0 {
            let digits = format!("{:.0}", value.abs());
            let groups: Vec<_> = digits.as_bytes().rchunks(3).rev().map(String::from_utf8_lossy).collect();
            return write!(f, "{}{}", if value < 0.0 { "-" } else { "" }, groups.join(","));
        }
        let decimals = match value.abs() {
            100.0.. => 0,
            10.0.. => 1,
            0.1.. => 2,
            _ => 4,
        };
        write!(f, "{value:.decimals$}")
    }
}

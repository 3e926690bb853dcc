//! People, and what they are here.

use serde::{Deserialize, Serialize};

/// What a person is here. Each role may do all that the one before it may.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// May look.
    Viewer,
    /// May run machines and jobs.
    Operator,
    /// May change settings of controllers and release machines.
    Maintainer,
    /// May hand out access.
    Admin,
}

/// Who asks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Person {
    /// As shown in history: a token's name, or the box's user name.
    pub name: String,
    /// What the person is here.
    pub role: Role,
}

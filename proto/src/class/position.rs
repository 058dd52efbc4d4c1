//! Position receivers.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::empty;
use crate::operation::operations;

operations! {
    Position, locked_while_unresolved: false, content: |_| 0;
    /// Asks where the case is.
    Status(StatusParams) -> PositionStatus = "status", None, 30 s;
}

/// How good a fix is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Fix {
    /// None.
    None,
    /// Without height.
    TwoD,
    /// With height.
    ThreeD,
}

/// A place on the ellipsoid (WGS 84).
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Place {
    /// North is positive, in degrees.
    pub latitude: f64,
    /// East is positive, in degrees.
    pub longitude: f64,
    /// Above the ellipsoid, in metres.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub height_m: Option<f64>,
    /// The radius of uncertainty, in metres.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub accuracy_m: Option<f64>,
}

/// Result of `status`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PositionStatus {
    /// How good the fix is.
    pub fix: Fix,
    /// Where; absent without a fix.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub place: Option<Place>,
    /// The receiver's time; absent without a fix.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub time: Option<Timestamp>,
    /// Satellites in use.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub satellites: Option<u8>,
}

empty! {
    /// Parameters of `status`.
    StatusParams;
}

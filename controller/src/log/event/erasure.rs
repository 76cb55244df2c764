//! Footage erased before its time, by order.

use custody::{CameraId, OrderId, WallTime};
use serde::{Deserialize, Serialize};

use super::About;

macro_rules! about_order {
    ($($name:ident),*) => {
        $(impl About for $name {
            fn object(&self) -> String {
                self.order.to_string()
            }
        })*
    };
}

about_order!(ErasureOrdered, ErasureApproved, ErasureRefused, Erased);

/// Erasure was ordered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ErasureOrdered {
    /// Its name from now on.
    pub order: OrderId,
    /// Of this camera.
    pub camera: CameraId,
    /// From.
    pub from: WallTime,
    /// To.
    pub to: WallTime,
}

/// Another person agreed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ErasureApproved {
    /// Which.
    pub order: OrderId,
}

/// It is not to be done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ErasureRefused {
    /// Which.
    pub order: OrderId,
    /// Why not, where it was not a person who refused: the site's words.
    pub why: Option<String>,
}

/// The site has erased the footage, and its keys.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Erased {
    /// By which order.
    pub order: OrderId,
    /// Segments that are erased in the interval.
    pub segments: u32,
}

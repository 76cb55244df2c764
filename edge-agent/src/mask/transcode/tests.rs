//! Masked pictures, seen again.

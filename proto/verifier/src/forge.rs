//! Makes a synthetic bundle, true in every part, and bends it in every way that an adversary could:
//! the mutation corpus that both verifiers are held to. Deterministic: same program, same bytes.
//!
//! The keys here are grown from numbers in this folder: nothing may ever trust them.
//!
//! | file | holds |
//! |---|---|
//! | `forge/footage.rs` | real small pictures in fragments, and the playable copy of them |
//! | `forge/draft.rs` | what a site would log before it is signed, and its log when it is |
//! | `forge/world.rs` | the good world: two sites, two cameras, four witnesses, a rotation, a revocation |
//! | `forge/files.rs` | the folder: payload, manifests, the authority's statement |
//! | `forge/stamp.rs` | time stamp tokens, signed as an authority would |
//! | `forge/cases.rs` | every mutation, by whom, and what must be found |

pub mod cases;
pub mod draft;
pub mod files;
pub mod footage;
pub mod lay;
pub mod stamp;
pub mod world;

//! A crowd of cameras for benchmarks, as a process of its own: see `harness::rig::crowd`.

use anyhow::Result;
use harness::rig::{crowd, footage::Clip};

fn main() -> Result<()> {
    crowd::run(Clip::Walkway4M)
}

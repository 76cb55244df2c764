//! Compiles the `.proto` files without protoc: by `protox`, which is pure Rust.

use std::path::PathBuf;

use prost::Message as _;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let files = [
        "proto/watchhouse/v1/fleet.proto",
        "proto/watchhouse/v1/estate.proto",
        "proto/watchhouse/v1/evidence.proto",
        "proto/watchhouse/v1/erasure.proto",
    ];
    let descriptors = protox::compile(files, ["proto"])?;
    let out = PathBuf::from(std::env::var("OUT_DIR")?);
    // For gRPC reflection.
    std::fs::write(out.join("descriptors.bin"), descriptors.encode_to_vec())?;
    tonic_prost_build::configure().compile_fds(descriptors)?;
    println!("cargo:rerun-if-changed=proto");
    Ok(())
}

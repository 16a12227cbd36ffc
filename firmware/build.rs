//! Hands the linker the memory map of the chosen board.

use std::env::var;
use std::{fs, path::Path};

fn main() -> std::io::Result<()> {
    println!("cargo:rerun-if-changed=boards");
    if var("CARGO_CFG_TARGET_OS").as_deref() != Ok("none") {
        return Ok(());
    }
    // Every board is a feature with a map of the same name.
    for entry in fs::read_dir("boards")? {
        let path = entry?.path();
        let board = path.file_stem().unwrap_or_default().to_string_lossy().to_uppercase();
        if var(format!("CARGO_FEATURE_{}", board.replace('-', "_"))).is_ok() {
            let out = var("OUT_DIR").unwrap_or_default();
            fs::copy(&path, Path::new(&out).join("memory.x"))?;
            println!("cargo:rustc-link-search={out}");
        }
    }
    println!("cargo:rustc-link-arg-bins=-Tlink.x");
    Ok(())
}

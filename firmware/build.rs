//! Hands the linker the memory map of the board.
fn main() {
    println!("cargo:rerun-if-changed=boards");
    if std::env::var("CARGO_CFG_TARGET_OS").as_deref() == Ok("none") {
        let root = std::env::var("CARGO_MANIFEST_DIR").unwrap_or_default();
        println!("cargo:rustc-link-search={root}/boards/mps2-an386");
        println!("cargo:rustc-link-arg-bins=-Tlink.x");
    }
}

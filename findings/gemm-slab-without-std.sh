#!/usr/bin/env bash
# gemm without std allocates a slab the size of a cache for every product, however small
#
# Versions: gemm 0.19.0 (gemm-common 0.19.0), rustc 1.95.0.
# Expected: the packing buffer fits the operands, or is made once and kept.
# Happens: with `std` the buffer is kept for the thread. Without, each product that is not matrix
#   times vector allocates and frees one for the assumed second-level cache: 4 x 4 times 4 x 4, with
#   192 bytes of operands, takes as much as a large product.
# Seen 2026-11-28, largest allocation in the second of two equal products (x86-64; the slab follows
#   the cache, so the check is for more than 100 KiB against less than 16 KiB):
#   without std: 1x8x8 0, 4x4x4 1048576, 64x64x64 1048576
#   with std: 1x8x8 0, 4x4x4 4096, 64x64x64 256
# For users: on a microcontroller (Burn's CPU backend multiplies with gemm) half a megabyte must be
#   free at each step of training, or shapes must be matrix-vector, or the product your own.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
export CARGO_TARGET_DIR=$dir/target
mkdir src
cat > Cargo.toml <<'EOF'
[package]
name = "probe"
version = "0.0.0"
edition = "2021"

[features]
std = ["gemm/std"]

[dependencies]
gemm = { version = "=0.19.0", default-features = false }
gemm-common = { version = "=0.19.0", default-features = false }
EOF
cat > src/main.rs <<'EOF'
use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

struct Watched;
static LARGEST: AtomicUsize = AtomicUsize::new(0);

unsafe impl GlobalAlloc for Watched {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        LARGEST.fetch_max(layout.size(), Relaxed);
        System.alloc(layout)
    }
    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        System.dealloc(at, layout)
    }
}

#[global_allocator]
static HEAP: Watched = Watched;

fn largest(m: usize, k: usize, n: usize) -> usize {
    let (a, b, mut c) = (vec![1f32; m * k], vec![1f32; k * n], vec![0f32; m * n]);
    for _ in 0..2 {
        LARGEST.store(0, Relaxed);
        // Column-major: a step of one column is the number of rows.
        unsafe {
            gemm::gemm(
                m, n, k, c.as_mut_ptr(), m as isize, 1, false, a.as_ptr(), m as isize, 1,
                b.as_ptr(), k as isize, 1, 0.0, 1.0, false, false, false, gemm::Parallelism::None,
            );
        }
        assert!(c.iter().all(|x| *x == k as f32));
    }
    LARGEST.load(Relaxed)
}

fn main() {
    println!("{} {} {}", largest(1, 8, 8), largest(4, 4, 4), largest(64, 64, 64));
}
EOF
read -r v1 s1 l1 < <(cargo run --quiet --release)
read -r v2 s2 l2 < <(cargo run --quiet --release --features std)
echo "without std: 1x8x8 $v1, 4x4x4 $s1, 64x64x64 $l1"
echo "with std: 1x8x8 $v2, 4x4x4 $s2, 64x64x64 $l2"
slab=102400
small=16384
if [ "$v1" -gt $small ] || [ "$s1" -lt $slab ] || [ "$l1" -lt $slab ] ||
    [ "$v2" -gt $small ] || [ "$s2" -gt $small ] || [ "$l2" -gt $small ]; then
    echo "changed: expected more than $slab without std from 4x4x4 on, less than $small elsewhere"
    exit 1
fi
echo 'unchanged'

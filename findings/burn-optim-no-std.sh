#!/usr/bin/env bash
# burn-optim has a feature `std` that can be switched off, and does not compile without it
#
# Versions: burn-optim 0.22.1, rustc 1.95.0.
# Expected: the crate begins with `no_std` when `std` is off, like the rest of Burn, and Burn
#   advertises training without an operating system: `default-features = false` should compile.
# Happens: `String` and `vec!` are used and not imported from `alloc`. With `std` it compiles.
# Seen 2026-11-28:
#   without std: 6 errors in burn-optim, String not found
#   with std: compiles
# For users: on a microcontroller take `burn` with `autodiff` and a backend, leave `optim` out and
#   write the step of the optimiser yourself; plain SGD is a subtraction.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
export CARGO_TARGET_DIR=$dir/target

mkdir src
echo '#![no_std]' > src/lib.rs

# manifest FEATURES
manifest() {
    cat > Cargo.toml <<EOF
[package]
name = "probe"
version = "0.0.0"
edition = "2024"

[dependencies]
burn-optim = { version = "=0.22.1", default-features = false, features = [$1] }
EOF
}

manifest ''
if cargo check --color never > log 2>&1; then
    without='compiles'
else
    errors=$(sed -n 's/.*could not compile `burn-optim` (lib) due to \([0-9]*\) previous errors.*/\1/p' log)
    without="${errors:-no} errors in burn-optim"
    if grep -q 'cannot find type `String`' log; then without+=', String not found'; fi
fi

manifest '"std"'
if cargo check --color never > log 2>&1; then with='compiles'; else with='does not compile'; fi

seen="without std: $without
with std: $with"
expected='without std: 6 errors in burn-optim, String not found
with std: compiles'

echo "$seen"
diff <(echo "$expected") <(echo "$seen") || { echo 'changed: < as noted, > now'; exit 1; }
echo 'unchanged'

#!/usr/bin/env bash
# A lock file with Burn on the CPU names CUDA, PyTorch and a database that are never built
#
# Versions: burn 0.22.1, cargo 1.95.0.
# Expected: backends that are switched off are not dependencies, so `Cargo.lock` does not name them.
# Happens: Burn's feature `std` forwards to switched-off crates (`crate?/std`). Cargo builds none of
#   them, `cargo tree` shows none, but the lock file has them all, with all that they would need.
# Seen 2026-11-28 (numbers move with what is published):
#   flex, autodiff: 231 packages locked, 141 in the tree; ghosts of interest: none
#   flex, autodiff, std: 618 packages locked, 173 in the tree; ghosts of interest: cudarc tch turso wgpu
# For users: tools that read the lock file (audits, licence lists, `cargo vendor`, bills of
#   materials) report crates that no program holds. Ask `cargo tree -i NAME` before you act on one.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
mkdir src
touch src/lib.rs

# look FEATURES: prints a line about the lock file and the tree of these features
look() {
    rm -f Cargo.lock
    cat > Cargo.toml <<EOF
[package]
name = "probe"
version = "0.0.0"
edition = "2024"

[dependencies]
burn = { version = "=0.22.1", default-features = false, features = [$1] }
EOF
    cargo generate-lockfile --quiet
    sed -n 's/^name = "\(.*\)"$/\1/p' Cargo.lock | sort -u > locked
    cargo tree --quiet --target all --edges normal,build --prefix none | cut -d' ' -f1 | sort -u > tree
    ghosts=$(comm -23 locked tree | grep -xE 'cudarc|tch|turso|wgpu' | tr '\n' ' ' || true)
    echo "$(wc -l < locked) packages locked, $(wc -l < tree) in the tree; ghosts of interest: ${ghosts:-none}"
}

without=$(look '"flex", "autodiff"')
with=$(look '"flex", "autodiff", "std"')
echo "flex, autodiff: $without"
echo "flex, autodiff, std: $with"

seen="${without##*: } | ${with##*: }"
expected='none | cudarc tch turso wgpu '
if [ "$seen" != "$expected" ]; then
    echo "changed: ghosts were \"$expected\", are \"$seen\""
    exit 1
fi
read -r locked _ <<< "$with"
in_tree=$(sed 's/.*locked, \([0-9]*\) .*/\1/' <<< "$with")
if [ "$locked" -lt $((2 * in_tree)) ]; then
    echo "changed: the lock file was more than twice as long as the tree, is $locked to $in_tree"
    exit 1
fi
echo 'unchanged'

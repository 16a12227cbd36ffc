#!/usr/bin/env bash
# glibc and musl give the same bits for expf and powf; the Rust crate libm does not
#
# Versions: libm 0.2.16 (crates.io), glibc 2.36 and musl 1.2.3 (Debian 12), gcc 12.2, rustc 1.95.0.
# Expected: either every library has last bits of its own, or all have the correctly rounded ones.
# Happens: the two C libraries agree on every one of a million inputs. The crate, whose expf comes
#   from FreeBSD's older code, is one unit in the last place off on a tenth of them.
# Seen 2026-11-28, x86-64, a million inputs each, how many results differ:
#   musl from glibc: exp 0, log 0, exp2 0, pow 0
#   crate from glibc: exp 97017, log 19942, exp2 881, pow 100668
# For users: a device without std (this crate) and a Linux device (glibc, musl) drift apart at the
#   first softmax. Compare nothing bit for bit that went through such a function, or link this crate
#   on both sides.
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

[dependencies]
libm = "=0.2.16"
EOF
cat > src/main.rs <<'EOF'
use std::io::Write;

fn main() {
    let mut bytes = Vec::new();
    for i in 0..1_000_000 {
        let part = i as f32 / 1e6;
        let (small, positive) = (-20.0 + 40.0 * part, 0.001 + 999.999 * part);
        bytes.extend(libm::expf(small).to_ne_bytes());
        bytes.extend(libm::logf(positive).to_ne_bytes());
        bytes.extend(libm::exp2f(small).to_ne_bytes());
        bytes.extend(libm::powf(positive, 1.7).to_ne_bytes());
    }
    std::io::stdout().write_all(&bytes).unwrap();
}
EOF
cat > probe.c <<'EOF'
#include <math.h>
#include <stdio.h>

int main(void) {
    for (int i = 0; i < 1000000; i++) {
        float part = (float)i / 1e6f;
        float small = -20.0f + 40.0f * part, positive = 0.001f + 999.999f * part;
        float out[4] = {expf(small), logf(positive), exp2f(small), powf(positive, 1.7f)};
        fwrite(out, sizeof out, 1, stdout);
    }
}
EOF
# musl without installing it: headers and library out of its package.
chmod 755 .
apt-get download -qq musl-dev=1.2.3-1 2> /dev/null
dpkg -x musl-dev_*.deb musl
arch=$(uname -m)-linux-musl
flags=(-O2 -ffp-contract=off -fno-builtin)
gcc "${flags[@]}" probe.c -o with-glibc -lm
gcc "${flags[@]}" -static -no-pie -nostdinc -nostdlib -isystem "musl/usr/include/$arch" probe.c \
    "musl/usr/lib/$arch/"{crt1.o,crti.o,libc.a} -lgcc "musl/usr/lib/$arch/crtn.o" -o with-musl
./with-glibc > glibc
./with-musl > musl-bits
cargo run --quiet --release > crate
seen=$(python3 - <<'EOF'
from array import array
read = lambda name: array("I", open(name, "rb").read())
glibc = read("glibc")
for name, other in (("musl", read("musl-bits")), ("crate", read("crate"))):
    assert len(other) == len(glibc) == 4_000_000
    counts = [sum(a != b for a, b in zip(glibc[f::4], other[f::4])) for f in range(4)]
    print(f"{name} from glibc: " + ", ".join(f"{n} {c}" for n, c in zip(("exp", "log", "exp2", "pow"), counts)))
EOF
)
expected='musl from glibc: exp 0, log 0, exp2 0, pow 0
crate from glibc: exp 97017, log 19942, exp2 881, pow 100668'
echo "$seen"
diff <(echo "$expected") <(echo "$seen") || { echo 'changed: < as noted, > now'; exit 1; }
echo 'unchanged'

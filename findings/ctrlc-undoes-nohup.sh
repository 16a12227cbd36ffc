#!/usr/bin/env bash
# ctrlc with `termination` undoes nohup, and its careful variant refuses to start under nohup
#
# Versions: ctrlc 3.5.2 with feature `termination`, nohup of GNU coreutils.
# Expected: a program under `nohup` survives the end of its terminal: nohup has SIGHUP ignored, and
#   careful programs leave an ignored signal ignored. `try_set_handler` is documented to fail when
#   another handler exists.
# Happens: `set_handler` takes SIGHUP whatever was inherited, so SIGHUP ends the program as if by
#   Ctrl-C. `try_set_handler` fails under nohup with `MultipleHandlers`, though there is none.
# Seen 2026-11-28, each program under nohup and sent one SIGHUP:
#   none: still there
#   set: stopped by a signal
#   try: MultipleHandlers
# For users: a service started by hand with nohup ends cleanly, with exit status 0 and no word, when
#   the terminal closes. Look whether SIGHUP is ignored before you set a handler, or use setsid.
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
ctrlc = { version = "=3.5.2", features = ["termination"] }
EOF
cat > src/main.rs <<'EOF'
use std::{env, sync::mpsc, time::Duration};

fn main() {
    let (sender, receiver) = mpsc::channel();
    let keep = sender.clone();
    let act = move || sender.send(()).unwrap();
    let set = match env::args().nth(1).as_deref() {
        Some("set") => ctrlc::set_handler(act),
        Some("try") => ctrlc::try_set_handler(act),
        _ => Ok(()),
    };
    if let Err(error) = set {
        println!("{error:?}");
        return;
    }
    println!("ready");
    match receiver.recv_timeout(Duration::from_secs(3)) {
        Ok(()) => println!("stopped by a signal"),
        Err(_) => println!("still there"),
    }
    drop(keep);
}
EOF
cargo build --quiet
seen=''
for kind in none set try; do
    nohup target/debug/probe "$kind" > "$kind" 2> /dev/null &
    pid=$!
    until [ -s "$kind" ]; do sleep 0.1; done
    kill -HUP "$pid" 2> /dev/null || true
    wait "$pid" || true
    seen+="$kind: $(tail -n 1 "$kind")"$'\n'
done
expected='none: still there
set: stopped by a signal
try: MultipleHandlers
'
printf '%s' "$seen"
diff <(printf '%s' "$expected") <(printf '%s' "$seen") || { echo 'changed: < as noted, > now'; exit 1; }
echo 'unchanged'

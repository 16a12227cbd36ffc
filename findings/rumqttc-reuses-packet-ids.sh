#!/usr/bin/env bash
# rumqttc gives several open subscriptions one packet identifier when its window is small
#
# Versions: rumqttc 0.25.1 (MQTT 3.1.1 client), tokio 1.54.1, rustc 1.95.0.
# Expected: `set_inflight(2)` limits unacknowledged publications to two; each SUBSCRIBE that waits
#   for its answer has an identifier of its own, as MQTT demands (2.3.1: a currently unused one).
# Happens: identifiers run from 1 to the window and begin again, and a subscription neither waits
#   for a free one nor marks its own as used.
# Seen 2026-11-28, five subscriptions to a broker that has answered none yet, their identifiers:
#   window 2: 1 2 1 2 1
#   window 100: 1 2 3 4 5
# For users: with a small window a SUBACK does not tell which subscription it answers. Match answers
#   in the order of the requests (the oldest open one with that identifier), or subscribe one by one.
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
rumqttc = { version = "=0.25.1", default-features = false }
tokio = { version = "=1.54.1", features = ["rt", "time"] }
EOF
cat > src/main.rs <<'EOF'
use rumqttc::{AsyncClient, MqttOptions, QoS};
use std::io::{Read, Write};
use std::{net::TcpListener, thread, time::Duration};

/// Identifiers of five subscriptions, read by a listener that says CONNACK and then only listens.
async fn identifiers(window: u16) -> Vec<String> {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let broker = thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut seen = Vec::new();
        let mut head = [0; 2];
        while stream.read_exact(&mut head).is_ok() {
            let mut body = vec![0; head[1].into()];
            stream.read_exact(&mut body).unwrap();
            match head[0] >> 4 {
                1 => stream.write_all(&[0x20, 2, 0, 0]).unwrap(),
                8 => seen.push(u16::from_be_bytes([body[0], body[1]]).to_string()),
                _ => {}
            }
        }
        seen
    });
    let mut options = MqttOptions::new("probe", "127.0.0.1", port);
    options.set_inflight(window);
    let (client, mut events) = AsyncClient::new(options, 10);
    for i in 0..5 {
        client.subscribe(format!("t/{i}"), QoS::AtLeastOnce).await.unwrap();
    }
    let polling = async { while events.poll().await.is_ok() {} };
    let _ = tokio::time::timeout(Duration::from_secs(1), polling).await;
    drop(events);
    broker.join().unwrap()
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    for window in [2, 100] {
        println!("window {window}: {}", identifiers(window).await.join(" "));
    }
}
EOF
seen=$(cargo run --quiet)
expected='window 2: 1 2 1 2 1
window 100: 1 2 3 4 5'
echo "$seen"
diff <(echo "$expected") <(echo "$seen") || { echo 'changed: < as noted, > now'; exit 1; }
echo 'unchanged'

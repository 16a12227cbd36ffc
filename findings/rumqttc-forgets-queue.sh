#!/usr/bin/env bash
# rumqttc throws away what it accepted around a lost connection, and says nothing
#
# Versions: rumqttc 0.25.1 (MQTT 3.1.1 client), tokio 1.54.1, Mosquitto 2.0.11 (Debian 12), rustc 1.95.0.
# Expected: a QoS 1 publication for which `publish` gave Ok, and which waits in the queue, goes out
#   after the reconnection that `poll` makes; or an error names it.
# Happens: what was queued when `poll` meets the end of the connection is moved to a list that is
#   emptied at the next CONNACK without a session, as after every clean start. What was queued a
#   moment later goes out. Subscriptions share the fate.
# Seen 2026-11-28: one publication `before` the first connection, five `unnoticed` (the broker is gone,
#   poll has not met that) and one `noticed` (after poll's error, before the broker is back), all Ok:
#   after the loss: 6 accepted, 1 acknowledged (no event tells of the five)
#   the first broker received: before
#   the second broker received: noticed
# For users: keep your own outbox; at every CONNACK subscribe again and publish again what was not
#   acknowledged. The simplest way is a new client for each connection.
set -euo pipefail
dpkg-query -W mosquitto mosquitto-clients || apt-get install -qq -y mosquitto mosquitto-clients
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
use rumqttc::{AsyncClient, Event, MqttOptions, Packet, QoS};
use std::process::{Child, Command};
use std::{env, fs::File, thread::sleep, time::Duration};

struct Broker(Child);

impl Broker {
    fn start(port: &str, log: &str) -> Self {
        let log = File::create(log).unwrap();
        let child = Command::new("mosquitto").args(["-v", "-p", port]).stderr(log).spawn().unwrap();
        sleep(Duration::from_millis(500));
        Self(child)
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        let _ = (self.0.kill(), self.0.wait());
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let port = env::args().nth(1).unwrap();
    let options = MqttOptions::new("probe", "127.0.0.1", port.parse().unwrap());
    let (client, mut events) = AsyncClient::new(options, 10);
    let second = Duration::from_secs(1);
    let broker = Broker::start(&port, "first");
    client.publish("before", QoS::AtLeastOnce, false, "x").await.unwrap();
    let _ = tokio::time::timeout(second, async { while events.poll().await.is_ok() {} }).await;
    drop(broker);
    for _ in 0..5 {
        client.publish("unnoticed", QoS::AtLeastOnce, false, "x").await.unwrap();
    }
    while events.poll().await.is_ok() {}
    client.publish("noticed", QoS::AtLeastOnce, false, "x").await.unwrap();
    let _broker = Broker::start(&port, "second");
    let mut acknowledged = 0;
    let _ = tokio::time::timeout(second, async {
        while let Ok(event) = events.poll().await {
            acknowledged += usize::from(matches!(event, Event::Incoming(Packet::PubAck(_))));
        }
    })
    .await;
    println!("after the loss: 6 accepted, {acknowledged} acknowledged");
}
EOF
port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
export PATH=$PATH:/usr/sbin
seen=$(cargo run --quiet -- "$port"
    for log in first second; do
        echo "the $log broker received: $(sed -n "s/.*Received PUBLISH .*'\(.*\)'.*/\1/p" $log)"
    done)
expected='after the loss: 6 accepted, 1 acknowledged
the first broker received: before
the second broker received: noticed'
echo "$seen"
diff <(echo "$expected") <(echo "$seen") || { echo 'changed: < as noted, > now'; exit 1; }
echo 'unchanged'

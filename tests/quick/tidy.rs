//! The architecture's invariants, as far as text shows them.

use std::fs;
use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// All Rust files below these folders or at these paths, with their text.
fn sources(paths: &[&str]) -> Vec<(PathBuf, String)> {
    let mut open: Vec<PathBuf> = paths.iter().map(|path| root().join(path)).collect();
    let mut found = Vec::new();
    while let Some(path) = open.pop() {
        if path.is_dir() {
            open.extend(fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = fs::read_to_string(&path).unwrap();
            found.push((path, text));
        }
    }
    assert!(!found.is_empty(), "{paths:?} are not there");
    found
}

fn assert_absent(paths: &[&str], words: &[&str]) {
    for (path, text) in sources(paths) {
        assert_no_word(&path, &text, words);
    }
}

fn assert_no_word(path: &Path, text: &str, words: &[&str]) {
    for word in words {
        let named = text.lines().any(|line| !line.trim().starts_with("//") && line.contains(word));
        assert!(!named, "{} names {word}; pass it in, or move it to the shell", path.display());
    }
}

/// The cores of agent and aggregator build without std, which shows more; these have no such build.
#[test]
fn federations_in_memory_read_no_clock_no_file_no_socket_and_no_global_randomness() {
    let words = [
        "Instant::now",
        "SystemTime",
        "std::net",
        "std::fs",
        "std::thread",
        "HashMap",
        "getrandom",
        "rumqttc",
        "dunlin_link",
    ];
    assert_absent(
        &[
            "fleet/src/memory.rs",
            "fleet/src/memory",
            "fleet/src/sim/simulation.rs",
            "fleet/src/sim/simulation",
            "fleet/src/sim/devices.rs",
            "fleet/src/sim/devices",
            "fleet/src/sim/server_host.rs",
            "fleet/src/sim/server_host",
            "fleet/src/sim/broker.rs",
            "fleet/src/sim/hibernation.rs",
            "fleet/src/sim/jobs.rs",
            "fleet/src/sim/chance.rs",
            "fleet/src/sim/watch.rs",
            "fleet/src/sim/queue.rs",
        ],
        &words,
    );
}

#[test]
fn only_the_models_crate_names_burn_and_only_the_link_names_rumqttc() {
    let all = ["protocol", "agent", "aggregator", "fleet", "link", "models"];
    for (word, home) in [("burn::", "models"), ("rumqttc::", "link")] {
        let others: Vec<String> =
            all.iter().filter(|name| **name != home).map(|name| format!("{name}/src")).collect();
        let others: Vec<&str> = others.iter().map(String::as_str).collect();
        assert_absent(&others, &[word]);
    }
    for (name, stranger) in
        [("aggregator", "dunlin-models"), ("aggregator", "burn"), ("link", "burn")]
    {
        let manifest = fs::read_to_string(root().join(name).join("Cargo.toml")).unwrap();
        let depends = manifest.lines().any(|line| line.starts_with(stranger));
        assert!(!depends, "{name} must not depend on {stranger}");
    }
}

#[test]
fn the_example_configurations_are_whole() {
    let text = fs::read_to_string(root().join("agent/agent.example.toml")).unwrap();
    dunlin_agent::config::AgentConfig::parse(&text).unwrap_or_else(|problems| panic!("{problems}"));
    // The other sources of the example, each taken out of its comments up to an empty line.
    let (head, sources) = text.split_once("[source]").unwrap();
    let uncommented = |line: &str| line.strip_prefix("# ").unwrap_or(line).to_owned();
    for other in sources.split("# [source]\n").skip(1) {
        let keys = other.lines().take_while(|line| !line.is_empty());
        let keys: Vec<String> = keys.map(uncommented).collect();
        let text = format!("{head}[source]\n{}", keys.join("\n"));
        dunlin_agent::config::AgentConfig::parse(&text)
            .unwrap_or_else(|problems| panic!("{problems}"));
    }
}

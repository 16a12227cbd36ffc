//! Microcontrollers and Linux agents in one federation: the firmware under QEMU, a real Mosquitto
//! and the aggregator as it is. `scripts/firmware test` builds the firmware and runs this.
#![allow(clippy::unwrap_used, clippy::wildcard_enum_match_arm)] // all of it is a test

mod firmware {
    mod emulator;
    mod federation;
    mod power;
    #[allow(dead_code)] // the other tests of federations use more of it
    #[path = "../broker/world.rs"]
    mod world;
}

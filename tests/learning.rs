//! Real training in whole federations, in memory: minutes of virtual time, seconds of real time.
#![allow(clippy::unwrap_used, clippy::wildcard_enum_match_arm)] // a failed test may panic
#![cfg(feature = "burn")]

mod learning {
    mod federations;
    mod simulation;
}

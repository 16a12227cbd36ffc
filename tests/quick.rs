//! Tests without Burn and without a broker: seconds.
#![allow(clippy::unwrap_used, clippy::wildcard_enum_match_arm)] // a failed test may panic

mod quick {
    mod breakages;
    mod downlink;
    mod links;
    mod machines;
    mod rounds;
    mod simulation;
    mod tidy;
    mod transfers;
    mod vectors;
}

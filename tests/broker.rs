//! Whole federations over a real Mosquitto and real connections, without Burn: a minute or two.
//!
//! A failure is: an accepted update that is not in the model or is in it twice, a round that never
//! ends, a peer that is told the wrong reason. Moments are hit by relays that hold bytes back, by
//! trainers that wait at a gate, and by watching the messages; nothing depends on speed.
#![allow(clippy::unwrap_used, clippy::wildcard_enum_match_arm)] // all of it is a test

mod broker {
    mod accounts;
    mod aggregator_kills;
    mod broker_restarts;
    mod chunks;
    mod connections;
    mod device_by_hand;
    mod device_kills;
    mod doctor;
    mod examples;
    mod gate;
    mod inference;
    mod intermittent;
    mod late;
    mod other_brokers;
    mod others;
    mod program;
    mod programs;
    mod queries;
    mod refusals;
    mod relay;
    mod retained;
    mod silence;
    mod world;
}

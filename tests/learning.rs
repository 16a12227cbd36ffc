//! Real training in whole federations, in memory: minutes of virtual time, seconds of real time.
#![cfg(feature = "burn")]

mod learning {
    mod federations;
}

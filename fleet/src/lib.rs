//! Many Dunlin devices on one machine: data, reports, and whole federations.
//!
//! | part | what it does |
//! |---|---|
//! | [`memory`] | a federation in one thread on virtual time, without Burn and without sockets |
//! | `federate` | an experiment in memory, trained by Burn |
//! | [`sim`] | any number of devices on virtual time, with faults and checks |
//! | `live` | a federation of real agents over a real broker |
//! | `experiment`, `synthetic` | whose data: invented persons, or those of a data set |
//! | `judge` | accuracy on unseen persons, and of devices that train alone |
//! | `report` | figures for scripts and for people |

#[cfg(feature = "burn")]
pub mod experiment;
#[cfg(feature = "burn")]
pub mod federate;
#[cfg(feature = "burn")]
pub mod judge;
#[cfg(feature = "burn")]
pub mod live;
pub mod memory;
pub mod report;
pub mod sim;
pub mod synthetic;

//! What an operator has the aggregator do.

use crate::query::Query;
use alloc::vec::Vec;

/// One command. It is carried out before [`crate::aggregator::Aggregator::handle`] returns.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Command<'a> {
    /// Replace the global model: `[n_model]`, finite. Open trainings and evaluations end without a
    /// result.
    Import(&'a [f32]),
    /// Everything that is asked of the devices' data and waited for now; what is left out is not
    /// asked any more.
    Ask(Vec<Query>),
    /// Save what is accepted and say goodbye; the program is about to end.
    Stop,
}

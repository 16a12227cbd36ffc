//! Layers as operations of our own for Burn's default backend, with hand-written gradients.
//!
//! Burn's own convolution on a CPU spends most of a training step on moving memory; one pass over
//! each window is several times faster for networks as small as ours. Other backends take the
//! tensor operations in [`crate::forward`], which also check these kernels.

mod block;
mod cross_entropy;
mod op;
mod pool;
mod product;

pub(crate) use block::Block;
pub(crate) use cross_entropy::cross_entropy;
pub(crate) use op::run_block;

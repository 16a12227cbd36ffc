//! Layers as operations of our own for Burn's default backend, with hand-written gradients.
//!
//! Burn's own convolution on a CPU spends most of a training step on moving memory; one pass over
//! each window is several times faster for networks as small as ours. Nothing else of Burn's
//! operations is needed, so that nothing else need fit into a microcontroller's flash. Other backends
//! take plain tensor operations, which also check these kernels.

mod block;
mod loss;
mod op;
mod parameter_free;
mod pool;
mod product;

pub(crate) use block::Block;
pub(crate) use loss::{Loss, LossOp};
pub(crate) use op::{BlockOp, tensor, values};
pub(crate) use parameter_free::{Kind, ParameterFree, ParameterFreeOp};

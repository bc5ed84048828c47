//! What treatments that follow a direction of the residual stream have in common, between the mathematics
//! (`sonde-treatments`) and the host (`sonde-sdk`): reading the states a direction is the difference of, finding how a
//! model's refusals begin, and measuring what a direction does.

pub mod candidates;
pub mod refusals;

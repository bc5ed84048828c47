//! The mathematics of three treatments, under their publishers' definitions: the refusal direction (Arditi et al. 2024),
//! rank-one safety injection (ROSI), and self-generated safety alignment (ThinkSafe).
//!
//! Plain numbers in, plain numbers out: nothing here knows a model, a plugin or a host. It compiles for the plugins'
//! sandbox. Everything is computed in `f64`.

pub mod refusal_direction;
pub mod rosi;
pub mod thinksafe;

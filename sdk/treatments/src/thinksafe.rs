//! Self-generated safety alignment (ThinkSafe, and its published code): a model that is told that a prompt is harmful
//! refuses it with sensible thoughts; trained on these without being told, it refuses by itself.
//!
//! [`steered`] is what the model is asked with, [`ThinkTags`] what its reply must look like, and [`acceptance`] why so
//! many replies can be used. Whether a reply is safe is for a judge to say, and the training is the host's.

mod acceptance;
mod steering;
mod think_tags;

pub use acceptance::{acceptance, importance_ratio};
pub use steering::{STEERING_PREFIX, steered};
pub use think_tags::{ThinkTags, Untagged, answer, as_lesson};

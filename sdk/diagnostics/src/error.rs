//! Why a diagnostic has no answer.

/// What was wrong with the input.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum Error {
    /// Nothing to measure.
    #[error(
        "there are no vectors, or they have no elements; give at least one vector of at least one number"
    )]
    Empty,
    /// Vectors of one layer are equally wide.
    #[error("vector {sample} has {found} numbers where {expected} were expected; all must be equally wide")]
    Ragged {
        /// Which vector, from 0.
        sample: usize,
        /// Its width.
        found: usize,
        /// The width of the others.
        expected: usize,
    },
    /// Activations are finite, and far from where their squares overflow.
    #[error(
        "number {element} of vector {sample} is {value}; activations must be finite and below 1e60 in magnitude: leave \
         the sample out, or look for an overflow in the model"
    )]
    NotFinite {
        /// Which vector, from 0.
        sample: usize,
        /// Which of its numbers, from 0.
        element: usize,
        /// The number.
        value: f64,
    },
    /// Each vector has a label.
    #[error("there are {vectors} vectors and {labels} labels; give one label per vector")]
    Labels {
        /// Vectors given.
        vectors: usize,
        /// Labels given.
        labels: usize,
    },
    /// A class is missing or too small.
    #[error(
        "class `{class}` has {found} vectors and this measure needs at least {needed}; add samples of it"
    )]
    ClassTooSmall {
        /// Its name or number.
        class: String,
        /// Vectors it has.
        found: usize,
        /// Vectors it needs.
        needed: usize,
    },
    /// A measure between classes needs two of them.
    #[error("the labels name {found} class(es) and this measure needs {needed}")]
    Classes {
        /// Classes there are.
        found: usize,
        /// Classes there should be.
        needed: usize,
    },
    /// All vectors are equal, so that there is no direction in which they differ.
    #[error("all {vectors} vectors are equal; look at another layer or token position")]
    Constant {
        /// How many.
        vectors: usize,
    },
    /// A set of weight indices is not what it should be.
    #[error(
        "layer {layer}, `{name}`: the top indices must ascend without repeats and lie below the matrix's {weights} weights"
    )]
    Indices {
        /// The matrix's layer.
        layer: u32,
        /// The matrix's name in its layer.
        name: String,
        /// Its number of weights.
        weights: u64,
    },
    /// A parameter is out of its range.
    #[error("{name} is {value}; {allowed}")]
    Parameter {
        /// Its name.
        name: &'static str,
        /// What it was.
        value: String,
        /// What it may be.
        allowed: &'static str,
    },
}

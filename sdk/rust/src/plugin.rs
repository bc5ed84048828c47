//! What a plugin author implements.

use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::bindings::watcher::sonde::plugin::reply_stream;
use crate::{
    About, Chat, Datasets, Derived, Diagnosis, Error, Exchange, Host, Outcome, StreamEvent, Summary,
    TokenVerdict, Trainable, Verdict, WhiteBox,
};

/// Measures a model on a dataset, one row at a time. Exported by `export_benchmark!`.
pub trait Benchmark {
    /// A row of the dataset, with the columns of the description.
    type Row: DeserializeOwned;
    /// The parameters, with `#[serde(default, deny_unknown_fields)]` so that a misspelt one is refused.
    type Parameters: DeserializeOwned + Default;

    /// Describes the plugin.
    fn about() -> About;

    /// Measures one sample. `seed` is this sample's own.
    ///
    /// # Errors
    /// An error fails the sample and counts nowhere else; pass on those of host calls with `?`.
    fn run(
        host: &impl Host,
        row: Self::Row,
        parameters: &Self::Parameters,
        seed: u64,
    ) -> Result<Outcome, Error>;

    /// Sums up the outcomes of the samples that did not fail, in the order of the dataset.
    fn summarize(outcomes: &[Outcome], parameters: &Self::Parameters) -> Summary;
}

/// Judges an exchange. Exported by `export_judge!`.
pub trait Judge {
    /// The parameters, with `#[serde(default, deny_unknown_fields)]` so that a misspelt one is refused.
    type Parameters: DeserializeOwned + Default;

    /// Describes the plugin.
    fn about() -> About;

    /// Judges one exchange. A judge with a model of its own opens the role `judge`.
    ///
    /// # Errors
    /// An error means that no judgement came about. A reply of the judge's model that cannot be read is no error but
    /// [`Verdict::unreadable`].
    fn assess(host: &impl Host, exchange: Exchange, parameters: &Self::Parameters) -> Result<Verdict, Error>;
}

/// A judge that also judges a reply while it is being written. Exported by `export_streaming_judge!`.
pub trait StreamingJudge {
    /// The parameters, with `#[serde(default, deny_unknown_fields)]` so that a misspelt one is refused.
    type Parameters: DeserializeOwned + Default;

    /// Describes the plugin.
    fn about() -> About;

    /// Judges a whole exchange, as [`Judge::assess`] does. The judge's model is open to look into.
    ///
    /// # Errors
    /// As [`Judge::assess`].
    fn assess(
        host: &impl Host<Model: WhiteBox>,
        exchange: Exchange,
        parameters: &Self::Parameters,
    ) -> Result<Verdict, Error>;

    /// Watches one reply to a conversation until it is complete: one verdict on the user's last message, then one on
    /// every token that [`ReplyStream::next`] gives.
    ///
    /// # Errors
    /// An error means that the reply is not being watched; pass on those of host calls with `?`.
    fn watch(
        host: &impl Host<Model: WhiteBox>,
        conversation: Chat,
        reply: &mut impl ReplyStream,
        parameters: &Self::Parameters,
    ) -> Result<(), Error>;
}

/// A reply that is being written.
pub trait ReplyStream {
    /// Hands over verdicts and waits for what comes next. The first call hands over the verdict on the user's last
    /// message; the call after tokens one for each of them; the call after [`StreamEvent::BackTo`] none.
    fn next(&mut self, verdicts: &[TokenVerdict]) -> StreamEvent;
}

/// The reply of the sandbox's host. Works inside a component only.
#[derive(Clone, Copy, Debug, Default)]
pub struct GuestReply;

impl ReplyStream for GuestReply {
    fn next(&mut self, verdicts: &[TokenVerdict]) -> StreamEvent {
        reply_stream::next(verdicts)
    }
}

/// Looks inside a model. Exported by `export_diagnostic!`.
pub trait Diagnostic {
    /// The parameters, with `#[serde(default, deny_unknown_fields)]` so that a misspelt one is refused.
    type Parameters: DeserializeOwned + Default;

    /// Describes the plugin. Its columns are those of all its datasets together.
    fn about() -> About;

    /// Computes the whole diagnosis. `seed` is the task's. What takes long should tell [`Host::progress`].
    ///
    /// # Errors
    /// An error fails the task; pass on those of host calls with `?`.
    fn run(
        host: &impl Host<Model: WhiteBox>,
        datasets: &Datasets,
        parameters: &Self::Parameters,
        seed: u64,
    ) -> Result<Diagnosis, Error>;
}

/// Derives a change of a model that should make it safer. Exported by `export_treatment!`.
pub trait Treatment {
    /// The parameters, with `#[serde(default, deny_unknown_fields)]` so that a misspelt one is refused.
    type Parameters: DeserializeOwned + Default;

    /// Describes the plugin. Its columns are those of all its datasets together.
    fn about() -> About;

    /// Derives the treatment. `seed` is the task's. What takes long should tell [`Host::progress`].
    ///
    /// # Errors
    /// An error fails the task; pass on those of host calls with `?`. A treatment that misses its aim is no error but
    /// says so in its summary.
    fn derive(
        host: &impl Host<Model: Trainable>,
        datasets: &Datasets,
        parameters: &Self::Parameters,
        seed: u64,
    ) -> Result<Derived, Error>;
}

/// For plugins without parameters: refuses any.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NoParameters {}

//! Training of low-rank adapters beside the frozen matrices.
//!
//! A request becomes a [`Course`] in the caller's task; [`train`] runs it on the model's thread, which other requests wait
//! for meanwhile. A step puts its lessons into packs ([`packs`]), takes them there and back ([`step`]), and moves the
//! adapter's numbers ([`student`]) by AdamW ([`optimiser`]) at the rate of the plan ([`schedule`]). Everything random is
//! drawn by name ([`draws`]) and everything is added up in a fixed order, so that the same course gives the same adapter,
//! interrupted and gone on with from its [`checkpoint`] or not.

mod checkpoint;
mod draws;
mod lessons;
mod optimiser;
mod packs;
mod schedule;
mod step;
mod student;

#[cfg(test)]
mod slopes;

use std::time::{Duration, Instant};

use sonde_contract::{Digest, HostError, LowRank, Trained};

use self::checkpoint::{Checkpoint, State};
pub(crate) use self::lessons::Course;
use self::optimiser::Parameters;
use self::schedule::Plan;
use self::step::Trainer;
use self::student::{Layout, scale};
use super::edits::low_rank;
use super::gradients::{Gradients, ROOM};
use super::loss::Head;
use super::names::Names;
use super::work::{Counters, Work, failed};
use crate::{Following, TrainProgress};

/// Between two checkpoints; where writing one takes long, proportionally longer.
const REST: Duration = Duration::from_secs(2);
const REST_PER_WRITING: u32 = 20;

/// Trains an adapter. `training` stands for all that decides what comes out: request, model and changes in force.
pub(crate) fn train(
    work: &Work,
    course: &Course,
    names: &Names,
    training: Digest,
    following: &Following,
) -> Result<Trained, HostError> {
    let layout = Layout::new(work.transformer, &course.modules, course.lora.rank).map_err(failed)?;
    let mut plan = Plan::new(&course.schedule, u32::try_from(course.lessons.len()).unwrap_or(u32::MAX));
    let checkpoint = following.checkpoint.as_deref().map(|path| Checkpoint { path, training });
    let kept = checkpoint.as_ref().and_then(|checkpoint| checkpoint.read(layout.len(), plan.steps as usize));
    let mut state = kept.unwrap_or_else(|| State {
        parameters: Parameters::new(layout.start(course.schedule.seed)),
        ..State::default()
    });
    // Written at once, so that a place that cannot be written does not show after hours.
    let mut keeper = Keeper::new(checkpoint, &state)?;
    let gradients = Gradients { transformer: work.transformer, changes: work.changes, first: 0, room: ROOM };
    let head = Head::of(work.transformer).map_err(failed)?;
    let trainer = Trainer { gradients, head, course, layout: &layout };
    let (begun, done_before) = (Instant::now(), state.losses.len());
    for step in u32::try_from(done_before).unwrap_or(u32::MAX)..plan.steps {
        if let Err(abandoned) = work.check_wanted() {
            keeper.keep(&state)?;
            return Err(abandoned);
        }
        let found = trainer.step(step, &plan.lessons(step), &state.parameters.values).map_err(failed)?;
        #[expect(clippy::cast_possible_truncation, reason = "computed wider than it is told")]
        let loss = found.loss as f32;
        if !loss.is_finite() || found.gradients.iter().any(|gradient| !gradient.is_finite()) {
            return Err(HostError::Engine(format!(
                "the training diverged: at step {} of {} the loss is {loss} or its gradient is not finite; lower \
                 `learning-rate`, or set `clip`",
                step + 1,
                plan.steps
            )));
        }
        Counters::add(&work.counters.prompt, found.tokens);
        let rate = plan.learning_rate(step);
        state.parameters.step(&found.gradients, &course.schedule, step, rate);
        state.losses.push(loss);
        state.tokens += found.tokens as u64;
        if let Some(progress) = &following.progress {
            let done = u32::try_from(state.losses.len() - done_before).unwrap_or(u32::MAX);
            let left = begun.elapsed() / done.max(1) * (plan.steps - step - 1);
            progress(TrainProgress { step: step + 1, steps: plan.steps, loss, left: Some(left) });
        }
        keeper.keep_now_and_then(&state)?;
    }
    let adapter = adapter(work, course, names, &layout, &state.parameters.values)?;
    keeper.end();
    Ok(Trained { adapter, losses: state.losses, tokens: state.tokens })
}

/// The trained pairs, block by block, as the contract has them.
fn adapter(
    work: &Work,
    course: &Course,
    names: &Names,
    layout: &Layout,
    numbers: &[f32],
) -> Result<Vec<LowRank>, HostError> {
    let about = &work.transformer.description;
    #[expect(clippy::cast_possible_truncation, reason = "computed wider than the contract has it")]
    let scale = scale(&course.lora) as f32;
    let pairs = layout.parts(numbers).map(|(slot, a, b)| {
        low_rank(a.to_vec(), b, scale, slot.place, names, about, course.lora.rank).map_err(failed)
    });
    pairs.collect()
}

/// Writes the checkpoint now and then, if there is to be one.
struct Keeper<'a> {
    checkpoint: Option<Checkpoint<'a>>,
    written: Instant,
    rest: Duration,
}

impl<'a> Keeper<'a> {
    fn new(checkpoint: Option<Checkpoint<'a>>, state: &State) -> Result<Self, HostError> {
        let mut keeper = Self { checkpoint, written: Instant::now(), rest: REST };
        keeper.keep(state)?;
        Ok(keeper)
    }

    fn keep(&mut self, state: &State) -> Result<(), HostError> {
        let begun = Instant::now();
        self.checkpoint.as_ref().map_or(Ok(()), |checkpoint| checkpoint.write(state))?;
        self.rest = REST.max(begun.elapsed() * REST_PER_WRITING);
        self.written = Instant::now();
        Ok(())
    }

    fn keep_now_and_then(&mut self, state: &State) -> Result<(), HostError> {
        if self.checkpoint.is_some() && self.written.elapsed() >= self.rest {
            self.keep(state)?;
        }
        Ok(())
    }

    fn end(&self) {
        self.checkpoint.iter().for_each(Checkpoint::remove);
    }
}

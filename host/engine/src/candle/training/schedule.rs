//! Which lessons each step sees, at which learning rate.

use rand::seq::SliceRandom as _;
use sonde_contract::Schedule;

use super::draws::{Purpose, draws};

/// The course of a training.
pub(super) struct Plan<'a> {
    schedule: &'a Schedule,
    lessons: u32,
    /// Steps in all.
    pub steps: u32,
    warm_up: u32,
    /// The epoch whose order is at hand, and the order.
    epoch: Option<(u32, Vec<u32>)>,
}

impl<'a> Plan<'a> {
    /// An epoch's last step sees what is left of the lessons, however few.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "the ceiling of a share of the steps lies between 0 and the steps"
    )]
    pub(super) fn new(schedule: &'a Schedule, lessons: u32) -> Self {
        let all = u64::from(schedule.epochs) * u64::from(lessons.div_ceil(schedule.batch.max(1)));
        let all = u32::try_from(all).unwrap_or(u32::MAX);
        let steps = schedule.most_steps.map_or(all, |most| most.min(all));
        let warm_up = (schedule.warmup * f64::from(steps)).ceil() as u32;
        Self { schedule, lessons, steps, warm_up, epoch: None }
    }

    /// Of a step, counted from 0: Hugging Face's `get_cosine_schedule_with_warmup`, half a cosine, with ⌈share · steps⌉
    /// steps of warm-up. The very first step of a warm-up learns nothing.
    pub(super) fn learning_rate(&self, step: u32) -> f64 {
        let share = if step < self.warm_up {
            f64::from(step) / f64::from(self.warm_up.max(1))
        } else {
            let left = self.steps.saturating_sub(self.warm_up).max(1);
            let progress = f64::from(step - self.warm_up) / f64::from(left);
            (0.5 * (1.0 + (std::f64::consts::PI * progress).cos())).max(0.0)
        };
        self.schedule.learning_rate * share
    }

    /// The numbers of a step's lessons.
    pub(super) fn lessons(&mut self, step: u32) -> Vec<u32> {
        let batch = self.schedule.batch.max(1);
        let per_epoch = self.lessons.div_ceil(batch).max(1);
        let epoch = step / per_epoch;
        if self.epoch.as_ref().is_none_or(|(at_hand, _)| *at_hand != epoch) {
            let mut order: Vec<u32> = (0..self.lessons).collect();
            order.shuffle(&mut draws(self.schedule.seed, Purpose::Order, [epoch, 0, 0, 0]));
            self.epoch = Some((epoch, order));
        }
        let order = self.epoch.as_ref().map(|(_, order)| order.as_slice()).unwrap_or_default();
        order.chunks(batch as usize).nth((step % per_epoch) as usize).unwrap_or_default().to_vec()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn schedule(epochs: u32, batch: u32, most_steps: Option<u32>, warmup: f64) -> Schedule {
        let (learning_rate, weight_decay, clip, seed) = (2.0, 0.0, 0.0, 7);
        Schedule { learning_rate, warmup, weight_decay, epochs, most_steps, batch, clip, seed }
    }

    /// By hand from the published formula: 2 of 10 steps rise, then cos(π k / 8) for k = 0 to 7.
    #[test]
    fn the_learning_rate_rises_linearly_and_falls_as_half_a_cosine() {
        let schedule = schedule(1, 1, None, 0.11);
        let plan = Plan::new(&schedule, 10);
        let (c1, c2, c3) =
            (0.923_879_532_511_286_7, std::f64::consts::FRAC_1_SQRT_2, 0.382_683_432_365_089_8);
        let expected = [0.0, 1.0, 2.0, 1.0 + c1, 1.0 + c2, 1.0 + c3, 1.0, 1.0 - c3, 1.0 - c2, 1.0 - c1];
        for (step, expected) in (0..).zip(expected) {
            assert!((plan.learning_rate(step) - expected).abs() < 1e-12, "step {step}");
        }
    }

    #[test]
    fn an_epoch_sees_every_lesson_once_in_an_order_of_its_own() {
        let schedule = schedule(3, 4, None, 0.0);
        let mut plan = Plan::new(&schedule, 10);
        assert_eq!(plan.steps, 9);
        let mut orders = Vec::new();
        for epoch in 0..3 {
            let steps: Vec<Vec<u32>> = (0..3).map(|step| plan.lessons(3 * epoch + step)).collect();
            assert_eq!(steps.iter().map(Vec::len).collect::<Vec<_>>(), [4, 4, 2]);
            let order = steps.concat();
            let mut sorted = order.clone();
            sorted.sort_unstable();
            assert_eq!(sorted, (0..10).collect::<Vec<_>>());
            orders.push(order);
        }
        assert!(orders[0] != orders[1] && orders[1] != orders[2]);
        // A training that goes on begins in the middle.
        assert_eq!(Plan::new(&schedule, 10).lessons(4), orders[1][4..8]);
    }

    #[test]
    fn steps_end_where_asked_and_the_rate_falls_to_nothing_there() {
        let schedule = schedule(100, 3, Some(5), 0.5);
        let plan = Plan::new(&schedule, 10);
        assert_eq!((plan.steps, plan.warm_up), (5, 3));
        assert!((plan.learning_rate(4) - 1.0).abs() < 1e-12);
        assert!(plan.learning_rate(5) < 1e-12);
    }
}

//! One step there and back: the loss of its lessons, and its gradient at the adapter.

use std::collections::BTreeMap;
use std::sync::PoisonError;

use candle_core::{Device, Result, Tensor};
use rayon::prelude::*;
use sonde_contract::Objective;

use super::lessons::{Course, Sequence};
use super::packs::{groups, packs};
use super::student::{Layout, Student};
use crate::candle::edits::{Pair, Place};
use crate::candle::gradients::{Gradients, Journey, Pack};
use crate::candle::loss::{Head, Targets};
use crate::candle::positions::Positions;
use crate::candle::tape::Beside;

/// What does not change from step to step.
pub(super) struct Trainer<'a> {
    pub gradients: Gradients<'a>,
    pub head: Head,
    pub course: &'a Course,
    pub layout: &'a Layout,
}

/// What a step finds.
pub(super) struct Found {
    /// The mean over its lessons.
    pub loss: f64,
    /// Of that mean, in the layout's order.
    pub gradients: Vec<f32>,
    /// Tokens computed.
    pub tokens: usize,
}

/// Lessons of one objective that are computed together.
struct Together<'a> {
    lessons: Vec<(u32, &'a Sequence)>,
    objective: Objective,
}

impl Together<'_> {
    /// A lesson's last token predicts nothing.
    fn lengths(&self) -> Vec<usize> {
        self.lessons.iter().map(|(_, lesson)| lesson.tokens.len() - 1).collect()
    }

    fn tokens(&self) -> usize {
        self.lengths().iter().sum()
    }

    fn pack<'b>(&self, trainer: &Trainer, beside: Option<&'b dyn Beside>) -> Result<Pack<'b>> {
        let read =
            |lesson: &Sequence| lesson.tokens.split_last().map_or(Vec::new(), |(_, read)| read.to_vec());
        let tokens = self.lessons.iter().flat_map(|(_, lesson)| read(lesson)).collect();
        let positions = Positions::packed(&trainer.gradients.transformer.description, self.lengths())?;
        Ok(Pack { tokens, positions, beside })
    }

    /// The rows that predict a token of a reply, these tokens, and what each counts in the mean over all lessons.
    fn asked(&self, lessons: usize) -> (Vec<u32>, Vec<u32>, Vec<f64>) {
        let (mut rows, mut targets, mut weights) = (Vec::new(), Vec::new(), Vec::new());
        let mut first = 0;
        for (_, lesson) in &self.lessons {
            let reply = lesson.tokens.get(lesson.start..).unwrap_or_default();
            let begin = first + lesson.start - 1;
            rows.extend((begin..begin + reply.len()).map(|row| u32::try_from(row).unwrap_or(u32::MAX)));
            targets.extend_from_slice(reply);
            let weight = 1.0 / (lessons as f64 * reply.len() as f64);
            weights.extend(std::iter::repeat_n(weight, reply.len()));
            first += lesson.tokens.len() - 1;
        }
        (rows, targets, weights)
    }
}

impl Trainer<'_> {
    /// Computes a step with the adapter as it stands in `numbers`.
    pub(super) fn step(&self, step: u32, lessons: &[u32], numbers: &[f32]) -> Result<Found> {
        let pairs = self.layout.pairs(numbers)?;
        let all = self.together(lessons);
        let mut found = Found { loss: 0.0, gradients: vec![0.0; numbers.len()], tokens: 0 };
        let lengths: Vec<usize> = all.iter().map(Together::tokens).collect();
        for group in groups(&lengths) {
            let group = all.get(group).unwrap_or_default();
            self.group(step, lessons.len(), group, &pairs, &mut found)?;
        }
        Ok(found)
    }

    /// A step's lessons in packs, those with the same objective next to each other.
    fn together(&self, lessons: &[u32]) -> Vec<Together<'_>> {
        let mut all = Vec::new();
        for objective in [Objective::Say, Objective::Keep] {
            let numbered = lessons.iter().filter_map(|number| {
                let lesson = self.course.lessons.get(*number as usize)?;
                (lesson.objective == objective).then_some((*number, lesson))
            });
            let lessons: Vec<_> = numbered.collect();
            let lengths: Vec<usize> = lessons.iter().map(|(_, lesson)| lesson.tokens.len() - 1).collect();
            let together = packs(&lengths)
                .into_iter()
                .filter_map(|pack| Some(Together { lessons: lessons.get(pack)?.to_vec(), objective }));
            all.extend(together);
        }
        all
    }

    /// Some packs side by side. Their gradients are added up in the packs' order, whoever computed them.
    fn group(
        &self,
        step: u32,
        lessons: usize,
        group: &[Together],
        pairs: &BTreeMap<Place, Pair>,
        found: &mut Found,
    ) -> Result<()> {
        let Course { lora, schedule, .. } = self.course;
        let student = |together: &Together| {
            let numbers = together.lessons.iter().map(|(number, _)| *number);
            let lessons = numbers.zip(together.lengths()).collect();
            Student::new(pairs, lora, schedule.seed, step, lessons)
        };
        let students: Vec<Student> = group.iter().map(student).collect();
        let besides = students.iter().map(|student| Some(student as &dyn Beside));
        let learning = group.iter().zip(besides).map(|(together, beside)| together.pack(self, beside));
        let mut packs = learning.collect::<Result<Vec<_>>>()?;
        // The untrained model reads what is to stay as it is, with the same matrices while they are at hand.
        let keep = group.iter().filter(|together| together.objective == Objective::Keep);
        packs.extend(keep.map(|together| together.pack(self, None)).collect::<Result<Vec<_>>>()?);

        let mut journeys = self.gradients.there(&packs)?;
        let mut references = journeys.split_off(group.len()).into_iter();
        let with_reference: Vec<_> = group
            .iter()
            .zip(journeys)
            .map(|(together, journey)| {
                let keeps = together.objective == Objective::Keep;
                (together, journey, if keeps { references.next() } else { None })
            })
            .collect();
        let turned = with_reference
            .into_par_iter()
            .map(|(together, journey, reference)| self.turn(lessons, together, journey, reference))
            .collect::<Result<Vec<_>>>()?;
        let (losses, journeys): (Vec<f64>, Vec<_>) = turned.into_iter().unzip();
        packs.truncate(group.len());
        self.gradients.back(&packs, journeys)?;

        found.tokens += packs.iter().map(|pack| pack.tokens.len()).sum::<usize>();
        found.loss += losses.iter().sum::<f64>();
        drop(packs);
        for student in students {
            let gradients = student.gradients.into_inner().unwrap_or_else(PoisonError::into_inner);
            self.layout.add(&gradients, &mut found.gradients)?;
        }
        Ok(())
    }

    /// Where a pack turns round: its part of the loss, and the gradient before the final norm.
    fn turn(
        &self,
        lessons: usize,
        together: &Together,
        journey: Journey,
        reference: Option<Journey>,
    ) -> Result<(f64, (Journey, Option<Tensor>))> {
        let (rows, targets, weights) = together.asked(lessons);
        let count = rows.len();
        let rows = Tensor::from_vec(rows, count, &Device::Cpu)?;
        let before = journey.state.index_select(&rows, 0)?;
        let normed = self.gradients.normed(&before)?;
        let like = reference.map(|reference| self.gradients.normed(&reference.state.index_select(&rows, 0)?));
        let like = like.transpose()?;
        let targets = like.as_ref().map_or(Targets::Tokens(&targets), Targets::Like);
        let (losses, gradient) = self.head.loss(&normed, &targets, &weights)?;
        let loss = losses.iter().zip(&weights).map(|(loss, weight)| loss * weight).sum();
        let gradient = self.gradients.before_norm(together.tokens(), &rows, &before, gradient)?;
        Ok((loss, (journey, Some(gradient))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Golden test T6 of the method's specification: 2 lessons of cross-entropy 1.25 and 6 of divergence 0.10 make 0.3875,
    /// whatever their lengths.
    #[test]
    fn a_step_s_loss_is_the_mean_over_its_lessons_whatever_their_lengths() {
        let lesson = |length: u32, objective| Sequence { tokens: (0..length).collect(), start: 3, objective };
        let lessons: Vec<Sequence> = (0..8)
            .map(|number| lesson(5 + number, if number < 2 { Objective::Say } else { Objective::Keep }))
            .collect();
        let mut loss = 0.0;
        for (objective, each) in [(Objective::Say, 1.25), (Objective::Keep, 0.10)] {
            let of_objective = lessons.iter().filter(|lesson| lesson.objective == objective);
            let together = Together { lessons: (0..).zip(of_objective).collect(), objective };
            let (_, _, weights) = together.asked(8);
            loss += weights.iter().map(|weight| weight * each).sum::<f64>();
        }
        assert!((loss - 0.3875).abs() < 1e-12, "{loss}");
    }

    #[test]
    fn the_rows_asked_about_predict_the_reply_and_the_end_of_the_turn() {
        let first = Sequence { tokens: vec![7, 8, 9, 1], start: 2, objective: Objective::Say };
        let second = Sequence { tokens: vec![5, 6, 1], start: 1, objective: Objective::Say };
        let together = Together { lessons: vec![(0, &first), (1, &second)], objective: Objective::Say };
        let (rows, targets, weights) = together.asked(4);
        // The first lesson is read as 7 8 9, the second as 5 6.
        assert_eq!(together.lengths(), [3, 2]);
        assert_eq!((rows, targets), (vec![1, 2, 3, 4], vec![9, 1, 6, 1]));
        assert_eq!(weights, [0.125; 4]);
    }
}

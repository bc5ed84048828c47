//! The gradients of a step against slopes of its loss, on each family's tiny model with random weights.

use std::path::Path;

use rand::{Rng as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use sonde_contract::{
    Change, Intervention, Lesson, Lora, LowRank, Objective, Prompt, Schedule, Site, TrainRequest,
};

use super::lessons::Course;
use super::step::Trainer;
use super::student::Layout;
use crate::candle::changes::Changes;
use crate::candle::gradients::{Gradients, ROOM};
use crate::candle::loss::Head;
use crate::candle::names::Module;
use crate::candle::opening::{Opened, open};
use crate::{OpenOptions, Precision};

const FAMILIES: [&str; 7] = ["llama", "mistral", "qwen2", "qwen3", "gemma", "gemma2", "gemma3"];

fn opened(family: &str) -> Opened {
    let folder = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/candle")).join(family);
    let options = OpenOptions { precision: Precision::Exact, threads: Some(1), ..OpenOptions::default() };
    open(&folder, &options).unwrap()
}

/// Lessons of several lengths, some past the sliding windows of the fixtures.
fn course(model: &Opened, dropout: f32) -> Course {
    let lesson = |number: u32| {
        let word = |place: u32| format!("w{}", 1 + (number * 7 + place * place + 5 * place) % 31);
        let words = |from: u32, to: u32| (from..to).map(word).collect::<Vec<_>>().join(" ");
        let objective = if number.is_multiple_of(2) { Objective::Say } else { Objective::Keep };
        let prompt = Prompt::Text(words(0, 3 + 2 * number));
        Lesson { prompt, reply: words(20, 23 + number), objective }
    };
    let modules = Module::ALL.map(|module| module.projection().to_owned()).to_vec();
    let request = TrainRequest {
        lessons: (0..5).map(lesson).collect(),
        lora: Lora { rank: 2, alpha: 3.0, dropout, modules },
        schedule: Schedule {
            learning_rate: 1e-3,
            warmup: 0.0,
            weight_decay: 0.0,
            epochs: 1,
            most_steps: None,
            batch: 5,
            clip: 0.0,
            seed: 3,
        },
    };
    Course::read(request, &model.prompts, &model.info).unwrap()
}

/// A direction taken out, a vector added and a change of a matrix: all of which the way back must pass.
fn changes(model: &Opened) -> Changes {
    let vector: Vec<f32> = (0..16).map(|place| 0.1 * place as f32 - 0.6).collect();
    let at = |layers, site, change| Intervention { layers, site, change };
    let out = Change::ProjectOut { direction: vector.clone(), coefficient: 0.7 };
    let add = Change::Add { vector, coefficient: 0.3 };
    let states = [
        at(vec![1], Site::Residual, out.clone()),
        at(vec![0], Site::Attention, out.clone()),
        at(vec![1], Site::Mlp, out.clone()),
        at(vec![2], Site::FinalNorm, out),
        at(vec![0], Site::Mlp, add),
    ];
    let changed = Changes::default().and(states.to_vec()).unwrap();
    let about = &model.transformer.description;
    let matrix = model.names.module(1, Module::Down, "weight");
    let (a, b) = (vec![0.2; about.mlp_width], vec![-0.3; about.width]);
    let edit = LowRank { matrix, expert: None, rank: 1, a, b, scale: 0.5 };
    changed.adapted(&[edit], &model.names, about).unwrap()
}

/// Every number at random: with B at zero the slope at A would be zero.
fn numbers(count: usize) -> Vec<f32> {
    let mut stream = ChaCha8Rng::seed_from_u64(11);
    (0..count).map(|_| stream.random_range(-0.4..0.4)).collect()
}

/// For each matrix's A and each B a direction of its own, so that no wrong part hides behind a larger one. Central
/// differences of two steps, extrapolated to none (Richardson), leave a fifth-order error far below 1e-4 of the gradients
/// here; the loss, of f32 states, jitters by some 1e-7, which the steps turn into some 1e-5. Found: 2e-4 at most.
#[test]
fn gradients_at_a_and_b_are_the_slopes_of_both_losses_in_every_family() {
    const STEP: f32 = 0.01;
    for family in FAMILIES {
        let model = opened(family);
        let (course, changes) = (course(&model, 0.3), changes(&model));
        let layout = Layout::new(&model.transformer, &course.modules, course.lora.rank).unwrap();
        let gradients =
            Gradients { transformer: &model.transformer, changes: &changes, first: 0, room: ROOM };
        let head = Head::of(&model.transformer).unwrap();
        let trainer = Trainer { gradients, head, course: &course, layout: &layout };
        let numbers = numbers(layout.len());
        let lessons = [3, 0, 4, 1, 2];
        let found = trainer.step(7, &lessons, &numbers).unwrap();
        assert!(found.loss > 0.1, "{family}");
        let mut stream = ChaCha8Rng::seed_from_u64(12);
        let mut from = 0;
        for (slot, a, b) in layout.parts(&numbers) {
            for side in [a.len(), b.len()] {
                let part = from..from + side;
                from += side;
                let direction: Vec<f32> = (0..side).map(|_| stream.random_range(-1.0..1.0)).collect();
                let moved = |step: f32| {
                    let mut moved = numbers.clone();
                    moved[part.clone()].iter_mut().zip(&direction).for_each(|(x, d)| *x += step * d);
                    trainer.step(7, &lessons, &moved).unwrap().loss
                };
                let central = |step: f32| (moved(step) - moved(-step)) / f64::from(2.0 * step);
                let slope = (4.0 * central(STEP / 2.0) - central(STEP)) / 3.0;
                let here = &found.gradients[part.clone()];
                let along: f64 = here.iter().zip(&direction).map(|(g, d)| f64::from(g * d)).sum();
                let length = here.iter().map(|g| f64::from(*g).powi(2)).sum::<f64>().sqrt();
                let error = (slope - along).abs();
                let place = slot.place;
                assert!(length > 1e-6, "{family} {place:?}: no gradient");
                assert!(error < 1e-3 * length + 5e-5, "{family} {place:?}: {slope} against {along}");
            }
        }
    }
}

#[test]
fn blocks_that_are_computed_again_give_the_same_gradients_to_the_last_bit() {
    let model = opened("gemma3");
    let (course, changes) = (course(&model, 0.1), changes(&model));
    let layout = Layout::new(&model.transformer, &course.modules, course.lora.rank).unwrap();
    let step = |room: usize| {
        let gradients = Gradients { transformer: &model.transformer, changes: &changes, first: 0, room };
        let head = Head::of(&model.transformer).unwrap();
        let trainer = Trainer { gradients, head, course: &course, layout: &layout };
        let found = trainer.step(0, &[0, 1, 2, 3, 4], &numbers(layout.len())).unwrap();
        (found.loss, found.gradients, found.tokens)
    };
    let kept = step(ROOM);
    assert_eq!(step(0), kept);
    assert_eq!(step(40_000), kept);
}

#[test]
fn an_adapter_at_its_start_keeps_what_it_should_and_says_nothing_else() {
    let model = opened("qwen3");
    let mut course = course(&model, 0.0);
    course.lessons.iter_mut().for_each(|lesson| lesson.objective = Objective::Keep);
    let changes = Changes::default();
    let layout = Layout::new(&model.transformer, &course.modules, course.lora.rank).unwrap();
    let gradients = Gradients { transformer: &model.transformer, changes: &changes, first: 0, room: ROOM };
    let head = Head::of(&model.transformer).unwrap();
    let trainer = Trainer { gradients, head, course: &course, layout: &layout };
    let found = trainer.step(0, &[0, 1], &layout.start(1)).unwrap();
    assert_eq!(found.loss, 0.0);
    assert!(found.gradients.iter().all(|gradient| *gradient == 0.0));
}

//! Difference of means: one direction for each position and layer.

use super::Error;

/// Where a direction was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Place {
    /// Token position, counted from the prompt's end: −1 is the last.
    pub position: i32,
    /// Block at whose input, from 0.
    pub layer: u32,
}

/// The sums of a group's residual states, in `f64`, prompt by prompt.
#[derive(Clone, Debug)]
pub struct Means {
    positions: usize,
    width: usize,
    /// For each layer `positions · width` sums.
    sums: Vec<Vec<f64>>,
    prompts: Vec<u64>,
}

impl Means {
    /// Of no prompt yet: of `positions` states of `width` numbers at each of `layers` layers.
    pub fn new(positions: usize, layers: usize, width: usize) -> Self {
        Self { positions, width, sums: vec![vec![0.0; positions * width]; layers], prompts: vec![0; layers] }
    }

    /// Adds one prompt's states at the input of block `layer`: its last positions in their order, the prompt's last
    /// token last, `width` numbers each.
    ///
    /// # Errors
    /// A layer that is not there, another number of states, a number that is not finite.
    pub fn add<T: Copy + Into<f64>>(&mut self, layer: usize, states: &[T]) -> Result<(), Error> {
        let layers = self.sums.len();
        let (Some(sums), Some(prompts)) = (self.sums.get_mut(layer), self.prompts.get_mut(layer)) else {
            return Err(Error::Layer { layer, layers });
        };
        let what = "states of a prompt";
        if states.len() != sums.len() {
            return Err(Error::Length { what, found: states.len(), expected: sums.len() });
        }
        let states = || states.iter().map(|state| -> f64 { (*state).into() });
        if let Some((place, value)) = states().enumerate().find(|(_, value)| !value.is_finite()) {
            return Err(Error::NotFinite { what, place, value });
        }
        for (sum, state) in sums.iter_mut().zip(states()) {
            *sum += state;
        }
        *prompts += 1;
        Ok(())
    }

    /// The means at a layer, one position after another.
    fn at(&self, layer: usize, group: &'static str) -> Result<impl Iterator<Item = f64>, Error> {
        let prompts = self.prompts.get(layer).copied().unwrap_or(0);
        match self.sums.get(layer) {
            Some(sums) if prompts > 0 => Ok(sums.iter().map(move |sum| sum / prompts as f64)),
            _ => Err(Error::NoPrompts { group, layer }),
        }
    }
}

/// r\[p,l\] = mean of the harmful minus mean of the harmless prompts' states at position p of the input of block l. Not
/// normalised.
#[derive(Clone, Debug, PartialEq)]
pub struct Directions {
    positions: usize,
    layers: usize,
    width: usize,
    /// By position, by layer: the order of the published `mean_diffs.pt`.
    numbers: Vec<f64>,
}

impl Directions {
    /// Of numbers by position (the earliest first), by layer, by place in the residual stream.
    ///
    /// # Errors
    /// Another number of numbers than the lengths say.
    pub fn new(positions: usize, layers: usize, width: usize, numbers: Vec<f64>) -> Result<Self, Error> {
        let expected = positions * layers * width;
        if numbers.len() != expected {
            return Err(Error::Length { what: "directions", found: numbers.len(), expected });
        }
        Ok(Self { positions, layers, width, numbers })
    }

    /// Between the means of two groups.
    ///
    /// # Errors
    /// Groups of unequal shape, or one without prompts.
    pub fn between(harmful: &Means, harmless: &Means) -> Result<Self, Error> {
        let shape = |means: &Means| means.positions * means.width * means.sums.len();
        let equal = (harmful.positions, harmful.width) == (harmless.positions, harmless.width);
        if !equal || harmful.sums.len() != harmless.sums.len() {
            let what = "means of the harmless prompts";
            return Err(Error::Length { what, found: shape(harmless), expected: shape(harmful) });
        }
        let (positions, layers, width) = (harmful.positions, harmful.sums.len(), harmful.width);
        let mut numbers = vec![0.0; positions * layers * width];
        for layer in 0..layers {
            let mut differences = harmful
                .at(layer, "harmful")?
                .zip(harmless.at(layer, "harmless")?)
                .map(|(mean, other)| mean - other);
            let rows = numbers.chunks_mut(width.max(1)).skip(layer).step_by(layers);
            for place in rows.flatten() {
                *place = differences.next().unwrap_or_default();
            }
        }
        Self::new(positions, layers, width, numbers)
    }

    /// Numbers in a direction.
    pub fn width(&self) -> usize {
        self.width
    }

    /// Every place, in the order in which candidates are compared: the earliest position first, and its layers ascending.
    pub fn places(&self) -> impl Iterator<Item = Place> + use<> {
        let layers = u32::try_from(self.layers).unwrap_or(u32::MAX);
        let positions = i32::try_from(self.positions).unwrap_or(i32::MAX);
        (-positions..0).flat_map(move |position| (0..layers).map(move |layer| Place { position, layer }))
    }

    /// The direction found at a place; `None` where none was looked for.
    pub fn at(&self, place: Place) -> Option<&[f64]> {
        let from_end = usize::try_from(place.position.unsigned_abs()).ok().filter(|_| place.position < 0)?;
        let position = self.positions.checked_sub(from_end)?;
        let layer = usize::try_from(place.layer).ok().filter(|layer| *layer < self.layers)?;
        let first = (position * self.layers + layer) * self.width;
        self.numbers.get(first..first + self.width)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_direction_is_the_difference_of_the_means_at_its_position_and_layer() {
        let (mut harmful, mut harmless) = (Means::new(2, 2, 1), Means::new(2, 2, 1));
        // Two positions per call: the one before the last, and the last.
        for (layer, states) in [(0, [1.0, 2.0]), (0, [3.0, 6.0]), (1, [10.0, 20.0])] {
            harmful.add(layer, &states).unwrap();
        }
        for (layer, states) in [(0, [1.0, 1.0]), (1, [7.0, 5.0]), (1, [9.0, 5.0])] {
            harmless.add(layer, &states).unwrap();
        }
        let found = Directions::between(&harmful, &harmless).unwrap();
        let listed: Vec<_> = found
            .places()
            .map(|place| (place.position, place.layer, found.at(place).unwrap().to_vec()))
            .collect();
        let expected = [(-2, 0, vec![1.0]), (-2, 1, vec![2.0]), (-1, 0, vec![3.0]), (-1, 1, vec![15.0])];
        assert_eq!(listed, expected);
        for (position, layer) in [(0, 0), (1, 0), (-3, 0), (-1, 2)] {
            assert_eq!(found.at(Place { position, layer }), None);
        }
    }

    #[test]
    fn states_that_do_not_fit_are_refused_and_leave_the_sums_alone() {
        let mut means = Means::new(1, 1, 2);
        assert_eq!(
            means.add(1, &[0.0; 2]).unwrap_err().to_string(),
            "there is no layer 1: the states have the layers 0 to 0"
        );
        assert!(matches!(means.add(0, &[0.0; 3]), Err(Error::Length { found: 3, expected: 2, .. })));
        assert!(matches!(means.add(0, &[0.0, f32::NAN]), Err(Error::NotFinite { place: 1, .. })));
        let without = Directions::between(&means, &means).unwrap_err().to_string();
        assert_eq!(without, "no harmful prompt was counted at layer 0; a mean needs at least one");
        means.add(0, &[1.0, 2.0]).unwrap();
        assert!(matches!(Directions::between(&means, &Means::new(2, 1, 1)), Err(Error::Length { .. })));
    }
}

//! A treatment in force, at a strength. The runner derives the models of its tasks with it, and the exports what they
//! write.

use std::borrow::Cow;
use std::sync::Arc;

use sonde_contract::{Change, Changes, HostError};

use crate::Model;

/// The changes at a strength: the scales of matrices' changes and the coefficients of states' changes, multiplied.
///
/// A projection at strength s takes s times the state's part along the direction out.
///
/// # Errors
/// A strength that is not a finite number, or that makes a factor too large for f32.
pub fn at_strength(changes: &Changes, strength: f32) -> Result<Cow<'_, Changes>, HostError> {
    let wrong = |what: String| Err(HostError::InvalidArgument(what));
    if !strength.is_finite() {
        return wrong(format!("the strength of a treatment is {strength}; it must be a finite number"));
    }
    if strength == 1.0 {
        return Ok(Cow::Borrowed(changes));
    }
    let mut changes = changes.clone();
    for edit in &mut changes.edits {
        edit.scale *= strength;
        if !edit.scale.is_finite() {
            return wrong(format!(
                "strength {strength} makes the scale of the change of {:?} too large for f32; give a smaller one",
                edit.matrix
            ));
        }
    }
    for intervention in &mut changes.interventions {
        let (Change::Add { coefficient, .. } | Change::ProjectOut { coefficient, .. }) =
            &mut intervention.change;
        *coefficient *= strength;
        if !coefficient.is_finite() {
            return wrong(format!(
                "strength {strength} makes the coefficient of a change at layers {:?} too large for f32; give a smaller \
                 one",
                intervention.layers
            ));
        }
    }
    Ok(Cow::Owned(changes))
}

/// The model with a treatment in force. Strength 0, and a treatment that changes nothing, give the same handle.
///
/// # Errors
/// A strength that is not finite; changes that do not fit the model.
pub fn treated(
    model: &Arc<dyn Model>,
    changes: &Changes,
    strength: f32,
) -> Result<Arc<dyn Model>, HostError> {
    if strength == 0.0 {
        return Ok(Arc::clone(model));
    }
    let Changes { edits, interventions } = at_strength(changes, strength)?.into_owned();
    let mut model = Arc::clone(model);
    if !edits.is_empty() {
        model = model.adapt(edits.into())?;
    }
    if !interventions.is_empty() {
        model = model.intervene(interventions)?;
    }
    Ok(model)
}

#[cfg(test)]
mod tests {
    use sonde_contract::{Intervention, LowRank, Site};

    use super::*;

    fn changes() -> Changes {
        let edit = LowRank {
            matrix: "blk.0.attn_output.weight".to_owned(),
            expert: None,
            rank: 1,
            a: vec![1.0],
            b: vec![1.0],
            scale: 3.0,
        };
        let change = Change::ProjectOut { direction: vec![1.0], coefficient: 0.5 };
        let intervention = Intervention { layers: vec![1], site: Site::Residual, change };
        Changes { edits: vec![edit], interventions: vec![intervention] }
    }

    #[test]
    fn strength_multiplies_scales_and_coefficients_and_leaves_vectors_alone() {
        let whole = changes();
        let half = at_strength(&whole, -0.5).unwrap();
        assert_eq!(half.edits[0].scale, -1.5);
        assert_eq!((&half.edits[0].a, &half.edits[0].b), (&whole.edits[0].a, &whole.edits[0].b));
        let expected = Change::ProjectOut { direction: vec![1.0], coefficient: -0.25 };
        assert_eq!(half.interventions[0].change, expected);
        assert_eq!(*at_strength(&whole, 1.0).unwrap(), whole);
    }

    #[test]
    fn strengths_that_are_no_numbers_or_too_large_are_refused() {
        let nan = at_strength(&changes(), f32::NAN).unwrap_err().to_string();
        assert_eq!(nan, "the strength of a treatment is NaN; it must be a finite number");
        let large = at_strength(&changes(), f32::MAX).unwrap_err().to_string();
        assert!(large.contains("too large for f32"), "{large}");
    }
}

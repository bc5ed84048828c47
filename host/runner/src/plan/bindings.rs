//! Matches what a plugin asks for with what the config gives it.

use std::collections::BTreeMap;
use std::sync::Arc;

use indexmap::IndexMap;
use serde_json::{Map, Value};
use sonde_contract::{About, Safety, Slot};
use sonde_journal::{GuardIdentity, JudgeIdentity};
use sonde_runtime::{Grants, Limits, Plugin, World};

use crate::RunError;
use crate::caller::{Bindings, Bound};
use crate::config::nearest::did_you_mean;
use crate::config::{GuardConfig, GuardLevel, LoadedConfig};

/// An error at a place of the config, named by its key and its line.
pub(super) fn at(loaded: &LoadedConfig, key: &str, what: String) -> RunError {
    RunError::Plan(format!("{key} in {}: {what}", loaded.origin(key)))
}

/// A judge with its model under the role "judge".
pub(crate) fn judge(
    plugin: Plugin,
    identity: &JudgeIdentity,
    grants: Grants,
    limits: Limits,
) -> Result<Bound, RunError> {
    let role = || "judge".to_owned();
    Ok(Bound {
        bindings: Arc::new(Bindings {
            title: plugin.name().to_string(),
            models: identity.model.iter().map(|model| (role(), model.clone())).collect(),
            sampling: BTreeMap::from([(role(), identity.sampling.clone())]),
            judges: identity.judges.clone(),
            guard: None,
            treatment: None,
            asks: true,
        }),
        plugin,
        parameters: serde_json::to_string(&identity.parameters)?,
        grants,
        limits,
    })
}

/// The plugin's model slots and the config's models. A slot that the task does not bind takes the model of its own name.
pub(super) fn models(
    loaded: &LoadedConfig,
    key: &str,
    about: &About,
    bound: &IndexMap<String, String>,
) -> Result<BTreeMap<String, String>, RunError> {
    let known: Vec<&str> = loaded.config.models.keys().map(String::as_str).collect();
    slots(loaded, key, about, "models", &about.models, bound, &known)
}

/// The same for judges.
pub(super) fn judges(
    loaded: &LoadedConfig,
    key: &str,
    about: &About,
    bound: &IndexMap<String, String>,
) -> Result<BTreeMap<String, String>, RunError> {
    let known: Vec<&str> = loaded.config.judges.keys().map(String::as_str).collect();
    slots(loaded, key, about, "judges", &about.judges, bound, &known)
}

/// The judges that a judge asks: others than itself, and such as ask none. A slot binds nothing by its own name.
pub(super) fn judges_of_judge(
    loaded: &LoadedConfig,
    key: &str,
    name: &str,
    about: &About,
    bound: &IndexMap<String, String>,
) -> Result<BTreeMap<String, String>, RunError> {
    let configs = &loaded.config.judges;
    let key = &format!("{key}.judges");
    for (slot, asked) in bound {
        let place = &format!("{key}.{slot}");
        if asked == name {
            return Err(at(loaded, place, format!("{name} cannot ask itself; name another judge")));
        }
        if configs.get(asked).is_some_and(|judge| !judge.judges.is_empty()) {
            let what = format!("{asked} asks judges itself; a judge that a judge asks must ask none");
            return Err(at(loaded, place, what));
        }
    }
    let others: Vec<&str> = configs.keys().map(String::as_str).filter(|other| *other != name).collect();
    slots(loaded, key, about, "judges", &about.judges, bound, &others)
}

/// The guard over one role's replies.
pub(super) fn guard(
    loaded: &LoadedConfig,
    key: &str,
    models: &BTreeMap<String, String>,
    guard: &GuardConfig,
) -> Result<GuardIdentity, RunError> {
    let key = &format!("{key}.guard");
    let known: Vec<&str> = loaded.config.judges.keys().map(String::as_str).collect();
    if !known.contains(&guard.judge.as_str()) {
        let hint = did_you_mean(&guard.judge, "judges", known);
        return Err(at(
            loaded,
            &format!("{key}.judge"),
            format!("there is no judge \"{}\"; {hint}", guard.judge),
        ));
    }
    if !models.contains_key(&guard.role) {
        let hint = did_you_mean(&guard.role, "its models", models.keys().map(String::as_str));
        return Err(at(
            loaded,
            &format!("{key}.role"),
            format!("the task has no model \"{}\"; {hint}", guard.role),
        ));
    }
    if guard.consecutive == 0 {
        let what = "is 0; a reply ends after at least 1 flagged token".to_owned();
        return Err(at(loaded, &format!("{key}.consecutive"), what));
    }
    let stop = match guard.stop {
        GuardLevel::Unsafe => Safety::Unsafe,
        GuardLevel::Controversial => Safety::Controversial,
    };
    let GuardConfig { judge, consecutive, role, .. } = guard.clone();
    Ok(GuardIdentity { judge, stop, consecutive, role })
}

fn slots(
    loaded: &LoadedConfig,
    key: &str,
    about: &About,
    kind: &str,
    slots: &[Slot],
    bound: &IndexMap<String, String>,
    known: &[&str],
) -> Result<BTreeMap<String, String>, RunError> {
    for slot in bound.keys() {
        if !slots.iter().any(|known| known.name == *slot) {
            let hint =
                did_you_mean(slot, &format!("its {kind}"), slots.iter().map(|slot| slot.name.as_str()));
            let key = &format!("{key}.{kind}");
            return Err(at(loaded, key, format!("{} has no {kind} slot \"{slot}\"; {hint}", about.name)));
        }
    }
    let mut all = BTreeMap::new();
    for slot in slots {
        let by_name = known.contains(&slot.name.as_str()).then_some(&slot.name);
        match bound.get(&slot.name).or(by_name) {
            Some(name) => {
                all.insert(slot.name.clone(), name.clone());
            }
            None if slot.required => {
                let choices = if known.is_empty() {
                    format!("the config defines no {kind}")
                } else {
                    format!("one of {}", known.join(", "))
                };
                return Err(at(
                    loaded,
                    key,
                    format!(
                        "{} needs \"{}\" among its {kind} ({}); add `{kind}: {{ {}: … }}`, {choices}",
                        about.name, slot.name, slot.about, slot.name
                    ),
                ));
            }
            None => {}
        }
    }
    Ok(all)
}

/// What the plugin may import; an import without its grant fails here.
pub(super) fn grants(
    loaded: &LoadedConfig,
    key: &str,
    plugin: &Plugin,
    granted: Option<&[String]>,
) -> Result<Grants, RunError> {
    let key = &format!("{key}.grants");
    let Some(granted) = granted else { return check_grants(loaded, key, plugin, Grants::of(plugin.world())) };
    for name in granted {
        if !Grants::KNOWN.contains(&name.as_str()) {
            let hint = did_you_mean(name, "grants", Grants::KNOWN);
            return Err(at(loaded, key, format!("there is no grant \"{name}\"; {hint}")));
        }
    }
    check_grants(loaded, key, plugin, granted.iter().collect())
}

fn check_grants(
    loaded: &LoadedConfig,
    key: &str,
    plugin: &Plugin,
    grants: Grants,
) -> Result<Grants, RunError> {
    let missing = plugin.missing_grants(&grants);
    if missing.is_empty() {
        return Ok(grants);
    }
    let all: Vec<&str> = grants.0.iter().chain(&missing).map(String::as_str).collect();
    Err(at(
        loaded,
        key,
        format!(
            "plugin {} imports {}, which the run does not grant; `grants: [{}]` would",
            plugin.name(),
            missing.join(" and "),
            all.join(", ")
        ),
    ))
}

/// The plugin's limits: what the config states, else its world's defaults.
pub(super) fn limits(
    loaded: &LoadedConfig,
    key: &str,
    world: World,
    limits: &Map<String, Value>,
) -> Result<Limits, RunError> {
    let key = &format!("{key}.limits");
    let known = serde_json::to_value(Limits::default())?;
    let known = || known.as_object().into_iter().flat_map(|known| known.keys().map(String::as_str));
    if let Some(unknown) = limits.keys().find(|key| !known().any(|name| name == key.as_str())) {
        let hint = did_you_mean(unknown, "limits", known());
        let key = &format!("{key}.{unknown}");
        return Err(at(loaded, key, format!("there is no limit \"{unknown}\"; {hint}")));
    }
    let limits = Limits::overlaid(world, limits)
        .map_err(|error| at(loaded, key, format!("`limits` cannot be read: {error}")))?;
    limits.check().map_err(|what| at(loaded, key, what))?;
    Ok(limits)
}

/// Parameters that the plugin's schema does not know are refused.
pub(super) fn check_parameters(
    loaded: &LoadedConfig,
    key: &str,
    about: &About,
    parameters: &Map<String, Value>,
) -> Result<(), RunError> {
    let key = &format!("{key}.parameters");
    let schema: Value = serde_json::from_str(&about.parameters_schema).unwrap_or_default();
    let Some(known) = schema.get("properties").and_then(Value::as_object) else {
        return match parameters.keys().next() {
            Some(first) if !about.parameters_schema.trim().is_empty() => Err(at(
                loaded,
                key,
                format!("{} has no parameters, and the config sets \"{first}\"", about.name),
            )),
            _ => Ok(()),
        };
    };
    match parameters.keys().find(|name| !known.contains_key(name.as_str())) {
        Some(unknown) => {
            let hint = did_you_mean(unknown, "parameters", known.keys().map(String::as_str));
            let key = &format!("{key}.{unknown}");
            Err(at(loaded, key, format!("{} has no parameter \"{unknown}\"; {hint}", about.name)))
        }
        None => {
            let wrong = parameters.iter().find_map(|(name, value)| {
                wrong_value(known.get(name)?, value).map(|what| (format!("{key}.{name}"), what))
            });
            wrong.map_or(Ok(()), |(key, what)| Err(at(loaded, &key, what)))
        }
    }
}

/// What is wrong with a parameter's value, by the two keywords of JSON Schema that plugins' parameters live by.
fn wrong_value(schema: &Value, value: &Value) -> Option<String> {
    if let Some(choices) = schema.get("enum").and_then(Value::as_array) {
        let words: Vec<&str> = choices.iter().filter_map(Value::as_str).collect();
        let hint = did_you_mean(value.as_str().unwrap_or_default(), "values", words);
        return (!choices.contains(value)).then(|| format!("{value} is no choice here; {hint}"));
    }
    let wanted = schema.get("type").and_then(Value::as_str)?;
    let fits = match wanted {
        "string" => value.is_string(),
        "number" => value.is_number(),
        "integer" => value.is_i64() || value.is_u64(),
        "boolean" => value.is_boolean(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        _ => true,
    };
    (!fits).then(|| format!("{value} is no {wanted}"))
}

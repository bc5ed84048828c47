//! The reference of all config keys, as markdown, printed from the types themselves.

use super::Config;
use super::described::{Described, Group, Kind};

/// Every config key with type, default and meaning: one table per mapping, outermost first.
///
/// `docs/config.md` ends with this text; a test holds the two together.
pub fn reference_markdown() -> String {
    let mut groups: Vec<&'static Group> = Vec::new();
    collect(Config::KIND, &mut groups);
    let sections: Vec<String> = groups.into_iter().map(section).collect();
    sections.join("\n")
}

/// Groups in the order in which a reader meets them.
fn collect(kind: Kind, groups: &mut Vec<&'static Group>) {
    match kind {
        Kind::Group(group) if !groups.iter().any(|known| known.name == group.name) => {
            groups.push(group);
            group.keys.iter().for_each(|key| collect(key.kind, groups));
        }
        Kind::List(inner) | Kind::Named(inner) => collect(*inner, groups),
        _ => {}
    }
}

fn section(group: &Group) -> String {
    let mut text = format!("### {}\n\n{}\n\n", title(group), prose(group.about));
    text.push_str("| key | type | default | meaning |\n| --- | --- | --- | --- |\n");
    for key in group.keys {
        let default = match key.default {
            "required" => "**required**".to_owned(),
            words => words.to_owned(),
        };
        let cells = [format!("`{}`", key.name), type_of(key.kind), default, prose(key.meaning)];
        text.push_str(&format!("| {} |\n", cells.map(|cell| cell.replace('|', "\\|")).join(" | ")));
    }
    text
}

fn title(group: &Group) -> &'static str {
    match group.name {
        "Config" => "The file",
        "ModelConfig" => "A model",
        "JudgeConfig" => "A judge",
        "TaskConfig" => "A task",
        "SuiteConfig" => "A suite",
        "TreatConfig" => "A treatment between two measurements",
        "DatasetConfig" => "A dataset",
        "SamplingConfig" => "Sampling",
        other => other,
    }
}

fn type_of(kind: Kind) -> String {
    match kind {
        Kind::Text => "text".to_owned(),
        Kind::Path => "path".to_owned(),
        Kind::Whole(_) => "whole number".to_owned(),
        Kind::Number => "number".to_owned(),
        Kind::Flag => "true or false".to_owned(),
        Kind::Digest => "SHA-256".to_owned(),
        Kind::Choice(words) => words.iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(", "),
        Kind::Free => "mapping".to_owned(),
        Kind::List(inner) => format!("list of: {}", type_of(*inner)),
        Kind::Named(Kind::Text) => "name: name".to_owned(),
        Kind::Named(inner) => format!("name: {}", type_of(*inner)),
        Kind::Group(group) => {
            format!("[{}](#{})", title(group).to_lowercase(), title(group).to_lowercase().replace(' ', "-"))
        }
    }
}

/// Doc comment lines as one line.
fn prose(lines: &[&str]) -> String {
    lines.iter().map(|line| line.trim()).collect::<Vec<_>>().join(" ")
}

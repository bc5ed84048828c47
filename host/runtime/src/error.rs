//! Why a plugin could not be loaded or gave no answer, in words for the person who runs it.

use std::fmt;

use crate::World;
use crate::grants::Grants;
use crate::limits::LimitReached;

/// A plugin's name and version, as messages show them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PluginName {
    /// From its description.
    pub name: String,
    /// From its description.
    pub version: String,
}

impl fmt::Display for PluginName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.name, self.version)
    }
}

/// What went wrong with a plugin. Every text is free of terminal escapes.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum PluginError {
    /// The engine under all plugins does not start.
    #[error("plugins cannot be run on this machine: {0}")]
    Start(String),

    /// The bytes are not a plugin of this contract.
    #[error("{path} is not a plugin that can be loaded: {reason}")]
    NotLoadable {
        /// The file, as the caller named it.
        path: String,
        /// What is wrong with it and what would help.
        reason: String,
    },

    /// The plugin imports what the run does not grant.
    #[error(
        "plugin {plugin} imports {}, which this run does not grant; add {} to `grants` of the task or judge that uses it: \
         `grants: {needed}`",
        quoted(imports),
        if imports.len() == 1 { "it" } else { "them" }
    )]
    Denied {
        /// Which plugin.
        plugin: PluginName,
        /// The interfaces.
        imports: Vec<String>,
        /// What is granted and what is missing, as the config would grant it.
        needed: Grants,
    },

    /// The plugin was asked for what its world does not have.
    #[error("plugin {plugin} is a {world}, and {asked} was asked of it")]
    WrongWorld {
        /// Which plugin.
        plugin: PluginName,
        /// What it is.
        world: World,
        /// The export.
        asked: &'static str,
    },

    /// A limit stopped it.
    #[error("plugin {plugin} was stopped on {subject}: {limit}")]
    Limit {
        /// Which plugin.
        plugin: PluginName,
        /// What it was working on.
        subject: String,
        /// Which limit, its value, and its key.
        limit: LimitReached,
    },

    /// It panicked; its panic hook told why.
    #[error("plugin {plugin} panicked on {subject}: {message}")]
    Panicked {
        /// Which plugin.
        plugin: PluginName,
        /// What it was working on.
        subject: String,
        /// The panic's text and place.
        message: String,
    },

    /// It ended in another trap.
    #[error("plugin {plugin} crashed on {subject}: {trap}")]
    Crashed {
        /// Which plugin.
        plugin: PluginName,
        /// What it was working on.
        subject: String,
        /// The trap, and the last error the plugin logged.
        trap: String,
    },

    /// It returned an error of its own.
    #[error("plugin {plugin} failed on {subject}: {message}")]
    Failed {
        /// Which plugin.
        plugin: PluginName,
        /// What it was working on.
        subject: String,
        /// Its own words.
        message: String,
    },

    /// It returned something that cannot be believed.
    #[error("plugin {plugin} gave an unusable answer on {subject}: {fault}")]
    Unusable {
        /// Which plugin.
        plugin: PluginName,
        /// What it was working on.
        subject: String,
        /// What is wrong with the answer.
        fault: String,
    },
}

fn quoted(names: &[String]) -> String {
    names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}

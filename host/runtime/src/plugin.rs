//! A loaded plugin and its calls.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use sonde_contract::{About, Chat, Derived, Diagnosis, Digest, Exchange, Outcome, Summary, Verdict};
use wasmtime::component::Component;

use crate::convert;
use crate::engine::Runtime;
use crate::error::{PluginError, PluginName};
use crate::grants::Grants;
use crate::invocation::{Call, Linked};
use crate::limits::Limits;
use crate::load::{self, Loaded};
use crate::printable::printable;
use crate::services::Services;

/// What a plugin is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum World {
    /// Measures a model on a dataset.
    Benchmark,
    /// Judges exchanges.
    Judge,
    /// Looks inside a model.
    Diagnostic,
    /// Derives a change of a model.
    Treatment,
}

impl fmt::Display for World {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Benchmark => "benchmark",
            Self::Judge => "judge",
            Self::Diagnostic => "diagnostic",
            Self::Treatment => "treatment",
        })
    }
}

/// What one call of a plugin may reach and use, and what messages call it.
#[derive(Clone)]
pub struct Invocation {
    /// Who answers its host calls.
    pub services: Arc<dyn Services>,
    /// What it may import.
    pub grants: Grants,
    /// What it may use.
    pub limits: Limits,
    /// Whether a judge asks this judge, which then can ask no other.
    pub asked_by_judge: bool,
    /// What it works on, for example `sample harmbench/17`; stands after "on" in messages.
    pub subject: String,
}

/// A plugin that was loaded and described itself. Cheap to clone; clones share the compiled code.
#[derive(Clone)]
pub struct Plugin(Arc<Inner>);

struct Inner {
    runtime: Runtime,
    component: Component,
    world: World,
    streaming: bool,
    imports: Vec<String>,
    about: About,
    digest: Digest,
    source: String,
    size: u64,
    linked: Mutex<HashMap<Grants, Linked>>,
}

impl fmt::Debug for Plugin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Plugin({} {})", self.name(), self.0.digest.short())
    }
}

impl Runtime {
    /// Loads a plugin: a component, or a core module that carries the contract. Compiles it (or takes it from the
    /// cache), checks that it imports and exports nothing but the contract, and asks it to describe itself. `path` is
    /// what messages call the file.
    ///
    /// # Errors
    /// [`PluginError::NotLoadable`], with the reason.
    pub async fn load(&self, bytes: &[u8], path: &str) -> Result<Plugin, PluginError> {
        let refuse = |reason: String| PluginError::NotLoadable { path: path.to_owned(), reason };
        let (engine, owned) = (self.engine().clone(), bytes.to_vec());
        let compiled = tokio::task::spawn_blocking(move || load::load(&engine, &owned)).await;
        let compiled = compiled.map_err(|error| refuse(format!("its compilation broke off ({error})")))?;
        let Loaded { component, world, streaming, imports } = compiled.map_err(refuse)?;
        let linked = Linked::new(&component, world, streaming, &Grants::all());
        let linked = linked.map_err(|error| {
            refuse(format!("it does not keep to the contract: {}", printable(&format!("{error:#}"))))
        })?;
        let about = self.describe(&linked, world).await.map_err(refuse)?;
        Ok(Plugin(Arc::new(Inner {
            runtime: self.clone(),
            component,
            world,
            streaming,
            imports,
            about,
            digest: Digest::of(bytes),
            source: path.to_owned(),
            size: bytes.len() as u64,
            linked: Mutex::new(HashMap::from([(Grants::all(), linked)])),
        })))
    }
}

impl Plugin {
    /// SHA-256 of the bytes that were loaded.
    #[must_use]
    pub fn digest(&self) -> Digest {
        self.0.digest
    }

    /// What the caller named the file.
    #[must_use]
    pub fn source(&self) -> &str {
        &self.0.source
    }

    /// Its description; names are checked and texts are printable.
    #[must_use]
    pub fn about(&self) -> &About {
        &self.0.about
    }

    /// What it is.
    #[must_use]
    pub fn world(&self) -> World {
        self.0.world
    }

    /// Whether it is a judge that can watch a reply come about.
    #[must_use]
    pub fn is_streaming(&self) -> bool {
        self.0.streaming
    }

    /// The interfaces it imports functions from, in the order of its imports: its permission list.
    #[must_use]
    pub fn imports(&self) -> Vec<String> {
        self.0.imports.clone()
    }

    /// Bytes of the file.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.0.size
    }

    /// Name and version, as messages show them.
    #[must_use]
    pub fn name(&self) -> PluginName {
        PluginName { name: self.0.about.name.clone(), version: self.0.about.version.clone() }
    }

    /// The imports that these grants do not cover.
    #[must_use]
    pub fn missing_grants(&self, grants: &Grants) -> Vec<String> {
        self.0.imports.iter().filter(|import| !grants.allows(import)).cloned().collect()
    }

    /// Measures one sample in an instance of its own. `row` and `parameters` are JSON objects.
    ///
    /// # Errors
    /// Every [`PluginError`] but the first two. None of them affects other calls.
    pub async fn run(
        &self,
        invocation: Invocation,
        row: &str,
        parameters: &str,
        seed: u64,
    ) -> Result<Outcome, PluginError> {
        let Linked::Benchmark(linked) = self.linked(&invocation)? else {
            return Err(self.wrong_world("run"));
        };
        let mut call = Call::begin(self, invocation).await?;
        call.fits(|budget| {
            budget.take("the row", &[row], 0)?;
            budget.take("the parameters", &[parameters], 0)
        })?;
        let answer = async {
            let plugin = linked.instantiate_async(&mut call.store).await?;
            plugin.sonde_plugin_benchmark().call_run(&mut call.store, row, parameters, seed).await
        };
        let answer = answer.await;
        call.end(answer, convert::outcome)
    }

    /// Sums up outcomes, which stand in the order of the dataset.
    ///
    /// # Errors
    /// As [`Plugin::run`].
    pub async fn summarize(
        &self,
        invocation: Invocation,
        outcomes: &[Outcome],
        parameters: &str,
    ) -> Result<Summary, PluginError> {
        let Linked::Benchmark(linked) = self.linked(&invocation)? else {
            return Err(self.wrong_world("summarize"));
        };
        let mut call = Call::begin(self, invocation).await?;
        let outcomes = call.fits(|budget| {
            budget.take("the parameters", &[parameters], 0)?;
            convert::outcomes_for_guest(budget, outcomes)
        })?;
        let answer = async {
            let plugin = linked.instantiate_async(&mut call.store).await?;
            plugin.sonde_plugin_benchmark().call_summarize(&mut call.store, &outcomes, parameters).await
        };
        let answer = answer.await;
        call.end(answer, convert::summary)
    }

    /// Judges one exchange.
    ///
    /// # Errors
    /// As [`Plugin::run`].
    pub async fn assess(
        &self,
        invocation: Invocation,
        exchange: &Exchange,
        parameters: &str,
    ) -> Result<Verdict, PluginError> {
        let Linked::Judge(linked, _) = self.linked(&invocation)? else {
            return Err(self.wrong_world("assess"));
        };
        let mut call = Call::begin(self, invocation).await?;
        let exchange = call.fits(|budget| {
            budget.take("the parameters", &[parameters], 0)?;
            budget.exchange(exchange)
        })?;
        let answer = async {
            let plugin = linked.instantiate_async(&mut call.store).await?;
            plugin.sonde_plugin_judge().call_assess(&mut call.store, &exchange, parameters).await
        };
        let answer = answer.await;
        call.end(answer, convert::verdict)
    }

    /// Watches a reply to a conversation come about, as [`Services::next_of_reply`] gives it, until that says it is
    /// complete.
    ///
    /// # Errors
    /// As [`Plugin::run`]; also of a judge that does not stream.
    pub async fn watch(
        &self,
        invocation: Invocation,
        conversation: &Chat,
        parameters: &str,
    ) -> Result<(), PluginError> {
        let Linked::Judge(_, Some(linked)) = self.linked(&invocation)? else {
            return Err(self.wrong_world("watch"));
        };
        let mut call = Call::begin(self, invocation).await?;
        let conversation = call.fits(|budget| {
            budget.take("the parameters", &[parameters], 0)?;
            budget.chat(conversation)
        })?;
        let answer = async {
            let plugin = linked.instantiate_async(&mut call.store).await?;
            plugin.sonde_plugin_streaming_judge().call_watch(&mut call.store, &conversation, parameters).await
        };
        let answer = answer.await;
        call.end(answer, |_, ()| Ok(()))
    }

    /// Computes a whole diagnosis. `datasets` are those that the run binds: the name in the description, and the rows,
    /// each a JSON object. Findings that come back speak of these rows only.
    ///
    /// # Errors
    /// As [`Plugin::run`].
    pub async fn diagnose(
        &self,
        invocation: Invocation,
        datasets: &[(String, Vec<String>)],
        parameters: &str,
        seed: u64,
    ) -> Result<Diagnosis, PluginError> {
        let Linked::Diagnostic(linked) = self.linked(&invocation)? else {
            return Err(self.wrong_world("diagnose"));
        };
        let mut call = Call::begin(self, invocation).await?;
        let handed = call.fits(|budget| {
            budget.take("the parameters", &[parameters], 0)?;
            convert::datasets_for_guest(budget, datasets)
        })?;
        let answer = async {
            let plugin = linked.instantiate_async(&mut call.store).await?;
            plugin.sonde_plugin_diagnostic().call_run(&mut call.store, &handed, parameters, seed).await
        };
        let answer = answer.await;
        drop(handed);
        call.end(answer, |limits, from| convert::diagnosis(limits, from, datasets))
    }

    /// Derives a treatment. `datasets` as in [`Plugin::diagnose`].
    ///
    /// # Errors
    /// As [`Plugin::run`].
    pub async fn derive(
        &self,
        invocation: Invocation,
        datasets: &[(String, Vec<String>)],
        parameters: &str,
        seed: u64,
    ) -> Result<Derived, PluginError> {
        let Linked::Treatment(linked) = self.linked(&invocation)? else {
            return Err(self.wrong_world("derive"));
        };
        let mut call = Call::begin(self, invocation).await?;
        let handed = call.fits(|budget| {
            budget.take("the parameters", &[parameters], 0)?;
            convert::datasets_for_guest(budget, datasets)
        })?;
        let answer = async {
            let plugin = linked.instantiate_async(&mut call.store).await?;
            plugin.sonde_plugin_treatment().call_derive(&mut call.store, &handed, parameters, seed).await
        };
        let answer = answer.await;
        drop(handed);
        let answer = match answer {
            // A trained adapter lives no longer than the store.
            Ok(Ok(given)) => call.store.data().trained(&given.change).map(|trained| Ok((trained, given))),
            Ok(Err(text)) => Ok(Err(text)),
            Err(error) => Err(error),
        };
        call.end(answer, |limits, (trained, from)| convert::derived(limits, from, trained))
    }

    pub(crate) fn runtime(&self) -> &Runtime {
        &self.0.runtime
    }

    fn wrong_world(&self, asked: &'static str) -> PluginError {
        PluginError::WrongWorld { plugin: self.name(), world: self.0.world, asked }
    }

    /// The component with the granted imports bound; bound once for each set of grants.
    fn linked(&self, invocation: &Invocation) -> Result<Linked, PluginError> {
        let imports = self.missing_grants(&invocation.grants);
        if !imports.is_empty() {
            let needed = invocation.grants.0.iter().chain(&imports).collect();
            return Err(PluginError::Denied { plugin: self.name(), imports, needed });
        }
        let mut known = self.0.linked.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(linked) = known.get(&invocation.grants) {
            return Ok(linked.clone());
        }
        let linked = Linked::new(&self.0.component, self.0.world, self.0.streaming, &invocation.grants);
        let linked = linked.map_err(|error| PluginError::Crashed {
            plugin: self.name(),
            subject: invocation.subject.clone(),
            trap: format!("{error:#}"),
        })?;
        known.insert(invocation.grants.clone(), linked.clone());
        Ok(linked)
    }
}

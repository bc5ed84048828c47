//! One call of one plugin: binding its imports, its store, and reading how it ended.

use std::sync::Arc;

use sonde_contract::About;
use tokio::sync::SemaphorePermit;
use wasmtime::component::{Component, HasSelf, Linker};
use wasmtime::{Store, Trap, UpdateDeadline};

use crate::bindings::diagnostic_world::DiagnosticPluginPre;
use crate::bindings::judge_world::JudgePluginPre;
use crate::bindings::streaming_world::StreamingJudgePluginPre;
use crate::bindings::treatment_world::TreatmentPluginPre;
use crate::bindings::{
    BenchmarkPluginPre, activations, generation, gradients, judging, log, reply_stream, results, training,
    types, weights,
};
use crate::convert::{self, Budget, Fault};
use crate::engine::Runtime;
use crate::error::PluginError;
use crate::grants::Grants;
use crate::host::{CalledWhileDescribing, Host, Peer};
use crate::limits::{LimitReached, Limits};
use crate::plugin::{Invocation, Plugin, World};
use crate::printable::printable;

/// A component with its imports bound, ready to be instantiated in microseconds.
#[derive(Clone)]
pub enum Linked {
    /// A benchmark.
    Benchmark(BenchmarkPluginPre<Host>),
    /// A judge, and the same as one that watches replies, if it can.
    Judge(JudgePluginPre<Host>, Option<StreamingJudgePluginPre<Host>>),
    /// A diagnostic.
    Diagnostic(DiagnosticPluginPre<Host>),
    /// A treatment.
    Treatment(TreatmentPluginPre<Host>),
}

impl Linked {
    /// Binds the granted interfaces and no others, and compares all types with the contract's.
    ///
    /// # Errors
    /// When a type differs or an import is not granted.
    pub fn new(
        component: &Component,
        world: World,
        streaming: bool,
        grants: &Grants,
    ) -> wasmtime::Result<Self> {
        let mut linker = Linker::<Host>::new(component.engine());
        types::add_to_linker::<_, HasSelf<_>>(&mut linker, |host| host)?;
        results::add_to_linker::<_, HasSelf<_>>(&mut linker, |host| host)?;
        if grants.allows("generation") {
            generation::add_to_linker::<_, HasSelf<_>>(&mut linker, |host| host)?;
        }
        if grants.allows("judging") {
            judging::add_to_linker::<_, HasSelf<_>>(&mut linker, |host| host)?;
        }
        if grants.allows("log") {
            log::add_to_linker::<_, HasSelf<_>>(&mut linker, |host| host)?;
        }
        if grants.allows("activations") {
            activations::add_to_linker::<_, HasSelf<_>>(&mut linker, |host| host)?;
        }
        if grants.allows("weights") {
            weights::add_to_linker::<_, HasSelf<_>>(&mut linker, |host| host)?;
        }
        if grants.allows("gradients") {
            gradients::add_to_linker::<_, HasSelf<_>>(&mut linker, |host| host)?;
        }
        if grants.allows("training") {
            training::add_to_linker::<_, HasSelf<_>>(&mut linker, |host| host)?;
        }
        if grants.allows("reply-stream") {
            reply_stream::add_to_linker::<_, HasSelf<_>>(&mut linker, |host| host)?;
        }
        let instance = linker.instantiate_pre(component)?;
        Ok(match world {
            World::Benchmark => Self::Benchmark(BenchmarkPluginPre::new(instance)?),
            World::Judge => {
                let watching =
                    streaming.then(|| StreamingJudgePluginPre::new(instance.clone())).transpose()?;
                Self::Judge(JudgePluginPre::new(instance)?, watching)
            }
            World::Diagnostic => Self::Diagnostic(DiagnosticPluginPre::new(instance)?),
            World::Treatment => Self::Treatment(TreatmentPluginPre::new(instance)?),
        })
    }
}

impl Runtime {
    /// Asks a plugin to describe itself, with nobody to call.
    ///
    /// # Errors
    /// A reason that continues "this is not a plugin that can be loaded".
    pub(crate) async fn describe(&self, linked: &Linked, world: World) -> Result<About, String> {
        let _permit = self.permits(world, false).acquire().await.map_err(|error| error.to_string())?;
        let mut store = store(self, Host::new(Peer::Nobody, Limits::default()));
        let described = async {
            match linked {
                Linked::Benchmark(linked) => {
                    let plugin = linked.instantiate_async(&mut store).await?;
                    plugin.sonde_plugin_benchmark().call_describe(&mut store).await
                }
                Linked::Judge(linked, _) => {
                    let plugin = linked.instantiate_async(&mut store).await?;
                    plugin.sonde_plugin_judge().call_describe(&mut store).await
                }
                Linked::Diagnostic(linked) => {
                    let plugin = linked.instantiate_async(&mut store).await?;
                    plugin.sonde_plugin_diagnostic().call_describe(&mut store).await
                }
                Linked::Treatment(linked) => {
                    let plugin = linked.instantiate_async(&mut store).await?;
                    plugin.sonde_plugin_treatment().call_describe(&mut store).await
                }
            }
        };
        let described = described.await.map_err(|error| {
            let last_words = store.data().last_error();
            let last_words =
                last_words.map(|text| format!("; its last words were: {text}")).unwrap_or_default();
            if let Some(called) = error.downcast_ref::<CalledWhileDescribing>() {
                return format!("{called}{last_words}");
            }
            let reason =
                limit(&error, store.data().limits()).map_or_else(|| trap(&error), |limit| limit.to_string());
            format!("it could not describe itself: {reason}{last_words}")
        })?;
        convert::about(described).map_err(|fault| match fault {
            Fault::Limit(limit) => format!("its description cannot be used: {limit}"),
            Fault::Wrong(text) => format!("its description cannot be used: {text}"),
        })
    }
}

/// A running invocation. It holds one of the pool's places until it ends.
pub struct Call<'a> {
    plugin: &'a Plugin,
    subject: String,
    /// The invocation's store.
    pub store: Store<Host>,
    _permit: SemaphorePermit<'a>,
}

impl<'a> Call<'a> {
    /// Waits for a place in the pool, and then starts the guest's clock.
    ///
    /// # Errors
    /// When the runtime is shutting down.
    pub async fn begin(plugin: &'a Plugin, invocation: Invocation) -> Result<Self, PluginError> {
        let Invocation { services, limits, subject, asked_by_judge, .. } = invocation;
        let permit = plugin.runtime().permits(plugin.world(), asked_by_judge).acquire().await;
        let permit = permit.map_err(|error| PluginError::Start(error.to_string()))?;
        let host = Host::new(Peer::Services { services, may_ask_judges: !asked_by_judge }, limits);
        Ok(Self { plugin, subject, store: store(plugin.runtime(), host), _permit: permit })
    }

    /// Checks or converts the arguments of the export against what the plugin may be handed.
    ///
    /// # Errors
    /// The limit they break.
    pub fn fits<T>(
        &self,
        hand_over: impl FnOnce(&mut Budget<'_>) -> Result<T, LimitReached>,
    ) -> Result<T, PluginError> {
        hand_over(&mut Budget::new(self.store.data().limits())).map_err(|reached| self.stopped(reached))
    }

    /// Reads the answer, or why there is none.
    ///
    /// # Errors
    /// As the calls of [`Plugin`].
    pub fn end<G, T>(
        self,
        answer: wasmtime::Result<Result<G, String>>,
        read: impl FnOnce(&Limits, G) -> Result<T, Fault>,
    ) -> Result<T, PluginError> {
        let (plugin, subject) = (self.plugin.name(), self.subject.clone());
        let host = self.store.data();
        match answer {
            Ok(Ok(given)) => read(host.limits(), given).map_err(|fault| match fault {
                Fault::Limit(reached) => self.stopped(reached),
                Fault::Wrong(fault) => PluginError::Unusable { plugin, subject, fault },
            }),
            Ok(Err(text)) => match convert::check_text(host.limits(), "its error text", &text) {
                Ok(()) => Err(PluginError::Failed { plugin, subject, message: printable(&text) }),
                Err(reached) => Err(self.stopped(reached)),
            },
            Err(error) => Err(match (limit(&error, host.limits()), host.last_error()) {
                (Some(reached), _) => self.stopped(reached),
                (None, Some(message)) if is_abort(&error) => {
                    PluginError::Panicked { plugin, subject, message: message.to_owned() }
                }
                (None, last) => {
                    let last =
                        last.map(|text| format!("; the last error it logged: {text}")).unwrap_or_default();
                    PluginError::Crashed { plugin, subject, trap: trap(&error) + &last }
                }
            }),
        }
    }

    fn stopped(&self, limit: LimitReached) -> PluginError {
        PluginError::Limit { plugin: self.plugin.name(), subject: self.subject.clone(), limit }
    }
}

/// A store with every limit in force and the guest's clock running.
fn store(runtime: &Runtime, host: Host) -> Store<Host> {
    let clock = Arc::clone(host.clock());
    clock.start();
    let (guest_to_host, handles) = (host.limits().plugin_data_bytes(), host.limits().handles());
    let mut store = Store::new(runtime.engine(), host);
    store.limiter(|host| host);
    store.set_hostcall_fuel(guest_to_host);
    store.set_max_component_handles(handles);
    store.set_epoch_deadline(1);
    store.epoch_deadline_callback(move |store| {
        store.data().compute_limit()?;
        let clock = Arc::clone(&clock);
        let others_first = async move {
            clock.stop();
            tokio::task::yield_now().await;
            clock.start();
        };
        Ok(UpdateDeadline::YieldCustom(1, Box::pin(others_first)))
    });
    store
}

/// The limit that ended a call, if one did.
fn limit(error: &wasmtime::Error, limits: &Limits) -> Option<LimitReached> {
    if let Some(reached) = error.downcast_ref::<LimitReached>() {
        return Some(reached.clone());
    }
    if error.downcast_ref::<Trap>() == Some(&Trap::StackOverflow) {
        return Some(LimitReached::Stack);
    }
    // wasmtime's own type for this is private; a test holds its text in place.
    let too_much = |cause: &(dyn std::error::Error + 'static)| {
        cause.to_string().contains("fuel allocated for hostcalls has been exhausted")
    };
    error.chain().any(too_much).then_some(LimitReached::PluginData { mib: limits.plugin_data_mib })
}

fn is_abort(error: &wasmtime::Error) -> bool {
    error.downcast_ref::<Trap>() == Some(&Trap::UnreachableCodeReached)
}

/// A trap in words.
fn trap(error: &wasmtime::Error) -> String {
    match error.downcast_ref::<Trap>() {
        Some(Trap::UnreachableCodeReached) => {
            "it aborted without a word (build it with the Sonde SDK, whose panic hook tells why)".into()
        }
        Some(Trap::MemoryOutOfBounds) => {
            "it accessed memory that it does not have, as a recursion without end can do".into()
        }
        Some(trap) => trap.to_string(),
        None => printable(&format!("{error:#}")),
    }
}

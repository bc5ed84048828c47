//! From a file's bytes to a compiled component of one of our worlds, or to a sentence that says why not.

use std::borrow::Cow;
use std::collections::BTreeSet;

use wasmtime::Engine;
use wasmtime::component::Component;
use wasmtime::component::types::ComponentItem;
use wit_component::ComponentEncoder;

use crate::World;
use crate::printable::printable;

/// The package and version that this runtime speaks.
const PACKAGE: &str = "sonde:plugin";
const VERSION: &str = "0.1.0";
const INTERFACES: [&str; 10] = [
    "types",
    "results",
    "generation",
    "judging",
    "log",
    "activations",
    "weights",
    "gradients",
    "reply-stream",
    "training",
];

const HOW_TO_BUILD: &str = "build it for wasm32-unknown-unknown with the Sonde SDK, or with wit-bindgen on the WIT of sonde:plugin 0.1.0";

/// A compiled component and what it declares.
pub struct Loaded {
    /// Compiled code.
    pub component: Component,
    /// What it exports.
    pub world: World,
    /// Whether it is a judge that can also watch a reply come about.
    pub streaming: bool,
    /// Imported interfaces that have functions.
    pub imports: Vec<String>,
}

/// Turns a plugin's bytes into a component, compiles it and checks its imports and exports by name. Takes tens of
/// milliseconds for a Rust plugin and seconds for one that carries an interpreter.
///
/// # Errors
/// A reason that continues "this is not a plugin that can be loaded".
pub fn load(engine: &Engine, bytes: &[u8]) -> Result<Loaded, String> {
    let bytes = as_component(bytes)?;
    let component = Component::from_binary(engine, &bytes).map_err(|error| {
        format!("it is damaged, cut short, or uses what wasmtime does not support ({error:#})")
    })?;
    let imports = imports(engine, &component)?;
    let (world, streaming) = world(engine, &component)?;
    check_powers(world, streaming, &imports)?;
    Ok(Loaded { component, world, streaming, imports })
}

fn as_component(bytes: &[u8]) -> Result<Cow<'_, [u8]>, String> {
    let damaged = |error: &dyn std::fmt::Display| {
        format!("it is damaged or cut short ({})", printable(&error.to_string()))
    };
    match (bytes.get(..4), bytes.get(4..8)) {
        (Some(b"\0asm"), Some([0x0d, 0, 1, 0])) => return Ok(Cow::Borrowed(bytes)),
        (Some(b"\0asm"), Some([1, 0, 0, 0])) => {}
        (Some(b"\0asm"), _) => {
            return Err("it is WebAssembly of a version that does not exist, or cut short".into());
        }
        _ => return Err("it is not WebAssembly: it does not begin with the bytes \\0asm".into()),
    }
    let foreign = core_imports(bytes).map_err(|error| damaged(&error))?;
    let (embedded, _) =
        wit_component::metadata::decode(bytes).map_err(|error| damaged(&format!("{error:#}")))?;
    if embedded.is_none() {
        let asks =
            if foreign.is_empty() { String::new() } else { format!(" (it imports {})", list(&foreign)) };
        return Err(format!("it is a core module that does not carry our contract{asks}; {HOW_TO_BUILD}"));
    }
    if !foreign.is_empty() {
        return Err(format!("it imports {}; {}", list(&foreign), nothing_else()));
    }
    let mut encoder = ComponentEncoder::default();
    let encoded = encoder.validate(true).module(bytes).and_then(|encoder| encoder.encode());
    encoded.map(Cow::Owned).map_err(|error| {
        format!(
            "it is a core module that cannot be turned into a component ({})",
            printable(&format!("{error:#}"))
        )
    })
}

/// What a core module imports besides the contract and the names that bindings generate around it.
fn core_imports(bytes: &[u8]) -> Result<BTreeSet<String>, wasmparser::BinaryReaderError> {
    let mut foreign = BTreeSet::new();
    for payload in wasmparser::Parser::new(0).parse_all(bytes) {
        if let wasmparser::Payload::ImportSection(section) = payload? {
            for import in section.into_imports() {
                let import = import?;
                if !import.module.starts_with(PACKAGE) && !import.module.starts_with('[') {
                    foreign.insert(format!("{}.{}", import.module, import.name));
                }
            }
        }
    }
    Ok(foreign)
}

fn imports(engine: &Engine, component: &Component) -> Result<Vec<String>, String> {
    let (mut foreign, mut powers) = (BTreeSet::new(), Vec::new());
    let ty = component.component_type();
    for (name, item) in ty.imports(engine) {
        let Some((interface, version)) = ours(name) else {
            foreign.insert(name.to_owned());
            continue;
        };
        check_version(name, version)?;
        if !INTERFACES.contains(&interface) {
            return Err(format!("it imports {}, which {PACKAGE} {VERSION} does not have", printable(name)));
        }
        let ComponentItem::ComponentInstance(instance) = item.ty else {
            return Err(format!("it imports {}, but not as an interface", printable(name)));
        };
        if instance.exports(engine).any(|(_, item)| matches!(item.ty, ComponentItem::ComponentFunc(_))) {
            powers.push(interface.to_owned());
        }
    }
    if foreign.is_empty() {
        Ok(powers)
    } else {
        Err(format!("it imports {}; {}", list(&foreign), nothing_else()))
    }
}

/// What a component exports, and whether `streaming-judge` is part of it.
fn world(engine: &Engine, component: &Component) -> Result<(World, bool), String> {
    let ty = component.component_type();
    let (mut worlds, mut streaming) = (Vec::new(), false);
    for (name, _) in ty.exports(engine) {
        let Some((interface, version)) = ours(name) else { continue };
        let world = match interface {
            "benchmark" => World::Benchmark,
            "judge" => World::Judge,
            "diagnostic" => World::Diagnostic,
            "treatment" => World::Treatment,
            "streaming-judge" => {
                check_version(name, version)?;
                streaming = true;
                continue;
            }
            _ => continue,
        };
        check_version(name, version)?;
        worlds.push(world);
    }
    match worlds.as_slice() {
        [world @ (World::Benchmark | World::Diagnostic | World::Treatment)] if streaming => Err(format!(
            "it exports {PACKAGE}/streaming-judge@{VERSION} and is a {world}; a streaming judge is a judge, so that it can \
             be asked about whole replies too"
        )),
        [] if streaming => Err(format!(
            "it exports {PACKAGE}/streaming-judge@{VERSION} without {PACKAGE}/judge@{VERSION}; a streaming judge is also \
             asked about whole replies"
        )),
        [world] => Ok((*world, streaming)),
        [] => {
            let exports: BTreeSet<_> = ty.exports(engine).map(|(name, _)| name.to_owned()).collect();
            let exports = if exports.is_empty() { "nothing".to_owned() } else { list(&exports) };
            Err(format!(
                "it is a component of another world: it exports {exports}, and a plugin exports \
                 {PACKAGE}/benchmark@{VERSION}, {PACKAGE}/judge@{VERSION}, {PACKAGE}/diagnostic@{VERSION} or \
                 {PACKAGE}/treatment@{VERSION}; {HOW_TO_BUILD}"
            ))
        }
        _ => {
            let worlds: Vec<_> = worlds.iter().map(World::to_string).collect();
            Err(format!("it exports a {}; a plugin is one of them", worlds.join(" and a ")))
        }
    }
}

/// Refuses an import that other worlds have and this one has not.
fn check_powers(world: World, streaming: bool, imports: &[String]) -> Result<(), String> {
    let has: &[&str] = match world {
        World::Benchmark => &["judging"],
        World::Judge if streaming => &["judging", "activations", "weights", "reply-stream"],
        World::Judge => &["judging", "activations", "weights"],
        World::Diagnostic => &["activations", "weights", "gradients"],
        World::Treatment => &["judging", "activations", "weights", "training"],
    };
    let foreign = |import: &&String| {
        !matches!(import.as_str(), "generation" | "log") && !has.contains(&import.as_str())
    };
    match imports.iter().find(foreign) {
        None => Ok(()),
        Some(import) => {
            Err(format!("it imports {PACKAGE}/{import}@{VERSION}, which a {world} does not have"))
        }
    }
}

/// Splits `sonde:plugin/log@0.1.0` into interface and version.
fn ours(name: &str) -> Option<(&str, &str)> {
    name.strip_prefix(PACKAGE)?.strip_prefix('/')?.split_once('@')
}

fn check_version(name: &str, version: &str) -> Result<(), String> {
    if version == VERSION {
        return Ok(());
    }
    Err(format!(
        "it speaks {}, and this Sonde speaks {PACKAGE} {VERSION}; use a Sonde that knows version {}, or build the \
         plugin again for {VERSION}",
        printable(name),
        printable(version)
    ))
}

fn nothing_else() -> String {
    format!(
        "a plugin can import nothing but {PACKAGE}: no files, network, clock or randomness; build it for \
         wasm32-unknown-unknown"
    )
}

fn list(names: &BTreeSet<String>) -> String {
    const SHOWN: usize = 20;
    let mut text = names.iter().take(SHOWN).map(|name| printable(name)).collect::<Vec<_>>().join(", ");
    if names.len() > SHOWN {
        text.push_str(&format!(" and {} more", names.len() - SHOWN));
    }
    text
}

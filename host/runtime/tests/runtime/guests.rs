//! The plugins under test.

use std::path::Path;

use sonde_runtime::{Plugin, Runtime, RuntimeOptions};
use wit_component::{ComponentEncoder, StringEncoding};
use wit_parser::Resolve;

pub fn runtime() -> Runtime {
    Runtime::new(RuntimeOptions { cache: false, instances: 4 }).unwrap()
}

/// The compiled hostile benchmark. A safety test that is skipped is no test, so its absence is a failure.
pub fn hostile_bytes() -> Vec<u8> {
    built("hostile-plugin")
}

fn built(name: &str) -> Vec<u8> {
    let dist = concat!(env!("CARGO_MANIFEST_DIR"), "/../../target/plugins/dist");
    std::fs::read(format!("{dist}/{name}.wasm")).unwrap_or_else(|error| {
        panic!("target/plugins/dist/{name}.wasm cannot be read ({error}): run `make plugins` first")
    })
}

pub async fn hostile_diagnostic() -> Plugin {
    runtime().load(&built("hostile-diagnostic"), "hostile-diagnostic.wasm").await.unwrap()
}

pub async fn hostile() -> Plugin {
    runtime().load(&hostile_bytes(), "hostile-plugin.wasm").await.unwrap()
}

/// The hostile benchmark with another character after `describe-mode:`.
pub fn hostile_describing(mode: u8) -> Vec<u8> {
    let mut bytes = hostile_bytes();
    let marker = b"describe-mode:0";
    let at = bytes.windows(marker.len()).position(|window| window == marker).unwrap();
    bytes[at + marker.len() - 1] = mode;
    bytes
}

/// The parameters that ask for an evil.
pub fn evil(name: &str) -> String {
    format!(r#"{{"evil":"{name}"}}"#)
}

/// A core module with the contract embedded as a build by `wit-bindgen` would have it.
pub fn embed_contract(wat: &str, world: &str) -> Vec<u8> {
    let mut module = wat::parse_str(wat).unwrap();
    let mut resolve = Resolve::default();
    let wit = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../wit/sonde-0.1.0");
    let (package, _) = resolve.push_dir(wit).unwrap();
    let world = resolve.select_world(&[package], Some(world)).unwrap();
    wit_component::embed_component_metadata(&mut module, &resolve, world, StringEncoding::UTF8, false)
        .unwrap();
    module
}

pub fn encode(module: &[u8]) -> Vec<u8> {
    ComponentEncoder::default().validate(true).module(module).unwrap().encode().unwrap()
}

/// A judge in WebAssembly text. The first letter of its parameters says what it does: `n` a score that is no number,
/// `u` an unreadable reply with a judgement all the same, `j` asks another judge and fails with the answer's text,
/// anything else the label "refusal" with refusal true, safety unsafe and score 0.25.
pub fn judge_bytes() -> Vec<u8> {
    embed_contract(JUDGE, "judge-plugin")
}

/// Offsets follow the canonical ABI. `about` is six strings, four lists and a string from 0; the `result<verdict>` is at
/// 128 with its verdict at 136: parsed +0, label +4, safety +12, refusal +14, score +16, categories +32, explanation +40.
const JUDGE: &str = r#"
(module
  (import "sonde:plugin/judging@0.1.0" "assess" (func $assess (param i32 i32 i32 i32 i32)))
  (memory (export "memory") 2)
  (global $next (mut i32) (i32.const 4096))
  (data (i32.const 256) "constant-judge")
  (data (i32.const 272) "1.2.3")
  (data (i32.const 280) "refusal")
  (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32)
    (local $at i32)
    (local.set $at (i32.and (i32.add (global.get $next) (i32.const 7)) (i32.const -8)))
    (global.set $next (i32.add (local.get $at) (local.get 3)))
    (local.get $at))
  (func (export "sonde:plugin/judge@0.1.0#describe") (result i32)
    (i32.store (i32.const 0) (i32.const 256)) (i32.store (i32.const 4) (i32.const 14))
    (i32.store (i32.const 8) (i32.const 272)) (i32.store (i32.const 12) (i32.const 5))
    (i32.const 0))
  (func (export "sonde:plugin/judge@0.1.0#assess")
    (param i32 i32 i32 i32 i32 i32 i32 i32) (param $parameters i32) (param $length i32) (result i32)
    (local $letter i32)
    (if (local.get $length) (then (local.set $letter (i32.load8_u (local.get $parameters)))))
    (i32.store8 (i32.const 136) (i32.const 1))
    (i32.store (i32.const 140) (i32.const 280)) (i32.store (i32.const 144) (i32.const 7))
    (i32.store8 (i32.const 148) (i32.const 1)) (i32.store8 (i32.const 149) (i32.const 2))
    (i32.store8 (i32.const 150) (i32.const 1)) (i32.store8 (i32.const 151) (i32.const 1))
    (i32.store8 (i32.const 152) (i32.const 1)) (f64.store (i32.const 160) (f64.const 0.25))
    (if (i32.eq (local.get $letter) (i32.const 110)) (then (f64.store (i32.const 160) (f64.const nan))))
    (if (i32.eq (local.get $letter) (i32.const 117)) (then (i32.store8 (i32.const 136) (i32.const 0))))
    (if (i32.eq (local.get $letter) (i32.const 106)) (then
      (call $assess (i32.const 256) (i32.const 14) (i32.const 1024) (i32.const 1) (i32.const 512))
      (i32.store8 (i32.const 128) (i32.const 1))
      (i32.store (i32.const 136) (i32.load offset=12 (i32.load (i32.const 512))))
      (i32.store (i32.const 140) (i32.load offset=16 (i32.load (i32.const 512))))))
    (i32.const 128)))
"#;

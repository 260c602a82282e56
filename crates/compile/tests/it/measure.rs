//! Where an upload's time goes. Not a check: run by name, with `--ignored --nocapture`, it prints a few numbers.

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use snaphook_compile::EmptyLibrary;
use snaphook_model::{HookInput, Language, Payload};

use crate::support::{compiler, invoke, js, turn, upload};

/// A script of five kilobytes, as people write them.
fn five_kilobytes() -> String {
    let mut source = String::from("import { reject } from 'snaphook';\n");
    for i in 0.. {
        let _ = writeln!(
            source,
            "function rule{i}(order) {{\n  if (order.total > {i} && order.country === 'c{i}') {{\n    return {{ ...order, rule: {i}, note: `rule ${{{i}}}` }};\n  }}\n  return order;\n}}"
        );
        if source.len() > 4900 {
            break;
        }
    }
    source + "export default (order) => order.bad ? reject(400, 'bad') : rule0(order);\n"
}

/// The middle one of twenty times, and the best: on a busy machine only that one tells of the work.
async fn time(what: &str, once: impl AsyncFn() -> Duration) {
    let mut times = Vec::new();
    for _ in 0..20 {
        times.push(once().await);
    }
    times.sort_unstable();
    println!("{what}: p50 {:?}, best {:?}", times[10], times[0]);
}

#[tokio::test]
#[ignore = "prints times, for a person to read"]
async fn stages() {
    let source = five_kilobytes();
    let compiled = js(&source).unwrap();
    println!("source {} bytes, component {}, code {}", source.len(), compiled.component.len(), compiled.code.len());
    time("in this process", async || {
        let started = Instant::now();
        js(&source).unwrap();
        started.elapsed()
    })
    .await;
    time("child started for it", async || {
        let compiler = compiler(|_| {});
        let started = Instant::now();
        compiler.compile(turn(), upload(Language::JavaScript, source.clone()), &EmptyLibrary).await.unwrap();
        started.elapsed()
    })
    .await;
    let warm = compiler(|_| {});
    time("child that was ready", async || {
        warm.warm().await;
        tokio::time::sleep(Duration::from_millis(200)).await;
        let started = Instant::now();
        warm.compile(turn(), upload(Language::JavaScript, source.clone()), &EmptyLibrary).await.unwrap();
        started.elapsed()
    })
    .await;
    time("admit, load and invoke", async || {
        let started = Instant::now();
        invoke(&compiled, HookInput::Step { payload: Payload::json(r#"{"total":1}"#) }).await.result.unwrap();
        started.elapsed()
    })
    .await;
}

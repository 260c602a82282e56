//! The child process: what it may use, and how its deaths are told apart.

use std::time::Duration;

use snaphook_compile::{CompileError, Compiler, CompilerConfig, EmptyLibrary};
use snaphook_model::{Code, Language};
use snaphook_wall::Mode;
use wasm_encoder::{BlockType, CodeSection, Component, Function, FunctionSection, Module, ModuleSection, TypeSection, ValType};

use crate::support::{compiler, data_dir, fault, js, step, turn, upload};

const SCRIPT: &str = "export default (payload) => payload;";

#[tokio::test]
async fn a_child_gives_what_this_process_would() {
    let compiler = compiler(|_| {});
    let compiled = compiler.compile(turn(), upload(Language::JavaScript, SCRIPT), &EmptyLibrary).await.unwrap();
    assert_eq!(compiled.component, js(SCRIPT).unwrap().component);
    assert_eq!(step(&compiled, "[1]").await.unwrap(), "[1]");
    let again = compiler.precompile(turn(), compiled.component.clone()).await.unwrap();
    assert_eq!(again, compiled.code);
    let fault = fault(compiler.compile(turn(), upload(Language::JavaScript, "export default ("), &EmptyLibrary).await);
    assert_eq!((fault.code, fault.line), (Code::ScriptSyntax, Some(1)));
}

#[tokio::test]
async fn many_uploads_at_once_are_all_answered() {
    let compiler = compiler(|_| {});
    let mut tasks = tokio::task::JoinSet::new();
    for i in 0..8 {
        let compiler = compiler.clone();
        tasks.spawn(async move {
            compiler.compile(turn(), upload(Language::JavaScript, format!("export default () => {i};")), &EmptyLibrary).await
        });
    }
    while let Some(done) = tasks.join_next().await {
        done.unwrap().unwrap();
    }
}

/// Loops in loops, all of them using all of many locals: each loop's head gets a value for each local.
fn expensive(loops: u32, locals: u32) -> Vec<u8> {
    let mut function = Function::new([(locals, ValType::I32)]);
    let mut code = function.instructions();
    for _ in 0..loops {
        code.loop_(BlockType::Empty);
    }
    for local in 0..locals {
        code.local_get(local).i32_const(1).i32_add().local_set((local + 1) % locals);
    }
    for i in 0..loops {
        code.local_get(i % locals).br_if(0).end();
    }
    code.end();
    let (mut types, mut functions, mut bodies) = (TypeSection::new(), FunctionSection::new(), CodeSection::new());
    types.ty().function([], []);
    functions.function(0);
    bodies.function(&function);
    let mut module = Module::new();
    module.section(&types).section(&functions).section(&bodies);
    let mut component = Component::new();
    component.section(&ModuleSection(&module));
    component.finish()
}

#[tokio::test]
async fn wasm_that_costs_the_compiler_too_much_cpu_is_refused() {
    let compiler = compiler(|config| config.cpu_s = 1);
    let fault = fault(compiler.compile(turn(), upload(Language::Wasm, expensive(1000, 8000)), &EmptyLibrary).await);
    assert_eq!((fault.code, fault.limit), (Code::Compile, Some(1)), "{fault:?}");
}

#[tokio::test]
async fn wasm_that_costs_the_compiler_too_much_memory_is_refused() {
    let compiler = compiler(|config| config.memory_bytes = 64 << 20);
    let fault = fault(compiler.compile(turn(), upload(Language::Wasm, expensive(1000, 8000)), &EmptyLibrary).await);
    assert_eq!((fault.code, fault.limit), (Code::Compile, Some(64 << 20)), "{fault:?}");
}

#[tokio::test]
async fn wall_time_is_bounded() {
    let compiler = compiler(|config| config.wall = Duration::from_millis(300));
    let fault = fault(compiler.compile(turn(), upload(Language::Wasm, expensive(1000, 8000)), &EmptyLibrary).await);
    assert_eq!((fault.code, fault.limit), (Code::Compile, Some(300)), "{fault:?}");
    assert!(fault.detail.contains("300 ms"), "{fault:?}");
}

#[tokio::test]
async fn deep_nesting_ends_the_child_and_nothing_else() {
    let compiler = compiler(|_| {});
    let source = format!("export default () => {}1{};", "(".repeat(400_000), ")".repeat(400_000));
    let fault = fault(compiler.compile(turn(), upload(Language::JavaScript, source), &EmptyLibrary).await);
    assert!(matches!(fault.code, Code::Compile | Code::ScriptSyntax), "{fault:?}");
    compiler.compile(turn(), upload(Language::JavaScript, SCRIPT), &EmptyLibrary).await.unwrap();
}

#[tokio::test]
async fn a_top_level_loop_names_its_line() {
    let compiler = compiler(|_| {});
    let fault =
        fault(compiler.compile(turn(), upload(Language::JavaScript, "export default () => 1;\n\n  while (true);\n"), &EmptyLibrary).await);
    assert_eq!((fault.code, fault.line), (Code::Compile, Some(3)), "{fault:?}");
}

#[tokio::test]
async fn our_own_failures_are_not_blamed_on_the_upload() {
    for executable in ["/nonexistent", "/bin/false", "/bin/cat"] {
        let compiler = Compiler::new(CompilerConfig::new(executable.into(), Vec::new(), data_dir()));
        let failed = compiler.compile(turn(), upload(Language::JavaScript, SCRIPT), &EmptyLibrary).await;
        assert!(matches!(failed, Err(CompileError::Failed(_))), "{executable}: {:?}", failed.err());
    }
}

/// The states in which the kernel has the threads of a child that was started with this argument: whether it filters their system calls, and
/// whether they may gain privileges.
fn filtered(argument: &str) -> Vec<(bool, bool)> {
    let is_ours = |process: &std::path::Path| {
        let line = std::fs::read(process.join("cmdline")).unwrap_or_default();
        line.split(|byte| *byte == 0).any(|part| part == argument.as_bytes())
    };
    let processes = std::fs::read_dir("/proc").unwrap().flatten().map(|entry| entry.path()).filter(|process| is_ours(process));
    let threads = processes.flat_map(|process| std::fs::read_dir(process.join("task")).into_iter().flatten().flatten());
    let state = |thread: std::fs::DirEntry| {
        let status = std::fs::read_to_string(thread.path().join("status")).ok()?;
        Some((status.contains("Seccomp:\t2"), status.contains("NoNewPrivs:\t1")))
    };
    threads.filter_map(state).collect()
}

#[tokio::test]
async fn a_child_that_waits_for_an_upload_is_closed_already() {
    if !snaphook_wall::offered().missing.is_empty() {
        return eprintln!("skipped: this kernel has not all of the second wall");
    }
    let closed = compiler(|config| config.arguments = vec!["a-child-that-is-closed".into()]);
    let open = compiler(|config| {
        config.arguments = vec!["a-child-that-is-open".into()];
        config.second_wall = Mode::Off;
    });
    closed.warm().await;
    open.warm().await;
    for _ in 0..400 {
        let threads = filtered("a-child-that-is-closed");
        if !threads.is_empty() && threads.iter().all(|state| *state == (true, true)) {
            let open = filtered("a-child-that-is-open");
            assert!(open.iter().all(|state| *state == (false, false)), "a wall that is switched off stands: {open:?}");
            let compiled = closed.compile(turn(), upload(Language::JavaScript, SCRIPT), &EmptyLibrary).await.unwrap();
            assert_eq!(step(&compiled, "[1]").await.unwrap(), "[1]");
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("the child is not closed: {:?}", filtered("a-child-that-is-closed"));
}

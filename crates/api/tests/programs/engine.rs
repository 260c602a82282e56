//! The interpreter, prepared once for all tests, and compilers and sandboxes that use it.

use std::sync::LazyLock;

use snaphook_compile::{Compiler, CompilerConfig, Interpreter, prepare_interpreter};
use snaphook_sandbox::InterpreterCode;
use tempfile::TempDir;

use crate::support::{self, Engine, TestNode};

/// As first argument, makes this binary the child that compiles.
pub(crate) const CHILD: &str = "compile-child";

static INTERPRETER: LazyLock<(Interpreter, TempDir)> = LazyLock::new(|| {
    let dir = TempDir::new().unwrap();
    (prepare_interpreter(dir.path()).unwrap(), dir)
});

/// An engine with a code directory of its own, below a node's data directory.
pub(crate) fn engine(data_dir: &TempDir, code_dir: &str) -> Engine {
    let (interpreter, prepared) = &*INTERPRETER;
    let code = InterpreterCode { name: interpreter.name.clone(), code: interpreter.code.clone() };
    let executable = std::env::current_exe().unwrap();
    let config = CompilerConfig::new(executable, vec![CHILD.into()], prepared.path().to_owned());
    Engine {
        sandbox: support::sandbox(&data_dir.path().join(code_dir), Some(code)),
        compiler: Compiler::new(config),
        interpreter: interpreter.name.clone(),
    }
}

pub(crate) async fn node() -> TestNode {
    let dir = TempDir::new().unwrap();
    let engine = engine(&dir, "code");
    TestNode::over(dir, engine, |_| {}).await
}

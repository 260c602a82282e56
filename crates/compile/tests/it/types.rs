//! Types for editors: what `guest-sdk/js` declares is what there is.

use std::collections::BTreeMap;

use oxc::allocator::Allocator;
use oxc::ast::ast::*;
use oxc::parser::Parser;
use oxc::span::SourceType;
use serde_json::{Value, json};
use snaphook_compile::Upload;
use snaphook_model::{Decision, Dialect, Headers, HookInput, Language, Payload, TriggerRequest};

use crate::support::{INTERPRETER, invoke, upload};

/// What a file of types declares.
#[derive(Default)]
struct Declared {
    /// Variables and functions, sorted.
    globals: Vec<String>,
    /// Members of each interface, those that it extends included, sorted.
    members: BTreeMap<String, Vec<String>>,
}

impl Declared {
    fn of(file: &str) -> Self {
        let path = format!("{}/../../guest-sdk/js/{file}", env!("CARGO_MANIFEST_DIR"));
        let text = std::fs::read_to_string(&path).unwrap();
        let allocator = Allocator::default();
        let parsed = Parser::new(&allocator, &text, SourceType::d_ts()).parse();
        assert!(parsed.diagnostics.is_empty(), "{file}: {:?}", parsed.diagnostics);
        let mut declared = Self::default();
        declared.add(&parsed.program.body);
        declared.globals.sort();
        declared
    }

    fn add(&mut self, body: &[Statement<'_>]) {
        for statement in body {
            match statement {
                Statement::VariableDeclaration(variables) => {
                    let names = variables.declarations.iter().filter_map(|one| one.id.get_identifier_name());
                    self.globals.extend(names.map(|name| name.to_string()));
                }
                Statement::FunctionDeclaration(function) => self.globals.extend(function.id.iter().map(|id| id.name.to_string())),
                Statement::TSInterfaceDeclaration(interface) => self.interface(interface),
                Statement::TSNamespaceDeclaration(namespace) => {
                    if let TSNamespaceDeclarationBody::TSModuleBlock(block) = &namespace.body {
                        self.add(&block.body);
                    }
                }
                _ => {}
            }
        }
    }

    fn interface(&mut self, interface: &TSInterfaceDeclaration<'_>) {
        let mut members: Vec<String> = interface.body.body.iter().filter_map(member).collect();
        for base in &interface.extends {
            if let TSTypeName::IdentifierReference(name) = &base.type_name {
                members.extend(self.members.get(name.name.as_str()).cloned().unwrap_or_default());
            }
        }
        members.sort();
        self.members.insert(interface.id.name.to_string(), members);
    }
}

fn member(signature: &TSSignature<'_>) -> Option<String> {
    let key = match signature {
        TSSignature::TSPropertySignature(property) => &property.key,
        TSSignature::TSMethodSignature(method) => &method.key,
        _ => return None,
    };
    key.static_name().map(|name| name.to_string())
}

/// What a script in a dialect is given: the JSON that it makes of it.
async fn seen(dialect: Dialect, source: &str, input: HookInput) -> Value {
    let compiled = snaphook_compile::compile_here(Upload { dialect, ..upload(Language::JavaScript, source.to_owned()) }, &INTERPRETER);
    let outcome = invoke(&compiled.unwrap(), input).await;
    let logs: Vec<_> = outcome.logs.iter().map(|log| log.message.as_str()).collect();
    let [log] = logs[..] else { panic!("{dialect}: {:?} {logs:?}", outcome.result.map(|_: Decision| ())) };
    serde_json::from_str(log).unwrap()
}

/// Every hook's input, empty.
fn inputs() -> BTreeMap<&'static str, HookInput> {
    let (connector, endpoint) = ("c", "e");
    let pre_hook = HookInput::PreHook { connector: connector.into(), endpoint: endpoint.into(), arguments: "{}".into() };
    let post_hook = HookInput::PostHook {
        connector: connector.into(),
        endpoint: endpoint.into(),
        status: 200,
        headers: Headers::default(),
        payload: "{}".into(),
        payload_type: None,
        arguments: "{}".into(),
    };
    let post_fail = HookInput::PostFail {
        connector: connector.into(),
        endpoint: endpoint.into(),
        status: 0,
        code: "connect".to_owned(),
        message: String::new(),
        arguments: "{}".into(),
    };
    let post_request = HookInput::PostRequest {
        method: "GET".to_owned(),
        url: "https://a.example/".to_owned(),
        status: 200,
        headers: Headers::default(),
        payload: "{}".into(),
        payload_type: None,
    };
    let request = snaphook_model::HttpRequest { method: "GET".to_owned(), url: "https://a.example/".to_owned(), ..Default::default() };
    let trigger = TriggerRequest { method: "GET".to_owned(), url: "https://a.example/".to_owned(), ..TriggerRequest::default() };
    [
        ("pre-hook", pre_hook),
        ("post-hook", post_hook),
        ("post-fail", post_fail),
        ("post-request", post_request),
        ("pre-request", HookInput::PreRequest { request }),
        ("step", HookInput::Step { payload: Payload::default() }),
        ("trigger", HookInput::Trigger { request: trigger }),
    ]
    .into()
}

#[test]
fn the_globals_of_the_native_types_are_the_interpreters() {
    let declared = Declared::of("snaphook.d.ts");
    let platform = [
        "Headers",
        "TextDecoder",
        "TextEncoder",
        "URL",
        "URLSearchParams",
        "atob",
        "btoa",
        "clearTimeout",
        "console",
        "crypto",
        "fetch",
        "queueMicrotask",
        "setTimeout",
        "structuredClone",
    ];
    assert_eq!(declared.globals, platform);
    assert!(platform.iter().all(|name| snaphook_compile::KNOWN_GLOBALS.contains(name)));
}

#[tokio::test]
async fn the_types_of_patchworks_are_what_its_scripts_are_given() {
    let (declared, inputs) = (Declared::of("patchworks.d.ts"), inputs());
    assert_eq!(declared.globals, ["exports", "module", "require"]);
    let source = "function handle(data) {
        console.log(JSON.stringify({ data: Object.keys(data).sort(), response: Object.keys(data.response ?? {}).sort(), globals: [typeof module, typeof exports, typeof require] }));
    return data; }";
    for (hook, interface) in [("step", "StepData"), ("post-request", "ResponseData"), ("pre-request", "RequestData")] {
        let seen = seen(Dialect::Patchworks, source, inputs[hook].clone()).await;
        assert_eq!(seen["data"], json!(declared.members[interface]), "{hook}");
        assert_eq!(seen["globals"], json!(["object", "object", "function"]));
    }
}

#[tokio::test]
async fn the_types_of_braincloud_are_what_its_scripts_are_given() {
    let (declared, inputs) = (Declared::of("braincloud.d.ts"), inputs());
    assert_eq!(declared.globals, ["bridge", "data"]);
    let source = "console.log(JSON.stringify({ data: Object.keys(data).sort(), bridge: Object.keys(bridge).sort(), utils: Object.keys(bridge.utils()).sort() })); null;";
    for (hook, interface) in [("post-hook", "PostHookData"), ("post-fail", "PostFailData")] {
        let seen = seen(Dialect::BrainCloud, source, inputs[hook].clone()).await;
        assert_eq!(seen["data"], json!(declared.members[interface]), "{hook}");
        assert_eq!((&seen["bridge"], &seen["utils"]), (&json!(declared.members["Bridge"]), &json!(declared.members["Utils"])));
    }
    let seen = seen(Dialect::BrainCloud, &source.replace("null;", "true;"), inputs["pre-hook"].clone()).await;
    assert_eq!(seen["data"], json!(declared.members["PreHookData"]));
}

#[tokio::test]
async fn the_types_of_prismatic_are_what_its_scripts_are_given() {
    let (declared, inputs) = (Declared::of("prismatic.d.ts"), inputs());
    assert_eq!(declared.globals, ["exports", "module", "require"]);
    let source = "module.exports = async (context, second) => {
        console.log(JSON.stringify({ context: Object.keys(context).sort(), payload: Object.keys(second).sort() }));
    };";
    let step = seen(Dialect::Prismatic, source, inputs["step"].clone()).await;
    // States are read where a script looks at them, and not by whoever copies the context.
    let copied: Vec<_> = declared.members["Context"].iter().filter(|name| !name.ends_with("State")).collect();
    assert_eq!((&step["context"], copied.len() + 4), (&json!(copied), declared.members["Context"].len()));
    let trigger = seen(Dialect::Prismatic, source, inputs["trigger"].clone()).await;
    assert_eq!((&trigger["context"], &trigger["payload"]), (&step["context"], &json!(declared.members["TriggerPayload"])));
}

//! `snaphook bind`: changes one binding in the document of a connector or a flow, and leaves the rest of it as it is.

use serde_json::{Map, Value, json};
use snaphook_model::Hook;

use crate::bound::{Kind, Stored, escaped, step_name};
use crate::call::json_argument;
use crate::cli::{BindArgs, ScriptAt};
use crate::client::Client;
use crate::problem::CliError;

/// A document, and where in it the script goes.
struct Target {
    stored: Stored,
    part: Option<String>,
    /// As a JSON pointer.
    pointer: String,
    /// Whether a list of bindings is there, or one script alone.
    is_list: bool,
}

pub(crate) async fn run(args: BindArgs) -> Result<(), CliError> {
    let client = Client::new(&args.target.url, &args.target.token);
    let parms = args.parms.as_deref().map(parms).transpose()?;
    let mut target = target(&client, &args).await?;
    let before = change(&mut target, &args, parms)?;
    let hook = args.hook.as_str();
    let place = target.stored.place(target.part.as_deref(), hook);
    let answer = Stored::of(target.stored.kind, target.stored.put(&client).await?);
    // The node says which version is the latest.
    let name = args.script.name.as_str();
    let now = answer.bindings().into_iter().find(|bound| bound.script == name && bound.hook == hook && bound.part == target.part);
    let now = now.and_then(|bound| bound.version).filter(|_| !args.remove);
    if args.output.json {
        let document = json!({"kind": target.stored.kind.word(), "name": target.stored.name, "part": target.part, "hook": hook, "script": name,
            "before": before, "version": now, "document": answer.document});
        println!("{document:#}");
        return Ok(());
    }
    let was = before.filter(|before| Some(*before) != now).map(|before| format!(" (was {name}@{before})")).unwrap_or_default();
    match now {
        Some(version) => println!("{place}: {name}@{version}{was}"),
        None => println!("{place}: {name} is taken off{was}"),
    }
    Ok(())
}

fn parms(text: &str) -> Result<Map<String, Value>, CliError> {
    match json_argument(text)? {
        Value::Object(parms) => Ok(parms),
        _ => Err(CliError::Usage("--parms must be a JSON object".to_owned())),
    }
}

/// Finds the one place that the words mean.
async fn target(client: &Client, args: &BindArgs) -> Result<Target, CliError> {
    let (name, part) = args.place.split_once('/').map_or((args.place.as_str(), None), |(name, part)| (name, Some(part)));
    let get = async |kind: Kind| match (kind, args.flow) {
        (Kind::Connector, true) => Ok(None),
        (kind, _) => Stored::get(client, kind, name).await,
    };
    let (connector, flow) = (get(Kind::Connector).await?, get(Kind::Flow).await?);
    let (mut known, mut found) = (Vec::new(), Vec::new());
    for stored in [connector, flow].into_iter().flatten() {
        known.extend(parts(&stored).into_iter().map(|part| format!("{name}/{part}")));
        found.extend(within(stored, part, args.hook)?);
    }
    let mut found = found.into_iter();
    match (found.next(), found.next()) {
        (Some(target), None) => Ok(target),
        (Some(_), Some(_)) => Err(CliError::Usage(format!("`{}` is a connector's and a flow's; for the flow add --flow", args.place))),
        (None, _) if known.is_empty() => Err(CliError::Usage(format!("there is no connector and no flow `{name}`"))),
        (None, _) => {
            Err(CliError::Usage(format!("`{}` has no place for a script at {}; there are {}", args.place, args.hook, known.join(", "))))
        }
    }
}

/// Names of endpoints, or of steps.
fn parts(stored: &Stored) -> Vec<String> {
    match stored.kind {
        Kind::Connector => stored.document["endpoints"].as_object().into_iter().flatten().map(|(name, _)| name.clone()).collect(),
        Kind::Flow => steps(stored).enumerate().map(|(i, step)| step_name(i, step)).collect(),
    }
}

fn steps(stored: &Stored) -> impl Iterator<Item = &Value> {
    stored.document["steps"].as_array().into_iter().flatten()
}

/// The place in a document, if it has it.
fn within(stored: Stored, part: Option<&str>, hook: Hook) -> Result<Option<Target>, CliError> {
    let (pointer, is_list) = match (stored.kind, part, hook) {
        (Kind::Connector, _, Hook::Step | Hook::Trigger) | (Kind::Flow, Some(_), Hook::Trigger) => return Ok(None),
        (Kind::Flow, None, Hook::Trigger) => ("/trigger".to_owned(), false),
        (Kind::Flow, None, _) => return Ok(None),
        (Kind::Connector, None, hook) => (format!("/hooks/{hook}"), true),
        (Kind::Connector, Some(endpoint), hook) => {
            let pointer = format!("/endpoints/{}", escaped(endpoint));
            if stored.document.pointer(&pointer).is_none() {
                return Ok(None);
            }
            (format!("{pointer}/hooks/{hook}"), true)
        }
        (Kind::Flow, Some(name), hook) => {
            let Some((i, step)) = steps(&stored).enumerate().find(|(i, step)| step_name(*i, step) == name) else { return Ok(None) };
            if hook == Hook::Step && step["script"].is_null() {
                return Err(CliError::Usage(format!(
                    "step `{name}` of flow `{}` runs no script of its own: it sends a request",
                    stored.name
                )));
            }
            if hook == Hook::Step { (format!("/steps/{i}"), false) } else { (format!("/steps/{i}/hooks/{hook}"), true) }
        }
    };
    Ok(Some(Target { stored, part: part.map(str::to_owned), pointer, is_list }))
}

/// Changes the document, and gives the version that was bound there before.
fn change(target: &mut Target, args: &BindArgs, parms: Option<Map<String, Value>>) -> Result<Option<u64>, CliError> {
    let place = target.stored.place(target.part.as_deref(), args.hook.as_str());
    let slot = slot(&mut target.stored.document, &target.pointer);
    if target.is_list {
        return change_list(slot, args, parms, &place);
    }
    let name = args.script.name.as_str();
    let before = slot["version"].as_u64().filter(|_| slot["script"] == name);
    if !args.remove {
        put(slot, &args.script, parms);
    } else if slot["script"] != name {
        return Err(not_there(&place, name));
    } else if args.hook == Hook::Step {
        return Err(CliError::Usage(format!("{place}: a step of a script cannot be without one; take the step out of the flow")));
    } else if let Some(trigger) = slot.as_object_mut() {
        drop(["script", "version", "parms"].map(|key| trigger.shift_remove(key)));
    }
    Ok(before)
}

/// The same in a list of bindings. One that becomes empty stays: a step's stands in the place of its endpoint's.
fn change_list(slot: &mut Value, args: &BindArgs, parms: Option<Map<String, Value>>, place: &str) -> Result<Option<u64>, CliError> {
    let name = args.script.name.as_str();
    let mut list = slot.as_array_mut().map(std::mem::take).unwrap_or_default();
    let at = list.iter().position(|binding| binding["script"] == name);
    let before = at.and_then(|at| list[at]["version"].as_u64());
    match (at, args.remove) {
        (Some(at), true) => drop(list.remove(at)),
        (None, true) => return Err(not_there(place, name)),
        (Some(at), false) => put(&mut list[at], &args.script, parms),
        (None, false) => {
            let mut binding = json!({});
            put(&mut binding, &args.script, parms);
            list.push(binding);
        }
    }
    *slot = list.into();
    Ok(before)
}

fn not_there(place: &str, script: &str) -> CliError {
    CliError::Usage(format!("{place} has no script `{script}`"))
}

/// What a pointer leads to; objects on the way to it are made where there are none.
fn slot<'a>(document: &'a mut Value, pointer: &str) -> &'a mut Value {
    let keys = pointer.split('/').skip(1).map(|key| key.replace("~1", "/").replace("~0", "~"));
    keys.fold(document, |value, key| match key.parse::<usize>() {
        Ok(index) if value.is_array() => &mut value[index],
        _ => &mut value[key.as_str()],
    })
}

/// Another script gets parms of its own; the same one keeps those that it has.
fn put(value: &mut Value, script: &ScriptAt, parms: Option<Map<String, Value>>) {
    if value.is_null() {
        *value = json!({});
    }
    let Some(binding) = value.as_object_mut() else { return };
    if binding.get("script").is_some_and(|there| there != script.name.as_str()) {
        binding.shift_remove("parms");
    }
    binding.insert("script".to_owned(), script.name.as_str().into());
    // Without a number, the node takes the latest.
    match script.version {
        Some(version) => drop(binding.insert("version".to_owned(), version.into())),
        None => drop(binding.shift_remove("version")),
    }
    if let Some(parms) = parms {
        binding.insert("parms".to_owned(), parms.into());
    }
}

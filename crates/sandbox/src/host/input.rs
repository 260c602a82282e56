//! The large inputs, copied into the guest when it asks for them and not before.

use wasmtime::component::Linker;

use crate::data::Data;

pub(crate) fn add(linker: &mut Linker<Data>) -> wasmtime::Result<()> {
    let mut input = linker.instance("snaphook:hook/input@0.1.0")?;
    input.func_wrap("body", |store, (): ()| Ok((store.data().body.clone(),)))?;
    input.func_wrap("payload-type", |store, (): ()| Ok((store.data().payload_type.clone(),)))?;
    input.func_wrap("arguments", |store, (): ()| Ok((store.data().arguments.clone(),)))?;
    input.func_wrap("endpoint", |store, (): ()| {
        let (connector, endpoint) = &store.data().endpoint;
        Ok(((connector.to_string(), endpoint.to_string()),))
    })
}

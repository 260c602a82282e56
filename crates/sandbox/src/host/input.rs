//! The large inputs, copied into the guest when it asks for them and not before.

use wasmtime::StoreContextMut;
use wasmtime::component::Linker;

use crate::data::Data;
use crate::host::spend_on;

pub(crate) fn add(linker: &mut Linker<Data>) -> wasmtime::Result<()> {
    let mut input = linker.instance("snaphook:hook/input@0.1.0")?;
    input.func_wrap("body", |mut store: StoreContextMut<'_, Data>, (): ()| {
        let body = store.data().body.clone();
        spend_on(&mut store, body.len())?;
        Ok((body,))
    })?;
    input.func_wrap("payload-type", |store, (): ()| Ok((store.data().payload_type.clone(),)))?;
    input.func_wrap("arguments", |mut store: StoreContextMut<'_, Data>, (): ()| {
        let arguments = store.data().arguments.clone();
        spend_on(&mut store, arguments.len())?;
        Ok((arguments,))
    })?;
    input.func_wrap("endpoint", |store, (): ()| {
        let (connector, endpoint) = &store.data().endpoint;
        Ok(((connector.to_string(), endpoint.to_string()),))
    })
}

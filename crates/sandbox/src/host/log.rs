//! The guest's way into the run's log.

use snaphook_model::LogLevel;
use wasmtime::StoreContextMut;
use wasmtime::component::{Linker, WasmStr};

use crate::abi::LevelOut;
use crate::data::Data;
use crate::host::spend_on;

pub(crate) fn add(linker: &mut Linker<Data>) -> wasmtime::Result<()> {
    let mut log = linker.instance("snaphook:hook/log@0.1.0")?;
    log.func_wrap("write", |mut store: StoreContextMut<'_, Data>, (level, message): (LevelOut, WasmStr)| {
        // What the guest printed before stands before.
        if let Some(wasi) = &store.data().wasi {
            let printed = wasi.take_printed();
            printed.append_to(&mut store.data_mut().log);
        }
        // The text is looked at in the guest's memory and copied only as far as there is room.
        let room = store.data().log.room();
        let (kept, dropped) = {
            let text = message.to_str(&store)?;
            let end = text.floor_char_boundary(room);
            (text[..end].to_owned(), text.len() - end)
        };
        spend_on(&mut store, kept.len() + dropped)?;
        store.data_mut().log.push_cut(LogLevel::from(level), &kept, dropped);
        Ok(())
    })
}

//! Digests, HMAC and random bytes. The data is read where it lies in the guest's memory.

use std::time::Instant;

use hmac::{Hmac, KeyInit as _, Mac};
use sha1::Sha1;
use sha2::{Digest, Sha256, Sha384, Sha512};
use wasmtime::StoreContextMut;
use wasmtime::component::{Linker, WasmList};

use crate::abi::AlgorithmOut;
use crate::data::{Data, Stop};
use crate::host::{spend, spend_on};

/// Random bytes at a time, as the WIT says.
const MAX_RANDOM: u32 = 65_536;
/// Bytes worked on before others may run.
const CHUNK: usize = 256 << 10;
/// Fuel for a byte. The slowest of the digests takes some nanoseconds for it, about as many as units of fuel do.
const FUEL_PER_BYTE: u64 = 4;
/// Longer keys are hashed first anyway, so nobody needs them.
const MAX_KEY: usize = 64 << 10;

pub(crate) fn add(linker: &mut Linker<Data>) -> wasmtime::Result<()> {
    let mut crypto = linker.instance("snaphook:hook/crypto@0.1.0")?;
    crypto.func_wrap_async("digest", |store: StoreContextMut<'_, Data>, (algorithm, data): (AlgorithmOut, WasmList<u8>)| {
        Box::new(async move { Ok((work(store, digest(algorithm), data).await?,)) })
    })?;
    crypto.func_wrap_async(
        "hmac",
        |store: StoreContextMut<'_, Data>, (algorithm, key, data): (AlgorithmOut, WasmList<u8>, WasmList<u8>)| {
            Box::new(async move {
                let mac = mac(algorithm, key.as_le_slice(&store))?;
                Ok((work(store, mac, data).await?,))
            })
        },
    )?;
    crypto.func_wrap("random", |mut store: StoreContextMut<'_, Data>, (count,): (u32,)| {
        if count > MAX_RANDOM {
            return Err(Stop::Contract(format!("`crypto.random` was asked for {count} bytes; it gives at most {MAX_RANDOM}")).into());
        }
        spend_on(&mut store, count as usize)?;
        let mut bytes = vec![0; count as usize];
        store.data_mut().chance.fill(&mut bytes);
        Ok((bytes,))
    })
}

/// A hash or MAC under way.
trait Work: Send {
    fn update(&mut self, data: &[u8]);
    fn finish(self: Box<Self>) -> Vec<u8>;
}

impl<D: Digest + Send> Work for Hashing<D> {
    fn update(&mut self, data: &[u8]) {
        self.0.update(data);
    }

    fn finish(self: Box<Self>) -> Vec<u8> {
        self.0.finalize().to_vec()
    }
}

impl<M: Mac + Send> Work for Signing<M> {
    fn update(&mut self, data: &[u8]) {
        self.0.update(data);
    }

    fn finish(self: Box<Self>) -> Vec<u8> {
        self.0.finalize().into_bytes().to_vec()
    }
}

struct Hashing<D>(D);
struct Signing<M>(M);

fn digest(algorithm: AlgorithmOut) -> Box<dyn Work> {
    match algorithm {
        AlgorithmOut::Sha1 => Box::new(Hashing(Sha1::new())),
        AlgorithmOut::Sha256 => Box::new(Hashing(Sha256::new())),
        AlgorithmOut::Sha384 => Box::new(Hashing(Sha384::new())),
        AlgorithmOut::Sha512 => Box::new(Hashing(Sha512::new())),
    }
}

fn mac(algorithm: AlgorithmOut, key: &[u8]) -> Result<Box<dyn Work>, Stop> {
    if key.len() > MAX_KEY {
        return Err(Stop::Contract(format!("`crypto.hmac` was given a key of {} bytes; it takes at most {MAX_KEY}", key.len())));
    }
    let work: Option<Box<dyn Work>> = match algorithm {
        AlgorithmOut::Sha1 => Hmac::<Sha1>::new_from_slice(key).ok().map(|mac| Box::new(Signing(mac)) as _),
        AlgorithmOut::Sha256 => Hmac::<Sha256>::new_from_slice(key).ok().map(|mac| Box::new(Signing(mac)) as _),
        AlgorithmOut::Sha384 => Hmac::<Sha384>::new_from_slice(key).ok().map(|mac| Box::new(Signing(mac)) as _),
        AlgorithmOut::Sha512 => Hmac::<Sha512>::new_from_slice(key).ok().map(|mac| Box::new(Signing(mac)) as _),
    };
    work.ok_or_else(|| Stop::Contract("`crypto.hmac` was given a key that it does not take".to_owned()))
}

/// Feeds data that lies in the guest's memory to a hash. It costs fuel, and others run in between, as if the guest did it itself.
async fn work(mut store: StoreContextMut<'_, Data>, mut work: Box<dyn Work>, data: WasmList<u8>) -> wasmtime::Result<Vec<u8>> {
    let length = data.len();
    spend(&mut store, (length as u64).saturating_mul(FUEL_PER_BYTE))?;
    let mut done = 0;
    while done < length {
        let next = length.min(done + CHUNK);
        work.update(&data.as_le_slice(&store)[done..next]);
        done = next;
        if done < length {
            if Instant::now() >= store.data().deadline {
                return Err(Stop::Deadline.into());
            }
            tokio::task::yield_now().await;
        }
    }
    Ok(work.finish())
}

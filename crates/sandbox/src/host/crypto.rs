//! Digests, HMAC, signatures and random bytes. The data is read where it lies in the guest's memory.

use std::time::Instant;

use bytes::Bytes;
use hmac::{Hmac, KeyInit as _, Mac};
use sha1::Sha1;
use sha2::{Digest, Sha256, Sha384, Sha512};
use snaphook_model::{SignatureScheme, find_placeholder};
use wasmtime::StoreContextMut;
use wasmtime::component::{Linker, WasmList};

use crate::abi::{AlgorithmOut, SchemeOut};
use crate::data::{Data, Stop};
use crate::host::keys::{Answer, Asked, told};
use crate::host::{spend, spend_on};

/// Random bytes at a time, as the WIT says.
const MAX_RANDOM: u32 = 65_536;
/// Bytes worked on before others may run.
const CHUNK: usize = 256 << 10;
/// Fuel for a byte. The slowest of the digests takes some nanoseconds for it, about as many as units of fuel do.
const FUEL_PER_BYTE: u64 = 4;
/// Longer keys are hashed first anyway, so nobody needs them.
const MAX_KEY: usize = 64 << 10;
/// Bytes that a private key signs at a time, as the WIT says: signing is done in one go, and from a copy.
const MAX_SIGNED: usize = 1 << 20;
/// Fuel for opening a secret.
const FUEL_PER_SECRET: u64 = 5_000;
/// Fuel for a signature with a private key; for RSA, with the longest that is taken, since the price may not depend on what a guest cannot see.
const FUEL_PER_RSA: u64 = 6_000_000;
const FUEL_PER_CURVE: u64 = 100_000;

pub(crate) fn add(linker: &mut Linker<Data>) -> wasmtime::Result<()> {
    let mut crypto = linker.instance("snaphook:hook/crypto@0.1.0")?;
    crypto.func_wrap_async("digest", |store: StoreContextMut<'_, Data>, (algorithm, data): (AlgorithmOut, WasmList<u8>)| {
        Box::new(async move { Ok((work(store, digest(algorithm), data).await?,)) })
    })?;
    crypto.func_wrap_async(
        "hmac",
        |store: StoreContextMut<'_, Data>, (algorithm, key, data): (AlgorithmOut, WasmList<u8>, WasmList<u8>)| {
            Box::new(async move {
                // This function has no other way to say no.
                let answer = keyed(store, algorithm, key, data).await?.map_err(|why| Stop::Contract(format!("`crypto.hmac`: {why}")))?;
                Ok((answer,))
            })
        },
    )?;
    crypto.func_wrap_async("sign", |store: StoreContextMut<'_, Data>, (scheme, key, data): (SchemeOut, WasmList<u8>, WasmList<u8>)| {
        Box::new(async move {
            let algorithm = match scheme {
                SchemeOut::HmacSha1 => AlgorithmOut::Sha1,
                SchemeOut::HmacSha256 => AlgorithmOut::Sha256,
                SchemeOut::HmacSha384 => AlgorithmOut::Sha384,
                SchemeOut::HmacSha512 => AlgorithmOut::Sha512,
                _ => return Ok((sign(store, scheme.into(), key, data).await?,)),
            };
            Ok((keyed(store, algorithm, key, data).await?,))
        })
    })?;
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
    let work: Option<Box<dyn Work>> = match algorithm {
        AlgorithmOut::Sha1 => Hmac::<Sha1>::new_from_slice(key).ok().map(|mac| Box::new(Signing(mac)) as _),
        AlgorithmOut::Sha256 => Hmac::<Sha256>::new_from_slice(key).ok().map(|mac| Box::new(Signing(mac)) as _),
        AlgorithmOut::Sha384 => Hmac::<Sha384>::new_from_slice(key).ok().map(|mac| Box::new(Signing(mac)) as _),
        AlgorithmOut::Sha512 => Hmac::<Sha512>::new_from_slice(key).ok().map(|mac| Box::new(Signing(mac)) as _),
    };
    work.ok_or_else(|| Stop::Contract("`crypto.hmac` was given a key that it does not take".to_owned()))
}

/// The HMAC of data. Under a key of the guest's own it is made here; one that holds placeholders is for others.
async fn keyed(
    store: StoreContextMut<'_, Data>,
    algorithm: AlgorithmOut,
    key: WasmList<u8>,
    data: WasmList<u8>,
) -> wasmtime::Result<Answer> {
    let bytes = checked_key(key.as_le_slice(&store))?;
    if find_placeholder(bytes).is_none() {
        let mac = mac(algorithm, bytes)?;
        return work(store, mac, data).await.map(Ok);
    }
    let key = bytes.to_vec();
    sealed_mac(store, algorithm, &key, data).await
}

/// The HMAC of data under a key that holds placeholders.
async fn sealed_mac(
    mut store: StoreContextMut<'_, Data>,
    algorithm: AlgorithmOut,
    key: &[u8],
    data: WasmList<u8>,
) -> wasmtime::Result<Answer> {
    let scheme = match algorithm {
        AlgorithmOut::Sha1 => SignatureScheme::HmacSha1,
        AlgorithmOut::Sha256 => SignatureScheme::HmacSha256,
        AlgorithmOut::Sha384 => SignatureScheme::HmacSha384,
        AlgorithmOut::Sha512 => SignatureScheme::HmacSha512,
    };
    spend(&mut store, FUEL_PER_SECRET)?;
    let mut hasher = asking(key);
    // What is refused costs and reads as much as what is not: a replay knows the answer only after the last byte.
    let begun = store.data().keys.mac(scheme, key)?;
    let (mut mac, refused) = match begun {
        Ok(mac) => (mac, None),
        Err(why) => (None, Some(why)),
    };
    let each = |chunk: &[u8]| {
        hasher.update(chunk);
        if let Some(mac) = &mut mac {
            mac.update(chunk);
        }
    };
    feed(&mut store, &data, each).await?;
    let made = refused.map(Err).or_else(|| mac.map(|mac| Ok(mac.finish())));
    Ok(store.data_mut().keys.settle(Asked { scheme, hash: hasher.finalize() }, made)?)
}

/// A signature with a private key, whoever holds it.
async fn sign(
    mut store: StoreContextMut<'_, Data>,
    scheme: SignatureScheme,
    key: WasmList<u8>,
    data: WasmList<u8>,
) -> wasmtime::Result<Answer> {
    if data.len() > MAX_SIGNED {
        return Ok(Err(format!("{} bytes were to be signed; a private key signs at most {MAX_SIGNED}, so sign their digest", data.len())));
    }
    let price = match scheme {
        SignatureScheme::Ed25519 | SignatureScheme::EcdsaP256Sha256 => FUEL_PER_CURVE,
        _ => FUEL_PER_RSA,
    };
    spend(&mut store, price + FUEL_PER_SECRET + FUEL_PER_BYTE * data.len() as u64)?;
    let key = checked_key(key.as_le_slice(&store))?.to_vec();
    let data = Bytes::copy_from_slice(data.as_le_slice(&store));
    let asked = Asked { scheme, hash: asking(&key).update(&data).finalize() };
    let made = match store.data().keys.sign(scheme, key, data) {
        None => None,
        Some(signing) => {
            let deadline = store.data().deadline;
            Some(told(tokio::time::timeout_at(deadline.into(), signing).await.map_err(|_| Stop::Deadline)?)?)
        }
    };
    Ok(store.data_mut().keys.settle(asked, made)?)
}

/// What is asked for begins with the key.
fn asking(key: &[u8]) -> blake3::Hasher {
    let mut hasher = blake3::Hasher::new();
    hasher.update(&(key.len() as u64).to_le_bytes()).update(key);
    hasher
}

fn checked_key(key: &[u8]) -> Result<&[u8], Stop> {
    if key.len() > MAX_KEY {
        return Err(Stop::Contract(format!("`crypto` was given a key of {} bytes; it takes at most {MAX_KEY}", key.len())));
    }
    Ok(key)
}

/// Feeds data that lies in the guest's memory to a hash.
async fn work(mut store: StoreContextMut<'_, Data>, mut work: Box<dyn Work>, data: WasmList<u8>) -> wasmtime::Result<Vec<u8>> {
    feed(&mut store, &data, |chunk| work.update(chunk)).await?;
    Ok(work.finish())
}

/// Hands out data that lies in the guest's memory. It costs fuel, and others run in between, as if the guest did the work itself.
async fn feed(store: &mut StoreContextMut<'_, Data>, data: &WasmList<u8>, mut each: impl FnMut(&[u8]) + Send) -> wasmtime::Result<()> {
    let length = data.len();
    spend(store, (length as u64).saturating_mul(FUEL_PER_BYTE))?;
    let mut done = 0;
    while done < length {
        let next = length.min(done + CHUNK);
        each(&data.as_le_slice(&*store)[done..next]);
        done = next;
        if done < length {
            if Instant::now() >= store.data().deadline {
                return Err(Stop::Deadline.into());
            }
            tokio::task::yield_now().await;
        }
    }
    Ok(())
}

impl From<SchemeOut> for SignatureScheme {
    fn from(scheme: SchemeOut) -> Self {
        match scheme {
            SchemeOut::HmacSha1 => Self::HmacSha1,
            SchemeOut::HmacSha256 => Self::HmacSha256,
            SchemeOut::HmacSha384 => Self::HmacSha384,
            SchemeOut::HmacSha512 => Self::HmacSha512,
            SchemeOut::RsaPkcs1Sha256 => Self::RsaPkcs1Sha256,
            SchemeOut::RsaPkcs1Sha384 => Self::RsaPkcs1Sha384,
            SchemeOut::RsaPkcs1Sha512 => Self::RsaPkcs1Sha512,
            SchemeOut::RsaPssSha256 => Self::RsaPssSha256,
            SchemeOut::RsaPssSha384 => Self::RsaPssSha384,
            SchemeOut::RsaPssSha512 => Self::RsaPssSha512,
            SchemeOut::EcdsaP256Sha256 => Self::EcdsaP256Sha256,
            SchemeOut::Ed25519 => Self::Ed25519,
        }
    }
}

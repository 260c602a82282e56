//! The sandbox against guests of every kind, most of them hostile. Guests are core WebAssembly text, made into components here.

mod code;
mod contract;
mod guests;
mod hostile;
mod imports;
mod isolation;
mod keys;
mod requests;
mod scripts;
mod sizes;
mod support;
mod together;
mod wasi;

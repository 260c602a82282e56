//! Walks `examples`.

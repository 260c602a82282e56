//! What templates become, what they may not, and that nothing in a value gets out of its place.

mod attacks;
mod requests;

//! Every example does what it says of itself.

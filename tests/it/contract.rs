//! The same contract for every language.

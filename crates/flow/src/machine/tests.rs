//! Tables of single stories, and properties that hold for every story.

mod calls;
mod forms;
mod runs;
mod scripts;
mod stories;
mod waits;
mod wrong;

//! How much one tenant may have of what all tenants share.
//!
//! The bound moves with what is free, as the thresholds of switches with a shared buffer do (Choudhury and Hahne, 1998): after each take, what one
//! holds is at most a fixed multiple of what is left. A tenant alone comes to a fixed part of the whole, such as half; two who want everything come
//! to a third each and leave a third; any number of them leave as much as one of them has to whoever comes next. A fixed half for each would be gone
//! with two.
//!
//! Only counting happens here: no I/O, no clock, no runtime. Whoever waits for a place brings the deadline.

#![forbid(unsafe_code)]
#![warn(missing_docs)]

mod ledger;
mod places;

pub use ledger::{Ledger, Part, room};
pub use places::{Holder, Place, Places, Taking};

//! Finding out what is plugged in: what greetings and answers mean, and what to write into the
//! configuration. Pure: bytes come in as arguments, nothing is opened here.
//!
//! ```text
//!  link::discover --bytes--> greeting::recognize -\
//!                 --packets-> mdns::read ----------> Discovered, with a `[[machine]]` by proposal
//! ```

pub mod greeting;
pub mod mdns;
pub mod proposal;

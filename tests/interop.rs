//! Modbus with programs that others wrote: pymodbus as server and client, and mbpoll, which is
//! libmodbus.
//!
//! They are looked for on the machine. One that is not there is said loudly, and the tests that need
//! it pass; with `HEADSTOCK_PEERS=required` they fail instead, which is how `.ci/run` runs them.

mod interop {
    mod client;
    mod door;
    mod peers;
    mod record;
}

//! Modbus: registers and coils of devices on a serial line or behind a TCP port.
//!
//! Source of protocol facts: Modbus Application Protocol Specification V1.1b3 and Modbus over
//! Serial Line V1.02, both of modbus.org.

pub mod pdu;

/// One thing asked of one device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// The device's number on its bus.
    pub unit: u8,
    /// What is asked.
    pub pdu: pdu::Ask,
}

/// What came back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Coils or discrete inputs: as many as were asked for, no more.
    Bits(Vec<bool>),
    /// Registers: as many as were asked for.
    Words(Vec<u16>),
    /// It was done.
    Done,
    /// What followed the function code, for [`pdu::Ask::Raw`].
    Bytes(Vec<u8>),
}

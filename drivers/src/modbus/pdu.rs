//! Requests and answers of Modbus as data, and as the bytes between address and checksum.

/// What can be asked of a device. Addresses count from 0.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ask {
    /// 1: reads coils.
    ReadCoils {
        /// The first.
        address: u16,
        /// 1 to 2000.
        count: u16,
    },
    /// 2: reads discrete inputs.
    ReadDiscrete {
        /// The first.
        address: u16,
        /// 1 to 2000.
        count: u16,
    },
    /// 3: reads holding registers.
    ReadHolding {
        /// The first.
        address: u16,
        /// 1 to 125.
        count: u16,
    },
    /// 4: reads input registers.
    ReadInput {
        /// The first.
        address: u16,
        /// 1 to 125.
        count: u16,
    },
    /// 5: switches a coil.
    WriteCoil {
        /// Which.
        address: u16,
        /// On or off.
        on: bool,
    },
    /// 6: writes a holding register.
    WriteRegister {
        /// Which.
        address: u16,
        /// What it shall hold.
        value: u16,
    },
    /// 15: switches coils.
    WriteCoils {
        /// The first.
        address: u16,
        /// 1 to 1968.
        values: Vec<bool>,
    },
    /// 16: writes holding registers.
    WriteRegisters {
        /// The first.
        address: u16,
        /// 1 to 123.
        values: Vec<u16>,
    },
    /// 22: writes some bits of a holding register: `(old AND and) OR (or AND NOT and)`.
    MaskWrite {
        /// Which.
        address: u16,
        /// Bits that stay as they are.
        and: u16,
        /// What the others become.
        or: u16,
    },
    /// 23: writes holding registers, then reads some.
    ReadWrite {
        /// The first to be read.
        read: u16,
        /// 1 to 125.
        count: u16,
        /// The first to be written.
        write: u16,
        /// 1 to 121.
        values: Vec<u16>,
    },
    /// Any function, with what follows its code.
    Raw {
        /// The function code.
        function: u8,
        /// At most 252 bytes.
        data: Vec<u8>,
    },
}

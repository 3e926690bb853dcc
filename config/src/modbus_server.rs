//! What the house offers to controllers and SCADA programs that speak Modbus.

use std::net::SocketAddr;

use serde::Serialize;

use crate::tag::{Register, Source, Tag};

/// `[modbus_server]`: the door for programs that speak Modbus TCP.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ModbusServer {
    /// Address and port; `None`: the door stays shut. Port 0 picks a free one.
    pub listen: Option<SocketAddr>,
    /// `listen` may be an address that others on the network can reach.
    pub allow_network: bool,
    /// The number that it answers to; besides, to 0 and 255, as devices without a number do.
    pub unit: u8,
    /// `[[modbus_server.tag]]`: what can be read, and perhaps written.
    pub tags: Vec<Offered>,
}

impl Default for ModbusServer {
    fn default() -> Self {
        Self { listen: None, allow_network: false, unit: 1, tags: Vec::new() }
    }
}

/// A point, as it is found behind the door.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Offered {
    /// `machine.tag`.
    pub point: String,
    /// Where it is found, what is there, and whether it may be written: point = raw × scale + offset.
    pub tag: Tag,
    /// The register of the same table that tells the point's quality: 3 good, 2 uncertain, 1 stale,
    /// 0 bad. Where there is none, a point that cannot be believed is not told at all.
    pub quality: Option<u16>,
}

impl Offered {
    /// Where it is found.
    pub fn register(&self) -> Option<&Register> {
        match &self.tag.source {
            Source::Register(register) => Some(register),
            _ => None,
        }
    }
}

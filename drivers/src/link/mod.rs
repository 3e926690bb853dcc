//! A link carries bytes to and from one device.

//! Order across boxes.

//! What the daemon and its service manager say to each other.

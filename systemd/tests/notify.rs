//! What arrives at a real datagram socket, as the service manager has one.

use std::ffi::OsStr;
use std::io::ErrorKind;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};

use headstock_systemd::Manager;

fn heard(socket: &UnixDatagram) -> String {
    let mut bytes = [0; 4096];
    let length = socket.recv(&mut bytes).expect("a datagram was sent before");
    String::from_utf8_lossy(&bytes[..length]).into_owned()
}

#[test]
fn a_manager_at_a_path_hears_a_whole_life() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("notify");
    let socket = UnixDatagram::bind(&path).unwrap();
    let manager = Manager::at(path.as_os_str()).unwrap();
    manager.ready("2 machines, 1 online").unwrap();
    manager.watchdog().unwrap();
    manager.stopping("closing").unwrap();
    assert_eq!(heard(&socket), "READY=1\nSTATUS=2 machines, 1 online\n");
    assert_eq!(heard(&socket), "WATCHDOG=1\n");
    assert_eq!(heard(&socket), "STOPPING=1\nSTATUS=closing\n");
}

#[test]
fn a_manager_in_the_abstract_namespace_hears_too() {
    let name = format!("headstock-notify-test-{}", std::process::id());
    let address = SocketAddr::from_abstract_name(&name).unwrap();
    let socket = UnixDatagram::bind_addr(&address).unwrap();
    let manager = Manager::at(OsStr::new(&format!("@{name}"))).unwrap();
    manager.watchdog().unwrap();
    assert_eq!(heard(&socket), "WATCHDOG=1\n");
}

#[test]
fn a_status_cannot_say_anything_else() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("notify");
    let socket = UnixDatagram::bind(&path).unwrap();
    Manager::at(path.as_os_str()).unwrap().stopping("mill\nREADY=1\r\n").unwrap();
    assert_eq!(heard(&socket), "STOPPING=1\nSTATUS=mill READY=1  \n");
}

#[test]
fn nobody_is_told_nothing() {
    let nobody = Manager::none();
    nobody.ready("open").unwrap();
    nobody.watchdog().unwrap();
}

#[test]
fn what_is_no_address_is_refused_and_what_is_gone_is_told() {
    for address in ["notify", "vsock:2:1234", ""] {
        let refused = Manager::at(OsStr::new(address)).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::InvalidInput, "{address}");
    }
    let folder = tempfile::tempdir().unwrap();
    let gone = Manager::at(folder.path().join("notify").as_os_str()).unwrap();
    assert_eq!(gone.watchdog().unwrap_err().kind(), ErrorKind::NotFound);
}

#[test]
fn a_manager_that_does_not_listen_cannot_hold_up_the_house() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("notify");
    let _deaf = UnixDatagram::bind(&path).unwrap();
    let manager = Manager::at(path.as_os_str()).unwrap();
    let refused = (0..100_000).find_map(|_| manager.watchdog().err());
    assert_eq!(refused.map(|error| error.kind()), Some(ErrorKind::WouldBlock));
}

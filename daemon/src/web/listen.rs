//! Where the doors are: a TCP address and a Unix socket.
//!
//! A socket file that somebody still answers on is left alone; one that nobody answers on is what
//! a killed daemon left behind, and is replaced. Anything else at that path is not ours.

use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::{Path, PathBuf};

use headstock_config::explain::Explain;
use headstock_config::settings::Settings;
use tokio::net::{TcpListener, TcpSocket, UnixListener, UnixStream};

use super::who;

/// Connections that may wait to be accepted.
const BACKLOG: u32 = 128;
/// Bytes that may wait in the kernel for a slow client: a feed then notices soon that its client
/// is slow, and what the client gets is not minutes old.
const SEND_BUFFER: u32 = 128 * 1024;

/// Doors that can be knocked at but are not yet answered.
pub struct Listeners {
    /// Removed before the listener is closed, so that nobody else's file can be meant.
    pub(super) file: SocketFile,
    pub(super) tcp: TcpListener,
    pub(super) unix: UnixListener,
    tcp_addr: SocketAddr,
}

impl Listeners {
    /// Where REST listens; the chosen port where port 0 was asked for.
    pub fn tcp_addr(&self) -> SocketAddr {
        self.tcp_addr
    }
}

/// The socket's file, removed when this is dropped.
pub(super) struct SocketFile(PathBuf);

impl Drop for SocketFile {
    fn drop(&mut self) {
        // Somebody may have removed it already.
        std::fs::remove_file(&self.0).ok();
    }
}

/// Why a door cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// The TCP address.
    #[error("cannot listen on {addr}")]
    Tcp {
        /// As configured.
        addr: SocketAddr,
        /// What the system says.
        source: io::Error,
    },
    /// The Unix socket.
    #[error("cannot make the socket {}", path.display())]
    Socket {
        /// As configured.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// Another process listens on the Unix socket.
    #[error("somebody else answers on the socket {}", .0.display())]
    InUse(PathBuf),
    /// Something else is in the socket's place.
    #[error("{} is not a socket", .0.display())]
    NotASocket(PathBuf),
    /// The socket's group.
    #[error("there is no group `{0}` on this box")]
    NoGroup(String),
}

impl Explain for BindError {
    fn code(&self) -> &'static str {
        match self {
            Self::Tcp { .. } => "web.bind.tcp",
            Self::Socket { .. } => "web.bind.socket",
            Self::InUse(_) => "web.bind.in_use",
            Self::NotASocket(_) => "web.bind.not_a_socket",
            Self::NoGroup(_) => "web.bind.no_group",
        }
    }

    fn means(&self) -> String {
        "the daemon does not start; no machine has been touched".into()
    }

    fn remedy(&self) -> String {
        match self {
            Self::Tcp { source, .. } if source.kind() == io::ErrorKind::AddrInUse => {
                "stop what uses that port (`ss -ltnp` shows it), or choose another `listen` under \
                 `[web]`; port 0 picks a free one"
                    .into()
            }
            Self::Tcp { .. } => "correct `listen` under `[web]`".into(),
            Self::Socket { .. } => {
                "see that its folder exists and belongs to the daemon's user, or set `socket` \
                 under `[daemon]`"
                    .into()
            }
            Self::InUse(_) => {
                "stop the other daemon, or give this one a `socket` of its own".into()
            }
            Self::NotASocket(_) => "move that file away, or set `socket` under `[daemon]`".into(),
            Self::NoGroup(name) => {
                format!("make it with `groupadd --system {name}`, or correct `socket_group`")
            }
        }
    }
}

/// Opens both doors, so that what stands against it shows at the start.
pub async fn bind(settings: &Settings, socket: &Path) -> Result<Listeners, BindError> {
    let addr = settings.web.listen;
    let tcp = listen(addr).map_err(|source| BindError::Tcp { addr, source })?;
    let tcp_addr = tcp.local_addr().map_err(|source| BindError::Tcp { addr, source })?;
    let path = || socket.to_owned();
    clear(socket).await?;
    let unix =
        UnixListener::bind(socket).map_err(|source| BindError::Socket { path: path(), source })?;
    let file = SocketFile(path());
    admit(socket, settings.daemon.socket_group.as_deref())?;
    Ok(Listeners { file, tcp, unix, tcp_addr })
}

fn listen(addr: SocketAddr) -> io::Result<TcpListener> {
    let socket = if addr.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    // A daemon that has just ended must not keep the next one from starting.
    socket.set_reuseaddr(true)?;
    socket.set_send_buffer_size(SEND_BUFFER)?;
    socket.bind(addr)?;
    socket.listen(BACKLOG)
}

/// Removes a socket that nobody answers on.
async fn clear(path: &Path) -> Result<(), BindError> {
    let Ok(found) = std::fs::symlink_metadata(path) else { return Ok(()) };
    if !found.file_type().is_socket() {
        return Err(BindError::NotASocket(path.to_owned()));
    }
    match UnixStream::connect(path).await {
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
            let removed = std::fs::remove_file(path);
            removed.map_err(|source| BindError::Socket { path: path.to_owned(), source })
        }
        _ => Err(BindError::InUse(path.to_owned())),
    }
}

/// The daemon's user and group may knock, nobody else.
fn admit(path: &Path, group: Option<&str>) -> Result<(), BindError> {
    let failed = |source| BindError::Socket { path: path.to_owned(), source };
    if let Some(name) = group {
        let groups = std::fs::read_to_string("/etc/group").map_err(failed)?;
        let id = who::group_id(name, &groups).ok_or_else(|| BindError::NoGroup(name.to_owned()))?;
        std::os::unix::fs::chown(path, None, Some(id)).map_err(failed)?;
    }
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o660)).map_err(failed)
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    fn anywhere() -> Settings {
        let mut settings = Settings::default();
        settings.web.listen = (Ipv4Addr::LOCALHOST, 0).into();
        settings
    }

    #[tokio::test]
    async fn port_0_is_answered_with_the_chosen_one() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("s");
        let doors = bind(&anywhere(), &path).await.unwrap();
        assert_ne!(doors.tcp_addr().port(), 0);
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o660);
        drop(doors);
        assert!(!path.exists());
    }

    #[tokio::test]
    async fn a_socket_that_nobody_answers_on_is_replaced() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("s");
        drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
        bind(&anywhere(), &path).await.unwrap();
    }

    #[tokio::test]
    async fn what_is_not_ours_is_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("s");
        let first = bind(&anywhere(), &path).await.unwrap();
        assert!(matches!(bind(&anywhere(), &path).await, Err(BindError::InUse(_))));
        assert!(path.exists());
        drop(first);
        std::fs::write(&path, "notes").unwrap();
        assert!(matches!(bind(&anywhere(), &path).await, Err(BindError::NotASocket(_))));
        assert_eq!(std::fs::read(&path).unwrap(), b"notes");
    }

    #[tokio::test]
    async fn a_port_in_use_and_a_group_nobody_made_are_named() {
        let dir = tempfile::tempdir().unwrap();
        let first = bind(&anywhere(), &dir.path().join("a")).await.unwrap();
        let mut settings = anywhere();
        settings.web.listen = first.tcp_addr();
        let error = bind(&settings, &dir.path().join("b")).await.err().unwrap();
        assert!(error.remedy().contains("ss -ltnp"), "{error:?}");
        let mut settings = anywhere();
        settings.daemon.socket_group = Some("no-such-group".into());
        let error = bind(&settings, &dir.path().join("c")).await.err().unwrap();
        assert!(matches!(error, BindError::NoGroup(_)), "{error:?}");
    }
}

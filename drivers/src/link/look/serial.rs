//! Serial ports: who greets, and who answers.
//!
//! ```text
//!  owned? taken? -> open at 115200 -> listen --greeting--> known
//!                       ^               | nothing            ^
//!                       | 250000        v only if asked to   |
//!                       +------------ `?`, M115 --answer-----+
//! ```
//!
//! Opening a port raises DTR, which resets many boards: that is also why they greet. A board that
//! another program works with must not be reset, so a port that somebody has open is left alone,
//! whether or not it was locked.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use headstock_config::discover::Sure;
use headstock_config::machine::{Machine, Port};
use tokio::sync::mpsc::Sender;
use tokio::time::timeout_at;

use super::super::failure::Why;
use super::super::identity::{Found as Plugged, Sysfs};
use super::super::{Link, OpenError};
use super::{Found, News, Owned, Proposal, say};
use crate::discover::greeting::{self, ASK_GRBL, ASK_PRINTER, GREETING_MAX, Known};

/// What GRBL is built for, and what fast printers are.
const BAUDS: [u32; 2] = [115_200, 250_000];
/// A board needs up to two seconds from its reset to its greeting.
const GREETS: Duration = Duration::from_millis(3_000);
/// A question is answered, or it is not.
const ANSWERS: Duration = Duration::from_millis(1_000);
/// Ports that are looked at in one go.
const PORTS_MAX: usize = 32;

/// The ports to look at: those that were named, or else all that are plugged in.
pub(super) fn ports(sysfs: &Sysfs, named: &[PathBuf]) -> Vec<Plugged> {
    let named = named.iter().map(|path| {
        let (path, identity) = (path.clone(), sysfs.identity(path));
        Plugged { path, by_id: None, identity }
    });
    let mut all: Vec<Plugged> = named.collect();
    if all.is_empty() {
        all = sysfs.list();
    }
    all.truncate(PORTS_MAX);
    all
}

/// Looks at one port.
pub(super) async fn look(
    port: &Plugged,
    owned: &Owned,
    sysfs: &Sysfs,
    ask: bool,
    news: &Sender<News>,
) {
    let place = lasting(port);
    if let Some(machine) = owned.owner(&port.path) {
        let what = format!("machine `{machine}`");
        let note = Some("it is in the configuration and was not touched".into());
        let found = Found { what, place, sure: Sure::Configured, note, proposal: None };
        return say(news, News::Found(found)).await;
    }
    if is_console(sysfs, &port.path) {
        let remark = format!("{place}: it is a console of this box; it was left alone");
        return say(news, News::Remark(remark)).await;
    }
    if let Some(program) = holder(Path::new("/proc"), &port.path) {
        let remark = format!("{place}: `{program}` has it open; it was left alone");
        return say(news, News::Remark(remark)).await;
    }
    let doing = format!("listening on {}", port.path.display());
    say(news, News::Doing(doing.clone())).await;
    match hear(port, sysfs, ask).await {
        Ok(heard) => say(news, News::Found(told(port, heard, ask))).await,
        Err(error) => say(news, News::Remark(remark(&place, &error.why))).await,
    }
    say(news, News::Done(doing)).await;
}

/// The name that stays, where there is one.
fn lasting(port: &Plugged) -> String {
    port.by_id.as_ref().unwrap_or(&port.path).display().to_string()
}

fn remark(place: &str, why: &Why) -> String {
    match why {
        Why::Denied => {
            format!("{place}: {why}; join the group that owns it (usually `dialout`) to look there")
        }
        why => format!("{place}: {why}"),
    }
}

/// What was heard on a port.
#[derive(Debug, Default)]
struct Heard {
    known: Option<Known>,
    baud: u32,
    words: Option<String>,
}

/// Opens, listens, and asks if that is wanted; at one speed after the other.
async fn hear(port: &Plugged, sysfs: &Sysfs, ask: bool) -> Result<Heard, OpenError> {
    let mut heard = Heard { baud: BAUDS[0], ..Heard::default() };
    for baud in BAUDS {
        let machine = Machine {
            id: "discovery".into(),
            port: Port::Path(port.path.clone()),
            baud,
            ..Machine::default()
        };
        let link = Link::open_below(sysfs, &machine, None)?;
        let (known, bytes) = talk(&link, ask).await;
        heard.words = heard.words.or_else(|| greeting::words(&bytes));
        if known.is_some() {
            return Ok(Heard { known, baud, ..heard });
        }
        // A board that says nothing at one speed says nothing at another, unless it is asked.
        if bytes.is_empty() && !ask {
            break;
        }
    }
    Ok(heard)
}

async fn talk(link: &Link, ask: bool) -> (Option<Known>, Vec<u8>) {
    let mut bytes = Vec::new();
    let mut known = listen(link, GREETS, &mut bytes).await;
    for question in [ASK_GRBL, ASK_PRINTER] {
        let sure = known.as_ref().is_some_and(|it| it.sure == Sure::Certain);
        if sure || !ask || link.try_write_urgent(Instant::now(), question).is_err() {
            break;
        }
        known = listen(link, ANSWERS, &mut bytes).await.or(known);
    }
    (known, bytes)
}

/// Hears until it is certain who speaks, or for so long. A firmware that has only said that it
/// starts is heard on: it may say more.
async fn listen(link: &Link, at_most: Duration, bytes: &mut Vec<u8>) -> Option<Known> {
    let until = Instant::now() + at_most;
    let mut buffer = [0; 256];
    loop {
        let known = greeting::recognize(bytes);
        let sure = known.as_ref().is_some_and(|it| it.sure == Sure::Certain);
        if sure || GREETING_MAX <= bytes.len() {
            return known;
        }
        match timeout_at(until.into(), link.readable_read(&mut buffer)).await {
            Ok(Ok(read)) => bytes.extend_from_slice(&buffer[..read]),
            Ok(Err(_)) | Err(_) => return known,
        }
    }
}

fn told(port: &Plugged, heard: Heard, ask: bool) -> Found {
    let place = lasting(port);
    let adapter = port.identity.as_ref().map(|it| it.label.clone()).filter(|it| !it.is_empty());
    if let Some(Known { what, driver, sure }) = heard.known {
        let baud = heard.baud;
        let proposal = Some(Proposal::OnAPort { driver, port: place.clone(), baud });
        let note = adapter.map(|it| format!("behind {it}; at {baud} baud"));
        return Found { what, place, sure, note, proposal };
    }
    let what = adapter.unwrap_or_else(|| "a serial port".into());
    let said = heard.words.map(|words| format!("it says `{words}`, which nobody here knows; "));
    let hint = match ask {
        true => "it answers neither GRBL's question nor a printer's",
        false => "it does not introduce itself; --ask puts harmless questions to it",
    };
    let note = Some(said.unwrap_or_default() + hint);
    Found { what, place, sure: Sure::Guess, note, proposal: None }
}

/// Whether the kernel prints there, and somebody may log in: nothing that is said there is
/// harmless.
pub(super) fn is_console(sysfs: &Sysfs, node: &Path) -> bool {
    let active = fs::read_to_string(sysfs.sys.join("class/tty/console/active"));
    let name = super::resolved(node);
    let name = name.file_name().and_then(|it| it.to_str()).unwrap_or_default();
    active.unwrap_or_default().split_whitespace().any(|it| it == name)
}

/// The program that has a node open, as far as this user may see. Not every program locks what it
/// opens, and a board must not be reset in the middle of a print.
pub(super) fn holder(proc: &Path, node: &Path) -> Option<String> {
    let node = fs::canonicalize(node).ok()?;
    // Pretend devices keep the near end of their own terminal open; users of it lock it.
    if node.starts_with("/dev/pts") {
        return None;
    }
    // What we have open ourselves belongs to our machines, and those are known.
    let own = std::process::id().to_string();
    let processes = fs::read_dir(proc).ok()?.filter_map(Result::ok);
    let numbered = |name: &str| name.bytes().all(|it| it.is_ascii_digit()) && name != own;
    let mut processes = processes.filter(|it| it.file_name().to_str().is_some_and(numbered));
    let holds = |process: &fs::DirEntry| {
        let handles = fs::read_dir(process.path().join("fd")).ok().into_iter().flatten();
        handles.filter_map(Result::ok).any(|it| fs::read_link(it.path()).is_ok_and(|to| to == node))
    };
    let process = processes.find(holds)?;
    let name = fs::read_to_string(process.path().join("comm")).unwrap_or_default();
    Some(name.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::io::{Read, Write};
    use std::os::fd::AsFd;
    use std::os::unix::fs::symlink;

    use tokio::sync::mpsc::channel;

    use super::super::super::os;
    use super::*;

    /// A firmware at the far end of a terminal: greets, then answers each question that begins as
    /// one of these do.
    fn firmware(greeting: &str, answers: &'static [(&str, &str)]) -> PathBuf {
        let (master, path) = os::open_pty().unwrap();
        let greeting = greeting.to_owned();
        std::thread::spawn(move || {
            let mut far = File::from(master);
            let (mut heard, mut buffer) = (Vec::new(), [0; 256]);
            let mut greeted = false;
            while os::wait(&[(far.as_fd(), false)], Duration::from_secs(20)).is_ok_and(|it| it) {
                match far.read(&mut buffer) {
                    Ok(read) if 0 < read => heard.extend_from_slice(&buffer[..read]),
                    // Nobody has opened the near end yet, or not any more.
                    _ => std::thread::yield_now(),
                }
                if !std::mem::replace(&mut greeted, true) {
                    far.write_all(greeting.as_bytes()).ok();
                }
                for (question, answer) in answers {
                    let text = String::from_utf8_lossy(&heard).into_owned();
                    if text.contains(question) {
                        heard.clear();
                        far.write_all(answer.as_bytes()).ok();
                    }
                }
            }
        });
        path
    }

    async fn looked_at(path: &Path, ask: bool, owned: &Owned) -> Vec<News> {
        let (news, mut told) = channel(64);
        let port = Plugged { path: path.to_owned(), by_id: None, identity: None };
        look(&port, owned, &Sysfs::default(), ask, &news).await;
        drop(news);
        let mut all = Vec::new();
        while let Some(it) = told.recv().await {
            all.push(it);
        }
        all
    }

    fn found(news: &[News]) -> Option<&Found> {
        news.iter().find_map(|it| match it {
            News::Found(found) => Some(found),
            _ => None,
        })
    }

    #[tokio::test]
    async fn a_firmware_that_is_asked_is_known_by_its_answer() {
        let grbl = firmware("", &[("?", "<Idle|MPos:0.000,0.000,0.000|FS:0,0>\r\n")]);
        const NAME: &str = "FIRMWARE_NAME:Marlin 2.1.2 SOURCE_CODE_URL:x EXTRUDER_COUNT:1\nok\n";
        let marlin = firmware("", &[("M115", NAME)]);
        let owned = Owned::default();
        let (grbl, marlin) =
            tokio::join!(looked_at(&grbl, true, &owned), looked_at(&marlin, true, &owned));
        assert_eq!(found(&grbl).unwrap().sure, Sure::Certain);
        let Some(Proposal::OnAPort { driver, baud, .. }) = &found(&grbl).unwrap().proposal else {
            panic!("{grbl:?}")
        };
        assert_eq!((*driver, *baud), ("grbl", 115_200));
        assert_eq!(found(&marlin).unwrap().what, "Marlin 2.1.2");
    }

    #[tokio::test]
    async fn a_port_that_is_owned_or_taken_is_named_and_not_opened() {
        let (master, path) = os::open_pty().unwrap();
        let machine =
            Machine { id: "mill".into(), port: Port::Path(path.clone()), ..Machine::default() };
        let owned = Owned::by(std::slice::from_ref(&machine), &Sysfs::default());
        let news = looked_at(&path, true, &owned).await;
        assert_eq!(found(&news).unwrap().what, "machine `mill`");
        let _taken = Link::open(&machine, None).unwrap();
        let news = looked_at(&path, true, &Owned::default()).await;
        let remark =
            |it: &News| matches!(it, News::Remark(text) if text.contains("another program"));
        assert!(news.iter().any(remark), "{news:?}");
        let mut far = File::from(master);
        assert!(far.read(&mut [0; 16]).is_err(), "nothing was said to it");
    }

    #[test]
    fn a_console_is_no_machine() {
        let folder = tempfile::tempdir().unwrap();
        let sysfs = Sysfs { sys: folder.path().into(), dev: "/dev".into() };
        fs::create_dir_all(folder.path().join("class/tty/console")).unwrap();
        fs::write(folder.path().join("class/tty/console/active"), "tty0 ttyS0\n").unwrap();
        assert!(is_console(&sysfs, Path::new("/dev/ttyS0")));
        assert!(!is_console(&sysfs, Path::new("/dev/ttyUSB0")));
    }

    #[test]
    fn whoever_has_a_port_open_is_seen_although_nothing_is_locked() {
        let folder = tempfile::tempdir().unwrap();
        let node = fs::canonicalize(folder.path()).unwrap().join("ttyUSB0");
        fs::write(&node, "").unwrap();
        let handles = folder.path().join("proc/42/fd");
        fs::create_dir_all(&handles).unwrap();
        fs::write(folder.path().join("proc/42/comm"), "octoprint\n").unwrap();
        assert_eq!(holder(&folder.path().join("proc"), &node), None);
        symlink(&node, handles.join("7")).unwrap();
        assert_eq!(holder(&folder.path().join("proc"), &node), Some("octoprint".into()));
    }
}

//! Printers that make themselves known on the network.
//!
//! One question goes to the group of multicast DNS, from a port of its own, so that answers come
//! back to us alone (RFC 6762, 6.7) and nothing has to be listened to for good.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use headstock_config::discover::Sure;
use tokio::net::UdpSocket;
use tokio::sync::mpsc::Sender;
use tokio::time::timeout_at;

use super::{Found, News, say};
use crate::discover::mdns::{self, Service};

/// Where questions go.
pub const MULTICAST: SocketAddr =
    SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::new(224, 0, 0, 251)), 5353);
/// What is asked for, and what offers it.
const KINDS: [(&str, &str); 3] = [
    ("_octoprint._tcp.local", "OctoPrint"),
    ("_moonraker._tcp.local", "Moonraker (Klipper)"),
    ("_prusalink._tcp.local", "PrusaLink"),
];
/// Responders wait up to half a second so as not to answer all at once.
const ANSWERS: Duration = Duration::from_secs(3);
/// Packets that are read; a workshop has fewer printers.
const PACKETS_MAX: usize = 512;
/// Largest packet, RFC 6762, 17.
const PACKET_MAX: usize = 9_000;

/// Asks the network, and tells what answered.
pub(super) async fn look(news: &Sender<News>) {
    let doing = "asking the network for printers".to_owned();
    say(news, News::Doing(doing.clone())).await;
    match browse(MULTICAST, ANSWERS).await {
        Ok(services) => {
            for service in &services {
                say(news, News::Found(told(service))).await;
            }
        }
        Err(error) => {
            say(news, News::Remark(format!("the network cannot be asked: {error}"))).await;
        }
    }
    say(news, News::Done(doing)).await;
}

/// Asks there, and collects answers for so long. What is no answer is passed over.
pub async fn browse(to: SocketAddr, wait: Duration) -> std::io::Result<Vec<Service>> {
    let kinds = KINDS.map(|(kind, _)| kind);
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).await?;
    socket.send_to(&mdns::question(&kinds), to).await?;
    let until = Instant::now() + wait;
    let (mut records, mut packet) = (Vec::new(), vec![0; PACKET_MAX]);
    for _ in 0..PACKETS_MAX {
        match timeout_at(until.into(), socket.recv_from(&mut packet)).await {
            Ok(Ok((length, _))) => {
                records.extend(mdns::read(&packet[..length]).unwrap_or_default());
            }
            // A host that refuses says nothing about the others.
            Ok(Err(_)) => (),
            Err(_) => break,
        }
    }
    Ok(mdns::services(&records, &kinds))
}

fn told(service: &Service) -> Found {
    let what = KINDS.iter().find(|(kind, _)| *kind == service.kind).map_or("", |(_, what)| what);
    let host = service.addresses.first().map(ToString::to_string).or(service.host.clone());
    let place = match (host, service.port) {
        (Some(host), Some(port)) => format!("{host}:{port}"),
        (Some(host), None) => host,
        _ => service.kind.clone(),
    };
    let name = if service.name.is_empty() { String::new() } else { format!(" `{}`", service.name) };
    let note = "no driver here speaks to it; where its printer is plugged into this box, only one of \
                the two can have the port";
    let (what, note) = (format!("{what}{name}"), Some(note.to_owned()));
    Found { what, place, sure: Sure::Certain, note, proposal: None }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::discover::mdns::tests::answer;

    #[tokio::test]
    async fn a_printer_on_the_network_is_found_among_noise() {
        let responder = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let at = responder.local_addr().unwrap();
        let answering = tokio::spawn(async move {
            let mut packet = [0; 1500];
            let (length, asker) = responder.recv_from(&mut packet).await.unwrap();
            let asked = String::from_utf8_lossy(&packet[..length]).into_owned();
            for noise in [&b""[..], b"hello", &[0xff; 600], &packet[..length]] {
                responder.send_to(noise, asker).await.unwrap();
            }
            responder.send_to(&answer(), asker).await.unwrap();
            asked
        });
        let found = browse(at, Duration::from_millis(500)).await.unwrap();
        assert!(answering.await.unwrap().contains("_moonraker"));
        assert_eq!(found.len(), 1, "{found:?}");
        let told = told(&found[0]);
        assert_eq!(
            (told.what.as_str(), told.place.as_str()),
            ("OctoPrint `Prusa on bench`", "192.168.1.7:5000")
        );
    }
}

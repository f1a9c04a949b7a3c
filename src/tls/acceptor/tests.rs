//! Who gets a seat, and who has to leave for it.

use std::{
    net::{IpAddr, Ipv6Addr},
    sync::atomic::Ordering::Relaxed,
};

use tokio::net::{TcpSocket, TcpStream};

use super::*;
use crate::domain::network::Place;

fn seats(connections: usize, per_address: usize) -> Arc<Seats> {
    Seats::new(connections, per_address)
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

async fn refused(seats: &Arc<Seats>, address: &str) -> bool {
    timeout(PAUSE / 2, seats.take(Some(ip(address)))).await.is_err()
}

#[tokio::test]
async fn a_full_room_sends_away_who_has_kept_us_waiting_longest() {
    let seats = seats(3, 3);
    let first = seats.take(Some(ip("10.0.0.1"))).await.unwrap();
    let second = seats.take(Some(ip("10.0.0.2"))).await.unwrap();
    let third = seats.take(Some(ip("10.0.0.3"))).await.unwrap();
    second.state.since.store(1, Relaxed);
    third.state.since.store(2, Relaxed);
    let (_open, _work) = (first.open(), first.work());
    first.state.since.store(0, Relaxed);

    let _fourth = seats.take(Some(ip("10.0.0.4"))).await.unwrap();
    assert!(!first.state.dismissed.is_cancelled(), "it is being worked for");
    assert!(second.state.dismissed.is_cancelled());
    assert!(!third.state.dismissed.is_cancelled());
    drop(second);
    assert_eq!(seats.taken().seats.len(), 3);
}

#[tokio::test]
async fn a_handler_that_waits_for_its_clients_body_does_not_hold_the_seat() {
    let seats = seats(1, 1);
    let seat = seats.take(Some(ip("10.0.0.1"))).await.unwrap();
    let _work = seat.work();
    assert!(refused(&seats, "10.0.0.2").await);
    let wait = seat.wait();
    let next = seats.take(Some(ip("10.0.0.2"))).await.unwrap();
    assert!(seat.state.dismissed.is_cancelled());
    drop((wait, seat));
    let _work = next.work();
    assert!(refused(&seats, "10.0.0.3").await);
}

#[tokio::test]
async fn the_door_opens_again_when_a_seat_falls_free() {
    let seats = seats(1, 1);
    let seat = seats.take(Some(ip("10.0.0.1"))).await.unwrap();
    let work = seat.work();
    let (next, ()) = tokio::join!(seats.take(Some(ip("10.0.0.2"))), async {
        drop(work);
        drop(seat);
    });
    assert!(next.is_some());
    assert_eq!(seats.taken().seats.len(), 1);
}

#[tokio::test]
async fn an_address_takes_its_own_seats_and_no_others() {
    let seats = seats(10, 2);
    let other = seats.take(Some(ip("2001:db8:0:2::1"))).await.unwrap();
    let first = seats.take(Some(ip("2001:db8:0:1::1"))).await.unwrap();
    let second = seats.take(Some(ip("2001:db8:0:1:ffff::2"))).await.unwrap();
    let (one, two) = (first.work(), second.work());
    assert!(seats.take(Some(ip("2001:db8:0:1::3"))).await.is_none(), "both are worked for");
    drop(one);
    let third = seats.take(Some(ip("2001:db8:0:1::3"))).await.unwrap();
    assert!(first.state.dismissed.is_cancelled());
    assert!(!other.state.dismissed.is_cancelled());
    drop((first, second, third, other, two));
    let taken = seats.taken();
    assert!(taken.seats.is_empty() && taken.addresses.is_empty());
}

#[tokio::test]
async fn both_families_can_be_listened_on_at_one_port() {
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let addresses = [([0, 0, 0, 0], free).into(), (Ipv6Addr::UNSPECIFIED, free).into()];
    let mut listener = Listener::bind(&addresses, None, Limits::default()).unwrap();
    for to in ["127.0.0.1", "::1"] {
        let (arrival, client) = tokio::join!(listener.accept(), TcpStream::connect((ip(to), free)));
        assert_eq!(arrival.remote, client.unwrap().local_addr().ok());
    }
    let error = Listener::bind(&addresses[..1], None, Limits::default()).err().unwrap().to_string();
    assert!(
        error.contains(&format!("can't listen on 0.0.0.0:{free}")) && error.contains("ss -ltnp"),
        "{error}"
    );
}

#[tokio::test]
async fn an_ipv4_client_of_a_socket_for_both_families_keeps_its_address() {
    let mut listener = Listener::bind(&[(Ipv6Addr::UNSPECIFIED, 0).into()], None, Limits::default()).unwrap();
    let port = listener.local_addresses()[0].port();
    let (arrival, client) = tokio::join!(listener.accept(), TcpStream::connect(("127.0.0.1", port)));
    assert_eq!(arrival.remote, client.unwrap().local_addr().ok());
}

/// Out of descriptors, in a process of its own: the limit is the whole process's.
#[test]
fn running_out_of_descriptors_burns_no_processor_and_passes() {
    let inner = "tls::acceptor::tests::out_of_descriptors";
    let run = std::process::Command::new(std::env::current_exe().unwrap())
        .args([inner, "--exact", "--ignored", "--nocapture"])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&run.stdout);
    assert!(
        run.status.success() && said.contains("1 passed"),
        "{said}{}",
        String::from_utf8_lossy(&run.stderr)
    );
}

#[tokio::test]
#[ignore = "lowers the limit of its process: run by the test above"]
async fn out_of_descriptors() {
    let mut listener = Listener::bind(&[([127, 0, 0, 1], 0).into()], None, Limits::default()).unwrap();
    let address = listener.local_addresses()[0];
    let client = TcpSocket::new_v4().unwrap();
    setrlimit(Resource::Nofile, Rlimit { current: Some(50), maximum: Some(50) }).unwrap();
    let mut files = Vec::new();
    while let Ok(file) = std::fs::File::open("/dev/null") {
        files.push(file);
    }
    // Full, but for the look at the clock.
    files.pop();
    let _client = client.connect(address).await.unwrap();
    let before = processor_ticks();
    files.push(std::fs::File::open("/dev/null").unwrap());
    assert!(timeout(Duration::from_millis(500), listener.accept()).await.is_err());
    files.pop();
    assert!(processor_ticks() - before <= 5, "it spins");
    timeout(Duration::from_secs(5), listener.accept()).await.expect("it goes on");
}

/// Hundredths of a second this process has run.
fn processor_ticks() -> u64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let fields: Vec<&str> = stat.rsplit(") ").next().unwrap().split(' ').collect();
    fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap()
}

#[tokio::test]
async fn a_proxy_has_all_seats_and_those_it_comes_for_their_own() {
    let seats = seats(10, 1);
    let first = seats.take(None).await.unwrap();
    let second = seats.take(None).await.unwrap();
    let third = seats.take(None).await.unwrap();
    assert!(first.belongs_to(ip("192.0.2.1")));
    let work = first.work();
    assert!(second.belongs_to(ip("192.0.2.2")), "others are not held up");
    assert!(!third.belongs_to(ip("192.0.2.1")), "it is being worked for");
    drop((work, first));
    assert!(third.belongs_to(ip("192.0.2.1")));
    drop((second, third));
    let taken = seats.taken();
    assert!(taken.seats.is_empty() && taken.addresses.is_empty());
}

#[tokio::test]
async fn a_socket_that_is_left_over_is_replaced_and_one_in_use_is_not() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("http.sock");
    drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
    let doors = [Door { place: Place::Socket(path.clone()), proxy_protocol: false }];
    let listener = Listener::open(&doors, None, Limits::default(), Neighbours::default()).unwrap();
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o660);
    let error = Listener::open(&doors, None, Limits::default(), Neighbours::default()).err().unwrap();
    assert!(error.to_string().contains("another program listens there"), "{error}");
    drop(listener);
    assert!(!path.exists());
    std::fs::write(&path, "kept").unwrap();
    assert!(Listener::open(&doors, None, Limits::default(), Neighbours::default()).is_err());
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "kept");
}

/// A listener that takes PROXY headers from 127.0.0.1 alone.
fn proxied() -> (Listener, SocketAddr) {
    let place = Place::Address(([127, 0, 0, 1], 0).into());
    let neighbours = Neighbours { trusted: vec!["127.0.0.1".parse().unwrap()], only: false };
    let limits = Limits { handshake: Duration::from_millis(200), ..Limits::default() };
    let listener = Listener::open(&[Door { place, proxy_protocol: true }], None, limits, neighbours).unwrap();
    let address = listener.local_addresses()[0];
    (listener, address)
}

#[tokio::test]
async fn the_header_of_a_trusted_proxy_tells_who_comes_and_nothing_behind_it_is_lost() {
    use tokio::io::AsyncReadExt as _;
    let (mut listener, address) = proxied();
    let (arrival, client) = tokio::join!(listener.accept(), TcpStream::connect(address));
    let mut client = client.unwrap();
    client.write_all(b"PROXY TCP4 203.0.113.7 192.0.2.1 5000 443\r\nGET /").await.unwrap();
    let mut connection = arrival.handshake().await.unwrap();
    assert_eq!(connection.remote, Some("203.0.113.7:5000".parse().unwrap()));
    assert!(!connection.is_of_proxy, "it is the visitor's own");
    let mut text = [0; 5];
    connection.stream.read_exact(&mut text).await.unwrap();
    assert_eq!(&text, b"GET /");

    let (arrival, client) = tokio::join!(listener.accept(), TcpStream::connect(address));
    client.unwrap().write_all(b"PROXY UNKNOWN\r\n").await.unwrap();
    let connection = arrival.handshake().await.unwrap();
    assert_eq!(connection.remote, None);
    assert!(!connection.is_of_proxy, "what it says of itself is not the proxy's");
}

#[tokio::test]
async fn without_its_header_a_connection_is_closed() {
    let (mut listener, address) = proxied();
    for sent in ["", "PROXY TCP4", "GET / HTTP/1.1\r\n\r\n"] {
        let (arrival, client) = tokio::join!(listener.accept(), TcpStream::connect(address));
        let mut client = client.unwrap();
        client.write_all(sent.as_bytes()).await.unwrap();
        assert!(arrival.handshake().await.is_err(), "{sent}");
    }
}

#[tokio::test]
async fn a_header_of_somebody_else_is_not_read() {
    use tokio::io::AsyncReadExt as _;
    let (mut listener, address) = proxied();
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(([127, 0, 0, 2], 0).into()).unwrap();
    let mut forger = socket.connect(address).await.unwrap();
    let _ = forger.write_all(b"PROXY TCP4 203.0.113.7 192.0.2.1 5000 443\r\n").await;
    assert!(timeout(PAUSE, listener.accept()).await.is_err());
    let mut rest = Vec::new();
    let closed = timeout(Duration::from_secs(5), forger.read_to_end(&mut rest)).await.unwrap();
    assert!(closed.is_err() || rest.is_empty());
}

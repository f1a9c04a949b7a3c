//! Who gets a seat, and who has to leave for it.

use super::*;

fn seats(connections: usize, per_address: usize) -> Arc<Seats> {
    Arc::new(Seats {
        connections,
        per_address,
        epoch: Instant::now(),
        taken: Mutex::default(),
        freed: Notify::new(),
    })
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

async fn refused(seats: &Arc<Seats>, address: &str) -> bool {
    timeout(PAUSE / 2, seats.take(ip(address))).await.is_err()
}

#[tokio::test]
async fn a_full_room_sends_away_who_has_kept_us_waiting_longest() {
    let seats = seats(3, 3);
    let first = seats.take(ip("10.0.0.1")).await.unwrap();
    let second = seats.take(ip("10.0.0.2")).await.unwrap();
    let third = seats.take(ip("10.0.0.3")).await.unwrap();
    second.state.since.store(1, Relaxed);
    third.state.since.store(2, Relaxed);
    let (_open, _work) = (first.open(), first.work());
    first.state.since.store(0, Relaxed);

    let _fourth = seats.take(ip("10.0.0.4")).await.unwrap();
    assert!(!first.state.dismissed.is_cancelled(), "it is being worked for");
    assert!(second.state.dismissed.is_cancelled());
    assert!(!third.state.dismissed.is_cancelled());
    drop(second);
    assert_eq!(seats.taken().seats.len(), 3);
}

#[tokio::test]
async fn a_handler_that_waits_for_its_clients_body_does_not_hold_the_seat() {
    let seats = seats(1, 1);
    let seat = seats.take(ip("10.0.0.1")).await.unwrap();
    let _work = seat.work();
    assert!(refused(&seats, "10.0.0.2").await);
    let wait = seat.wait();
    let next = seats.take(ip("10.0.0.2")).await.unwrap();
    assert!(seat.state.dismissed.is_cancelled());
    drop((wait, seat));
    let _work = next.work();
    assert!(refused(&seats, "10.0.0.3").await);
}

#[tokio::test]
async fn the_door_opens_again_when_a_seat_falls_free() {
    let seats = seats(1, 1);
    let seat = seats.take(ip("10.0.0.1")).await.unwrap();
    let work = seat.work();
    let (next, ()) = tokio::join!(seats.take(ip("10.0.0.2")), async {
        drop(work);
        drop(seat);
    });
    assert!(next.is_some());
    assert_eq!(seats.taken().seats.len(), 1);
}

#[tokio::test]
async fn an_address_takes_its_own_seats_and_no_others() {
    let seats = seats(10, 2);
    let other = seats.take(ip("2001:db8:0:2::1")).await.unwrap();
    let first = seats.take(ip("2001:db8:0:1::1")).await.unwrap();
    let second = seats.take(ip("2001:db8:0:1:ffff::2")).await.unwrap();
    let (one, two) = (first.work(), second.work());
    assert!(seats.take(ip("2001:db8:0:1::3")).await.is_none(), "both are worked for");
    drop(one);
    let third = seats.take(ip("2001:db8:0:1::3")).await.unwrap();
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
        assert_eq!(arrival.remote, client.unwrap().local_addr().unwrap());
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
    assert_eq!(arrival.remote, client.unwrap().local_addr().unwrap());
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

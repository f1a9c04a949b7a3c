//! Who has a place: so many connections overall, and so many of one address.

use std::{
    collections::{BTreeMap, HashMap},
    net::IpAddr,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

use tokio::{
    sync::Notify,
    time::{Instant, timeout},
};
use tokio_util::sync::CancellationToken;

use super::PAUSE;
use crate::domain::network::network_of;

/// All seats of a listener.
///
/// When none is free, the client that has kept us waiting longest - in its handshake, between two requests,
/// with its body, or in taking our answer - is dismissed for the newcomer. Waiting for somebody to leave
/// instead would let a few dozen addresses full of silent connections shut out everybody else for the length
/// of a deadline, again and again; dismissed like this they must be faster than every honest client, and
/// these reconnect without anybody noticing. Only while all are worked for does the door wait.
pub(super) struct Seats {
    pub(super) connections: usize,
    pub(super) per_address: usize,
    /// `since` counts from here.
    pub(super) epoch: Instant,
    pub(super) taken: Mutex<Taken>,
    pub(super) freed: Notify,
}

#[derive(Default)]
pub(super) struct Taken {
    last: u64,
    /// By number, hence by age.
    pub(super) seats: BTreeMap<u64, Holder>,
    pub(super) addresses: HashMap<IpAddr, usize>,
}

/// A seat that is taken, and the address it counts for: none for a trusted proxy, which comes for many.
pub(super) struct Holder {
    state: Arc<State>,
    address: Option<IpAddr>,
}

pub(super) struct State {
    number: u64,
    /// No request has come yet.
    fresh: AtomicBool,
    /// Requests whose answer isn't wholly sent.
    open: AtomicUsize,
    /// Handlers at work.
    working: AtomicUsize,
    /// Those of them that wait for the client's body.
    waiting: AtomicUsize,
    /// Milliseconds from the epoch to the last step forward.
    pub(super) since: AtomicU64,
    pub(super) dismissed: CancellationToken,
}

impl Seats {
    pub(super) fn new(connections: usize, per_address: usize) -> Arc<Self> {
        Arc::new(Self {
            connections,
            per_address,
            epoch: Instant::now(),
            taken: Mutex::default(),
            freed: Notify::new(),
        })
    }

    /// A seat, counted for that address if there is one; none if too many of that address are worked for.
    pub(super) async fn take(self: &Arc<Self>, ip: Option<IpAddr>) -> Option<Arc<Seat>> {
        let address = ip.map(network_of);
        loop {
            let freed = self.freed.notified();
            let full = {
                let mut taken = self.taken();
                if !self.has_room(&taken, address) {
                    // Behind one NAT address a newcomer is worth more than an idle neighbour.
                    if !taken.dismiss(|other| other == address) {
                        return None;
                    }
                } else if taken.seats.len() >= self.connections && !taken.dismiss(|_| true) {
                    // Nobody can be asked to leave.
                } else {
                    return Some(self.seat(&mut taken, address));
                }
                taken.seats.len() >= self.connections
            };
            if full {
                // A seat falls free, or one of those worked for begins to keep us waiting.
                let _ = timeout(PAUSE, freed).await;
            }
        }
    }

    fn has_room(&self, taken: &Taken, address: Option<IpAddr>) -> bool {
        let neighbours = address.and_then(|address| taken.addresses.get(&address)).copied().unwrap_or(0);
        neighbours < self.per_address
    }

    fn seat(self: &Arc<Self>, taken: &mut Taken, address: Option<IpAddr>) -> Arc<Seat> {
        taken.last += 1;
        let state = Arc::new(State {
            number: taken.last,
            fresh: AtomicBool::new(true),
            open: AtomicUsize::new(0),
            working: AtomicUsize::new(0),
            waiting: AtomicUsize::new(0),
            since: AtomicU64::new(0),
            dismissed: CancellationToken::new(),
        });
        taken.seats.insert(state.number, Holder { state: Arc::clone(&state), address });
        taken.count(address);
        let seat = Seat { state, seats: Arc::clone(self) };
        seat.touch();
        Arc::new(seat)
    }

    pub(super) fn dismiss(&self, among: impl Fn(Option<IpAddr>) -> bool) -> bool {
        self.taken().dismiss(among)
    }

    pub(super) fn taken(&self) -> MutexGuard<'_, Taken> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Taken {
    fn count(&mut self, address: Option<IpAddr>) {
        if let Some(address) = address {
            *self.addresses.entry(address).or_default() += 1;
        }
    }

    fn uncount(&mut self, address: Option<IpAddr>) {
        let Some(address) = address else { return };
        if let Some(count) = self.addresses.get_mut(&address) {
            *count -= 1;
            if *count == 0 {
                self.addresses.remove(&address);
            }
        }
    }

    /// Sends away the client that has kept us waiting longest, if there is one.
    fn dismiss(&mut self, among: impl Fn(Option<IpAddr>) -> bool) -> bool {
        let longest = self
            .seats
            .values()
            .filter(|Holder { state, address }| {
                state.working.load(Relaxed) <= state.waiting.load(Relaxed) && among(*address)
            })
            .min_by_key(|holder| holder.state.since.load(Relaxed))
            .map(|holder| Arc::clone(&holder.state));
        longest.is_some_and(|state| {
            state.dismissed.cancel();
            self.release(&state);
            true
        })
    }

    /// Done once for each seat: when it is dismissed or when it is dropped, whichever comes first.
    fn release(&mut self, state: &State) {
        if let Some(holder) = self.seats.remove(&state.number) {
            self.uncount(holder.address);
        }
    }
}

/// A connection's place, given back when dropped. Whoever serves the connection keeps the seat informed.
pub struct Seat {
    pub(super) state: Arc<State>,
    seats: Arc<Seats>,
}

/// What a connection is waiting for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// The first request.
    Fresh,
    /// Another request.
    Idle,
    /// The end of at least one request.
    Busy,
}

impl Seat {
    /// Counts the seat for that address from now on, since it is known now for whom a proxy comes. False if too many
    /// of that address are worked for: then the connection is to be closed.
    pub(super) fn belongs_to(&self, ip: IpAddr) -> bool {
        let address = Some(network_of(ip));
        let mut taken = self.seats.taken();
        if !self.seats.has_room(&taken, address) && !taken.dismiss(|other| other == address) {
            return false;
        }
        let Some(holder) = taken.seats.get_mut(&self.state.number) else { return false };
        let before = std::mem::replace(&mut holder.address, address);
        taken.uncount(before);
        taken.count(address);
        true
    }

    /// What the connection is waiting for, and since when.
    pub fn phase(&self) -> (Phase, Instant) {
        let phase = if self.state.open.load(Relaxed) > 0 {
            Phase::Busy
        } else if self.state.fresh.load(Relaxed) {
            Phase::Fresh
        } else {
            Phase::Idle
        };
        (phase, self.seats.epoch + Duration::from_millis(self.state.since.load(Relaxed)))
    }

    /// Something went forward.
    pub fn touch(&self) {
        let since = u64::try_from(self.seats.epoch.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.state.since.store(since, Relaxed);
    }

    /// A request came; it is over when the value is dropped.
    pub fn open(self: &Arc<Self>) -> Open {
        self.state.fresh.store(false, Relaxed);
        self.state.open.fetch_add(1, Relaxed);
        self.touch();
        Open(Arc::clone(self))
    }

    /// A handler works until the value is dropped.
    pub fn work(self: &Arc<Self>) -> Work {
        self.state.working.fetch_add(1, Relaxed);
        Work(Arc::clone(self))
    }

    /// A handler at work waits for the client's body until the value is dropped.
    pub fn wait(self: &Arc<Self>) -> Wait {
        self.state.waiting.fetch_add(1, Relaxed);
        Wait(Arc::clone(self))
    }

    /// Handlers at work.
    pub fn working(&self) -> usize {
        self.state.working.load(Relaxed)
    }

    /// Resolves when the seat is needed for somebody else: the connection is to be closed at once.
    pub async fn dismissed(&self) {
        self.state.dismissed.cancelled().await;
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.seats.taken().release(&self.state);
        self.seats.freed.notify_one();
    }
}

/// A request that isn't wholly answered.
pub struct Open(Arc<Seat>);

impl Open {
    /// A piece of the answer went out.
    pub fn touch(&self) {
        self.0.touch();
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.touch();
        self.0.state.open.fetch_sub(1, Relaxed);
    }
}

/// A handler at work.
pub struct Work(Arc<Seat>);

impl Drop for Work {
    fn drop(&mut self) {
        self.0.state.working.fetch_sub(1, Relaxed);
    }
}

/// A handler that waits for its client's body.
pub struct Wait(Arc<Seat>);

impl Drop for Wait {
    fn drop(&mut self) {
        self.0.state.waiting.fetch_sub(1, Relaxed);
    }
}

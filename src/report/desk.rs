//! Where questions are asked that may take a while: each is worked at in a task of its own, and who asks again is told how
//! far it is, or gets the answer. There are a few at a time; what nobody asks about any more is given up, as soon as the
//! same person asks something else.
//!
//! It must not know what is asked.

use std::{
    any::Any,
    pin::pin,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::{
    sync::{Notify, Semaphore, watch},
    task::{AbortHandle, JoinSet},
    time::{Instant, timeout},
};

use crate::{domain::admin::AdminId, flows::Error};

/// So many questions are worked at, at a time.
const MOST: usize = 4;
/// So many are worked at or wait for it.
const MOST_OPEN: usize = 16;
/// So many of one person.
const MOST_OF_ONE: usize = 4;
/// A page that waits for its rows asks again sooner than after so long: what was left meanwhile makes room for another.
const LEFT: Duration = Duration::from_secs(3);
/// So many tables are written as files at a time.
const EXPORTS: usize = 2;
/// So many answers are kept.
const MOST_KEPT: usize = 64;
/// So long an answer is kept.
const KEPT: Duration = Duration::from_secs(60);
/// So long somebody may be away before their question is given up.
const PATIENCE: Duration = Duration::from_secs(30);

/// How far it is.
#[derive(Debug, Default)]
pub struct Progress {
    seen: AtomicU64,
    total: AtomicU64,
}

impl Progress {
    /// So many of so many were looked at.
    pub fn tell(&self, seen: u64, total: u64) {
        self.seen.store(seen, Ordering::Relaxed);
        self.total.store(total, Ordering::Relaxed);
    }

    /// How many were looked at, of how many.
    pub fn so_far(&self) -> (u64, u64) {
        (self.seen.load(Ordering::Relaxed), self.total.load(Ordering::Relaxed))
    }
}

/// A question: who asks, and what; what is asked twice is answered once.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Question {
    /// Who asks.
    pub who: AdminId,
    /// What.
    pub what: String,
    /// Whether it is asked by the way: it waits while others are worked at, and its answer is kept, also if it came at once.
    pub is_aside: bool,
}

/// What came of asking.
#[derive(Debug)]
pub enum Reply<A> {
    /// The answer.
    Ready(Arc<A>),
    /// It is being worked at.
    UnderWay {
        /// How many rows were looked at.
        seen: u64,
        /// Of how many.
        total: u64,
    },
    /// Too many questions are being worked at.
    Busy,
}

type Answer = Result<Arc<dyn Any + Send + Sync>, Error>;

struct Asked {
    question: Question,
    progress: Arc<Progress>,
    answer: watch::Receiver<Option<Answer>>,
    again: Arc<Notify>,
    at: Instant,
    task: AbortHandle,
}

impl Asked {
    fn is_open(&self) -> bool {
        self.answer.borrow().is_none() && !self.task.is_finished()
    }
}

#[derive(Default)]
struct Inner {
    asked: Vec<Asked>,
    tasks: JoinSet<()>,
}

/// The desk; what is being worked at ends with it.
pub struct Desk {
    inner: Mutex<Inner>,
    turns: Arc<Semaphore>,
    /// How many are worked at that somebody waits for.
    awaited: Arc<watch::Sender<usize>>,
    /// So long somebody may be away before their question is given up.
    patience: Duration,
    /// So long a page may wait until it asks again.
    left: Duration,
    /// Who writes a table as a file.
    exporting: Arc<Mutex<Vec<AdminId>>>,
}

/// A turn at writing a table as a file; it ends with it.
#[derive(Debug)]
pub struct Turn {
    who: AdminId,
    exporting: Arc<Mutex<Vec<AdminId>>>,
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.exporting.lock().unwrap_or_else(PoisonError::into_inner).retain(|who| *who != self.who);
    }
}

/// Something that somebody waits for; it ends with it.
struct Awaited(Arc<watch::Sender<usize>>);

impl Awaited {
    fn begin(all: Arc<watch::Sender<usize>>) -> Self {
        all.send_modify(|count| *count += 1);
        Self(all)
    }
}

impl Drop for Awaited {
    fn drop(&mut self) {
        self.0.send_modify(|count| *count -= 1);
    }
}

/// Goes on with the work as long as nothing is awaited.
async fn while_none<T>(mut awaited: watch::Receiver<usize>, work: impl Future<Output = T>) -> T {
    let mut work = pin!(work);
    loop {
        // Nobody can wait any more where this fails.
        let _ = awaited.wait_for(|count| *count == 0).await;
        tokio::select! {
            biased;
            Ok(_) = awaited.wait_for(|count| *count > 0) => {}
            answer = &mut work => return answer,
        }
    }
}

impl Default for Desk {
    fn default() -> Self {
        Self {
            inner: Mutex::default(),
            turns: Arc::new(Semaphore::new(MOST)),
            awaited: Arc::default(),
            patience: PATIENCE,
            left: LEFT,
            exporting: Arc::default(),
        }
    }
}

impl Desk {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Asks, and waits so long for the answer. `work` is called only if nobody works at it.
    pub async fn ask<A, F>(
        &self,
        question: Question,
        wait: Duration,
        work: impl FnOnce(Arc<Progress>) -> F,
    ) -> Result<Reply<A>, Error>
    where
        A: Send + Sync + 'static,
        F: Future<Output = Result<A, Error>> + Send + 'static,
    {
        let Some((mut answer, progress, is_new)) = self.take(&question, work) else {
            return Ok(Reply::Busy);
        };
        let came = timeout(wait, answer.wait_for(Option::is_some)).await;
        let found = match came {
            Err(_) => {
                let (seen, total) = progress.so_far();
                return Ok(Reply::UnderWay { seen, total });
            }
            Ok(Ok(found)) => found.clone(),
            Ok(Err(_)) => None,
        };
        let found = found.unwrap_or_else(|| Err(Error::Internal("a search broke off".into())));
        if found.is_err() || is_new && !question.is_aside {
            self.lock().asked.retain(|asked| asked.question != question);
        }
        let wrong = |_| Error::Internal("an answer to something else".into());
        found.and_then(|answer| answer.downcast::<A>().map_err(wrong)).map(Reply::Ready)
    }

    /// The question among those that were asked; `None` if there is no room for it.
    fn take<A, F>(
        &self,
        question: &Question,
        work: impl FnOnce(Arc<Progress>) -> F,
    ) -> Option<(watch::Receiver<Option<Answer>>, Arc<Progress>, bool)>
    where
        A: Send + Sync + 'static,
        F: Future<Output = Result<A, Error>> + Send + 'static,
    {
        let mut inner = self.lock();
        inner.sweep();
        if let Some(asked) = inner.asked.iter_mut().find(|asked| asked.question == *question) {
            asked.at = Instant::now();
            asked.again.notify_one();
            return Some((asked.answer.clone(), Arc::clone(&asked.progress), false));
        }
        let own = |asked: &&Asked| asked.is_open() && asked.question.who == question.who;
        if inner.asked.iter().filter(own).count() >= MOST_OF_ONE {
            let left = inner.asked.iter().filter(own).min_by_key(|asked| asked.at);
            let left = left.filter(|asked| asked.at.elapsed() >= self.left)?.question.clone();
            inner.give_up(|asked| asked.question == left);
        }
        if inner.asked.iter().filter(|asked| asked.is_open()).count() >= MOST_OPEN {
            return None;
        }
        let (told, answer) = watch::channel(None);
        let progress = Arc::<Progress>::default();
        let again = Arc::<Notify>::default();
        let (work, turns) = (work(Arc::clone(&progress)), Arc::clone(&self.turns));
        let (awaited, is_aside) = (Arc::clone(&self.awaited), question.is_aside);
        let work = async move {
            let _turn = turns.acquire_owned().await;
            if is_aside {
                return while_none(awaited.subscribe(), work).await;
            }
            let _awaited = Awaited::begin(awaited);
            work.await
        };
        let asked_again = Arc::clone(&again);
        let patience = self.patience;
        let task = inner.tasks.spawn(async move {
            let forgotten = async { while timeout(patience, asked_again.notified()).await.is_ok() {} };
            tokio::select! {
                answer = work => {
                    let _ = told.send(Some(answer.map(|answer| Arc::new(answer) as Arc<dyn Any + Send + Sync>)));
                }
                () = forgotten => {}
            }
        });
        let (known, at) = (answer.clone(), Instant::now());
        let question = question.clone();
        inner.asked.push(Asked { question, progress: Arc::clone(&progress), answer: known, again, at, task });
        Some((answer, progress, true))
    }

    /// A turn at writing a table as a file; `None` while others have all of them, or they one.
    pub fn export(&self, who: &AdminId) -> Option<Turn> {
        let mut exporting = self.exporting.lock().unwrap_or_else(PoisonError::into_inner);
        if exporting.contains(who) || exporting.len() >= EXPORTS {
            return None;
        }
        exporting.push(who.clone());
        Some(Turn { who: who.clone(), exporting: Arc::clone(&self.exporting) })
    }

    /// Gives up what somebody asked, and forgets what was answered: it is otherwise now.
    pub fn forget(&self, who: &AdminId) {
        self.lock().give_up(|asked| asked.question.who == *who);
    }
}

impl Inner {
    fn give_up(&mut self, which: impl Fn(&Asked) -> bool) {
        self.asked.extract_if(.., |asked| which(asked)).for_each(|asked| asked.task.abort());
    }

    fn sweep(&mut self) {
        while self.tasks.try_join_next().is_some() {}
        self.asked
            .retain(|asked| asked.is_open() || asked.answer.borrow().is_some() && asked.at.elapsed() < KEPT);
        let excess = self.asked.len().saturating_sub(MOST_KEPT);
        self.asked.drain(..excess).for_each(|asked| asked.task.abort());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::account::{AccountKey, DomainName, ObjectGuid};

    /// Longer than a test may take.
    const LONG: Duration = Duration::from_secs(600);

    fn question(what: &str) -> Question {
        Question { who: AdminId::Local, what: what.into(), is_aside: false }
    }

    async fn ask(desk: &Desk, what: &str, gate: &Arc<Notify>, wait: Duration) -> Reply<String> {
        let (gate, text) = (Arc::clone(gate), what.to_owned());
        let work = |progress: Arc<Progress>| {
            progress.tell(1, 2);
            async move {
                gate.notified().await;
                Ok(text)
            }
        };
        desk.ask(question(what), wait, work).await.unwrap()
    }

    #[test]
    fn nobody_has_two_turns_at_exporting() {
        let account = |number| {
            AdminId::Account(AccountKey {
                domain: DomainName::new("corp.example"),
                guid: ObjectGuid::from_bytes([number; 16]),
            })
        };
        let desk = Desk::default();
        let first = desk.export(&account(1));
        assert!(first.is_some() && desk.export(&account(1)).is_none());
        let second = desk.export(&account(2));
        assert!(second.is_some() && desk.export(&account(3)).is_none());
        drop(first);
        assert!(desk.export(&account(3)).is_some());
    }

    #[tokio::test]
    async fn who_asks_again_gets_the_answer_that_was_not_there_at_first() {
        let (desk, gate) = (Desk::default(), Arc::<Notify>::default());
        for _ in 0..2 {
            let reply = ask(&desk, "a", &gate, Duration::ZERO).await;
            assert!(matches!(reply, Reply::UnderWay { seen: 1, total: 2 }));
        }
        gate.notify_one();
        for _ in 0..2 {
            assert!(matches!(ask(&desk, "a", &gate, LONG).await, Reply::Ready(text) if *text == "a"));
        }
        // What came at once is looked for anew the next time: it may be otherwise by then.
        gate.notify_one();
        assert!(matches!(ask(&desk, "b", &gate, LONG).await, Reply::Ready(_)));
        assert!(matches!(ask(&desk, "b", &gate, Duration::ZERO).await, Reply::UnderWay { .. }));
        desk.forget(&AdminId::Local);
        assert!(desk.lock().asked.is_empty());
    }

    #[tokio::test]
    async fn what_is_asked_by_the_way_waits_while_somebody_waits() {
        let (desk, gate) = (Desk::default(), Arc::<Notify>::default());
        assert!(matches!(ask(&desk, "a", &gate, Duration::ZERO).await, Reply::UnderWay { .. }));
        let aside = || async {
            let question = Question { is_aside: true, ..question("aside") };
            desk.ask(question, Duration::from_millis(50), |_| async { Ok(1) }).await.unwrap()
        };
        for _ in 0..2 {
            assert!(matches!(aside().await, Reply::UnderWay { .. }));
        }
        gate.notify_one();
        assert!(matches!(ask(&desk, "a", &gate, LONG).await, Reply::Ready(_)));
        assert!(matches!(aside().await, Reply::Ready(one) if *one == 1));
        assert_eq!(*desk.awaited.borrow(), 0);
    }

    #[tokio::test]
    async fn what_nobody_asks_about_is_given_up() {
        let desk = Desk { patience: Duration::from_millis(1), ..Desk::default() };
        let gate = Arc::<Notify>::default();
        assert!(matches!(ask(&desk, "a", &gate, Duration::ZERO).await, Reply::UnderWay { .. }));
        while !desk.lock().asked.iter().all(|asked| asked.task.is_finished()) {
            tokio::task::yield_now().await;
        }
        assert!(matches!(ask(&desk, "b", &gate, Duration::ZERO).await, Reply::UnderWay { .. }));
        assert_eq!(desk.lock().asked.len(), 1);
    }

    #[tokio::test]
    async fn what_somebody_left_makes_room_for_what_they_ask_now() {
        let (mut desk, gate) = (Desk::default(), Arc::<Notify>::default());
        for what in ["a", "b", "c", "d"] {
            assert!(matches!(ask(&desk, what, &gate, Duration::ZERO).await, Reply::UnderWay { .. }));
        }
        assert!(matches!(ask(&desk, "e", &gate, Duration::ZERO).await, Reply::Busy));
        desk.left = Duration::ZERO;
        // This one is still wanted.
        assert!(matches!(ask(&desk, "a", &gate, Duration::ZERO).await, Reply::UnderWay { .. }));
        assert!(matches!(ask(&desk, "e", &gate, Duration::ZERO).await, Reply::UnderWay { .. }));
        let left: Vec<_> = desk.lock().asked.iter().map(|asked| asked.question.what.clone()).collect();
        assert_eq!(left, ["a", "c", "d", "e"]);
    }

    #[tokio::test]
    async fn a_failure_is_told_and_not_kept() {
        let desk = Desk::default();
        for _ in 0..2 {
            let fails = |_| async { Err::<(), _>(Error::Internal("no".into())) };
            assert!(desk.ask(question("a"), LONG, fails).await.is_err());
        }
        assert!(desk.lock().asked.is_empty());
    }
}

//! The demo directory, misbehaving on order, and counting what it is asked to do.

use std::sync::{
    Mutex, PoisonError,
    atomic::{AtomicUsize, Ordering},
};

use async_trait::async_trait;

use crate::{
    directory::{
        Directory, Error, Finding, Group, Groups, PasswordCheck, Refused, ResetOptions, Seen,
        demo::DemoDirectory,
    },
    domain::{
        account::{Account, Domain, LogonName, ObjectGuid},
        password_rules::PasswordPolicy,
        secret::Password,
    },
};

/// How the directory behaves until it is told otherwise.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum DirectoryMood {
    /// As it should.
    #[default]
    Well,
    /// No controller answers, whatever is asked.
    Unavailable,
    /// Reading works, checks of passwords and writes find no controller.
    ReadsOnly,
    /// It answers, but shows no account by its objectGUID.
    ShowsNobody,
    /// Finding a name works, loading an account again does not.
    LoadsFail,
    /// A write is lost on the way there.
    WritesLost,
    /// A write is carried out; its answer is lost on the way back.
    WritesUnanswered,
    /// A write is refused.
    WritesRefused(Refused),
    /// A write is carried out, and then nothing is heard for ever.
    WritesHang,
    /// A write gets nowhere, and nothing is heard for ever.
    WritesHangUndone,
}

/// A directory with moods.
pub struct MoodyDirectory {
    demo: DemoDirectory,
    mood: Mutex<DirectoryMood>,
    writes: AtomicUsize,
    checks: AtomicUsize,
}

impl MoodyDirectory {
    pub(super) fn new(demo: DemoDirectory) -> Self {
        Self { demo, mood: Mutex::default(), writes: AtomicUsize::new(0), checks: AtomicUsize::new(0) }
    }

    /// The directory itself, in no mood.
    pub const fn demo(&self) -> &DemoDirectory {
        &self.demo
    }

    /// Behaves like that from now on.
    pub fn behave(&self, mood: DirectoryMood) {
        *self.mood.lock().unwrap_or_else(PoisonError::into_inner) = mood;
    }

    /// How many writes were asked for.
    pub fn writes(&self) -> usize {
        self.writes.load(Ordering::SeqCst)
    }

    /// How many passwords were to be checked (those of a change are not among them).
    pub fn checks(&self) -> usize {
        self.checks.load(Ordering::SeqCst)
    }

    fn mood(&self) -> DirectoryMood {
        *self.mood.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn down<T>() -> Result<T, Error> {
        Err(Error::Unavailable("no controller answers".into()))
    }

    async fn write(&self, carry_out: impl Future<Output = Result<(), Error>> + Send) -> Result<(), Error> {
        self.writes.fetch_add(1, Ordering::SeqCst);
        let unknown = || Err(Error::OutcomeUnknown("the connection broke".into()));
        match self.mood() {
            DirectoryMood::Well | DirectoryMood::LoadsFail | DirectoryMood::ShowsNobody => carry_out.await,
            DirectoryMood::Unavailable | DirectoryMood::ReadsOnly => Self::down(),
            DirectoryMood::WritesLost => unknown(),
            DirectoryMood::WritesUnanswered => {
                carry_out.await?;
                unknown()
            }
            DirectoryMood::WritesRefused(refused) => Err(Error::Refused(refused, "as ordered".into())),
            DirectoryMood::WritesHang => {
                carry_out.await?;
                std::future::pending().await
            }
            DirectoryMood::WritesHangUndone => std::future::pending().await,
        }
    }
}

#[async_trait]
impl Directory for MoodyDirectory {
    fn domain(&self) -> &Domain {
        self.demo.domain()
    }

    async fn find(&self, name: &LogonName) -> Result<Option<Account>, Error> {
        if self.mood() == DirectoryMood::Unavailable { Self::down() } else { self.demo.find(name).await }
    }

    async fn load(&self, guid: ObjectGuid) -> Result<Option<Account>, Error> {
        match self.mood() {
            DirectoryMood::Unavailable | DirectoryMood::LoadsFail => Self::down(),
            DirectoryMood::ShowsNobody => Ok(None),
            _ => self.demo.load(guid).await,
        }
    }

    async fn list(&self) -> Result<Vec<ObjectGuid>, Error> {
        if self.mood() == DirectoryMood::Unavailable { Self::down() } else { self.demo.list().await }
    }

    async fn existing(&self, guids: &[ObjectGuid]) -> Result<Vec<ObjectGuid>, Error> {
        match self.mood() {
            DirectoryMood::Unavailable => Self::down(),
            DirectoryMood::ShowsNobody => Ok(Vec::new()),
            _ => self.demo.existing(guids).await,
        }
    }

    async fn policy(&self) -> Result<PasswordPolicy, Error> {
        if self.mood() == DirectoryMood::Unavailable { Self::down() } else { self.demo.policy().await }
    }

    async fn probe(&self) -> Result<(), Error> {
        if self.mood() == DirectoryMood::Unavailable { Self::down() } else { self.demo.probe().await }
    }

    async fn find_groups(&self, wanted: Groups<'_>) -> Result<Vec<Group>, Error> {
        let is_down = self.mood() == DirectoryMood::Unavailable;
        if is_down { Self::down() } else { self.demo.find_groups(wanted).await }
    }

    async fn verify_password(&self, account: &Account, password: &Password) -> Result<PasswordCheck, Error> {
        self.checks.fetch_add(1, Ordering::SeqCst);
        match self.mood() {
            DirectoryMood::Unavailable | DirectoryMood::ReadsOnly => Self::down(),
            _ => self.demo.verify_password(account, password).await,
        }
    }

    async fn change_password(&self, account: &Account, old: &Password, new: &Password) -> Result<(), Error> {
        self.write(self.demo.change_password(account, old, new)).await
    }

    async fn reset_password(
        &self,
        account: &Account,
        new: &Password,
        options: ResetOptions,
    ) -> Result<(), Error> {
        self.write(self.demo.reset_password(account, new, options)).await
    }

    async fn unlock(&self, account: &Account) -> Result<(), Error> {
        self.write(self.demo.unlock(account)).await
    }

    fn controllers(&self) -> Vec<(String, bool)> {
        let answers = self.mood() != DirectoryMood::Unavailable;
        self.demo.controllers().into_iter().map(|(name, _)| (name, answers)).collect()
    }

    async fn survey(&self) -> Result<Vec<Seen>, Error> {
        if self.mood() == DirectoryMood::Unavailable { Self::down() } else { self.demo.survey().await }
    }

    async fn names(&self) -> Result<Domain, Error> {
        if self.mood() == DirectoryMood::Unavailable { Self::down() } else { self.demo.names().await }
    }

    async fn examine(&self) -> Vec<Finding> {
        self.demo.examine().await
    }
}

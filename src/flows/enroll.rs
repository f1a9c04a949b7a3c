//! Enrolling: the password proves who it is, questions and answers are kept for the day it is forgotten.

use std::sync::Arc;

use super::{
    Error, Next, Services, Visitor, answer, attempt,
    dispatch::{Dispatch, Occasion},
    event,
    identify::Identified,
    methods, note, outbox, random, require_permitted,
};
use crate::{
    directory::PasswordCheck,
    domain::{
        account::{Account, AccountKey},
        answer::{Answer, AnswerHash},
        audit::Outcome,
        clock::Timestamp,
        contact::EmailAddress,
        enrollment::{EnrolledQuestion, Enrollment, Question},
        field::{Field, Problem, Problems},
        flow::{Adding, Ending, Factor, Flow, Kind, Methods, NewAddress, Step},
        lockout::{Subject, Tally},
        message::Channel,
        refusal::Refusal,
        secret::{Password, SecretText},
    },
    flows::{session::SessionId, write},
    settings::Settings,
    store::{self, Found},
};

/// What a person enrolls with, in order.
#[derive(Debug)]
pub struct Answers {
    /// Questions and answers.
    pub pairs: Vec<(Question, Answer)>,
    /// The e-mail address, if one was asked for and given.
    pub email: Option<EmailAddress>,
}

/// Judges questions and answers as given: the last of them in the person's own words, if so many are wanted, the others
/// from the lists; all different, and good enough together. What is wrong is added to the problems.
pub fn judge(
    settings: &Settings,
    username: &str,
    given: impl IntoIterator<Item = (Result<String, Problem>, Result<SecretText, Problem>)>,
    problems: &mut Problems,
) -> Vec<(Question, Answer)> {
    let (count, own) = (settings.questions(), settings.enroll.own_questions);
    let (mut questions, mut answers) = (Vec::new(), Vec::new());
    for (n, (text, answer)) in (1..=u8::try_from(count).unwrap_or(u8::MAX)).zip(given) {
        let text = problems.keep(Field::Question(n), text).unwrap_or_default();
        let question = if u32::from(n) + own > count {
            Question::write(&text)
        } else {
            Question::choose(&text, settings.enroll.all_questions())
        };
        let question = problems.keep(Field::Question(n), question);
        if question.is_some() && questions.contains(&question) {
            problems.push(Field::Question(n), Problem::QuestionRepeated);
        }
        questions.push(question);
        let answer = answer.and_then(|text| Answer::parse(&text));
        answers.push((text, problems.keep(Field::Answer(n), answer)));
    }
    let minimum = settings.enroll.minimum_answer_length as usize;
    Answer::judge_all(&answers, minimum, username, problems);
    let answers = answers.into_iter().map(|(_, answer)| answer);
    questions.into_iter().zip(answers).filter_map(|(question, answer)| Some((question?, answer?))).collect()
}

/// The first page: name and password, mostly with the answers on the same page. `answers` is what came with it:
/// nothing at all, something wanting, or all that is needed.
pub async fn begin(
    services: &Services,
    visitor: &Visitor,
    who: Identified,
    password: Password,
    answers: Option<Result<Answers, Problems>>,
) -> Result<Next, Error> {
    let directory = services.directory(&who.domain)?;
    let found = directory.find(&who.name).await?;
    let subject = services.subject_of(found.as_ref(), &who.domain, &who.name.canonical());
    let turn = services.turns.of(&subject).await;
    let tried =
        attempt::try_password(services, &*directory, (&subject, &turn), found.as_ref(), &password).await?;
    drop(turn);
    let Some((account, check)) = tried else {
        return refuse_password(services, visitor, &who, found.as_ref(), answers).await;
    };
    match check {
        PasswordCheck::Wrong | PasswordCheck::LockedOut => {
            return refuse_password(services, visitor, &who, Some(&account), answers).await;
        }
        PasswordCheck::RightButDisabled => return Err(Error::Refused(Refusal::AccountDisabled)),
        PasswordCheck::RightButAccountExpired => return Err(Error::Refused(Refusal::AccountExpired)),
        PasswordCheck::Right | PasswordCheck::RightButMustChange | PasswordCheck::RightButRestricted => {}
    }
    require_permitted(services, Kind::Enroll, &account).map_err(Error::Refused)?;

    // Proved: the rest happens under a session nobody could have planted.
    let fresh = SessionId::new()?;
    let owner = Visitor { session: fresh.clone(), ..visitor.clone() };
    let now = services.now();
    let settings = services.settings.load_full();
    let is_settled = is_settled(services, &account.key).await?;
    // Where nothing more is asked for, name and password are all it takes.
    let asks_more = settings.questions() > 0 || settings.enroll.ask_email;
    let answers = match answers {
        None if !is_settled && !asks_more => Some(Ok(Answers { pairs: Vec::new(), email: None })),
        other => other,
    };
    let step = if answers.is_none() && is_settled {
        Step::Methods(methods::overview(&account, None)?)
    } else {
        Step::Questions { account: account.key.clone(), password_set: account.password_last_set }
    };
    let flow = Flow {
        nonce: random()?,
        started_at: now,
        touched_at: now,
        username: account.qualified_name(),
        domain: who.domain,
        proved: Vec::new(),
        stamp: None,
        no_address: false,
        parked: Vec::new(),
        step,
    };
    let batch = services.store.batch().put(&visitor.key(Kind::Enroll), &flow.moved(now));
    batch.insert(&owner.key(Kind::Enroll), &flow).commit().await?;
    match answers {
        None => Ok(Next::Moved(Some(fresh))),
        Some(Err(problems)) => {
            let code = problems.code();
            let failure = write::audit(services, &owner, Kind::Enroll, Outcome::Failure, &account, code);
            note(services, failure, owner.language.as_deref()).await;
            Ok(Next::Wrong(problems, Some(fresh)))
        }
        Some(Ok(answers)) => {
            keep(services, &owner, account, answers).await?;
            Ok(Next::Moved(Some(fresh)))
        }
    }
}

/// Whether a person has enrolled before and has nothing to do but to look after the ways of proving themselves. Who is
/// locked out has to enroll again.
async fn is_settled(services: &Services, account: &AccountKey) -> Result<bool, Error> {
    let settings = services.settings.load_full();
    if !methods::are_offered(&settings) {
        return Ok(false);
    }
    if is_locked(services, account).await? {
        return Ok(false);
    }
    let enrollment = services.store.find::<Enrollment>(account).await?;
    Ok(enrollment.is_some_and(|enrollment| {
        !enrollment.automatic && (!settings.methods.questions || enrollment.has(Factor::Questions))
    }))
}

/// Whether too many wrong tries have closed resets and unlocks.
pub(super) async fn is_locked(services: &Services, account: &AccountKey) -> Result<bool, Error> {
    let lockout = services.settings.load().security.wrong_answers_until_lockout;
    let tally = services.store.find::<Tally>(&Subject::Known(account.clone())).await?;
    Ok(tally.is_some_and(|tally| tally.is_locked(lockout)))
}

/// The address that is kept from now on, whether it is confirmed, and the one that has to be confirmed first.
fn address(
    services: &Services,
    old: Option<&Enrollment>,
    given: Option<&EmailAddress>,
) -> (Option<EmailAddress>, bool, Option<EmailAddress>) {
    let settings = services.settings.load();
    let known = old.and_then(|old| old.email.clone());
    let is_confirmed = old.is_some_and(|old| old.email_confirmed);
    match given {
        // Not asked for, so not taken away.
        None if !settings.enroll.ask_email => (known, is_confirmed, None),
        Some(given) if known.as_ref() == Some(given) && is_confirmed => (known, true, None),
        Some(given)
            if settings.enroll.confirm_email && services.notifier.delivers(&settings, Channel::Mail) =>
        {
            (known, is_confirmed, Some(given.clone()))
        }
        given => (given.cloned(), false, None),
    }
}

async fn refuse_password(
    services: &Services,
    visitor: &Visitor,
    who: &Identified,
    account: Option<&Account>,
    answers: Option<Result<Answers, Problems>>,
) -> Result<Next, Error> {
    let code = Problem::NameOrPasswordWrong.code();
    let mut failure =
        event(services, visitor, Kind::Enroll, Outcome::Failure, (&who.typed, &who.domain), code);
    failure.account = account.map(|account| account.key.guid);
    note(services, failure, visitor.language.as_deref()).await;
    let mut problems = Problems::of(Field::Password, Problem::NameOrPasswordWrong);
    if let Some(Err(more)) = answers {
        problems.extend(&more);
    }
    Ok(Next::Wrong(problems, None))
}

/// The second page: questions and answers of the account that was proved.
pub async fn finish(
    services: &Services,
    visitor: &Visitor,
    flow: Found<Flow>,
    answers: Answers,
) -> Result<Next, Error> {
    let Step::Questions { account, password_set } = &flow.step else { return Ok(Next::Moved(None)) };
    let found = services.directory(&account.domain)?.load(account.guid).await?;
    let Some(found) = found else { return Err(Error::Refused(Refusal::AccountNotServed)) };
    require_permitted(services, Kind::Enroll, &found).map_err(Error::Refused)?;
    if found.password_last_set != *password_set {
        return Err(Error::Refused(Refusal::SessionExpired));
    }
    keep(services, visitor, found, answers).await?;
    Ok(Next::Moved(None))
}

/// The questions of an enrollment that exists, to be chosen again; told only to who has proved to be its owner.
pub async fn present(services: &Services, account: &AccountKey) -> Result<Option<Enrollment>, Error> {
    Ok(services.store.find::<Enrollment>(account).await?.map(Found::into_inner))
}

/// Hashes the answers, one after the other.
pub(super) async fn hashed(
    services: &Services,
    pairs: Vec<(Question, Answer)>,
) -> Result<Vec<EnrolledQuestion>, Error> {
    let cost = answer::hash_cost(services);
    let mut questions = Vec::with_capacity(pairs.len());
    for (question, answer) in pairs {
        let (salt, keys) = (random()?, Arc::clone(&services.keys));
        let hash = services
            .hashing
            .run(move || AnswerHash::make(&answer, salt, cost, &keys.pepper))
            .await?
            .map_err(|e| Error::Internal(e.to_string()))?;
        questions.push(EnrolledQuestion { question, hash });
    }
    Ok(questions)
}

/// The enrollment that takes the place of the old one: with these questions, and all else as it was.
pub(super) fn renewed(
    old: Option<&Enrollment>,
    account: &Account,
    questions: Vec<EnrolledQuestion>,
    now: Timestamp,
) -> Enrollment {
    let before = old.cloned().unwrap_or_else(|| Enrollment::blank(String::new(), now));
    Enrollment {
        account_name: account.sam_account_name.clone(),
        questions,
        automatic: false,
        enrolled_at: now,
        revision: before.revision.wrapping_add(1),
        ..before
    }
}

async fn keep(
    services: &Services,
    visitor: &Visitor,
    account: Account,
    answers: Answers,
) -> Result<(), Error> {
    let key = visitor.key(Kind::Enroll);
    let questions = hashed(services, answers.pairs).await?;
    let subject = Subject::Known(account.key.clone());
    let settings = services.settings.load_full();
    let done = write::audit(services, visitor, Kind::Enroll, Outcome::Success, &account, "");
    loop {
        let Some(flow) = services.store.find::<Flow>(&key).await? else {
            return Err(Error::Refused(Refusal::SessionExpired));
        };
        // A double click: the other one was faster.
        if !matches!(&flow.step, Step::Questions { account: proved, .. } if *proved == account.key) {
            return Ok(());
        }
        let old = services.store.find::<Enrollment>(&account.key).await?;
        let now = services.now();
        let (email, email_confirmed, new_address) = address(services, old.as_deref(), answers.email.as_ref());
        let enrollment = Enrollment {
            email,
            email_confirmed,
            language: visitor.language.clone(),
            ..renewed(old.as_deref(), &account, questions.clone(), now)
        };
        let counted = services.store.find::<Tally>(&subject).await?;
        let mut tally = counted.clone().map(Found::into_inner).unwrap_or_default();
        let cleared_lockout = tally.locked_at.is_some();
        tally.forgive_answers();
        tally.forgive_codes();
        let mut dispatch = None;
        let step = if let Some(address) = new_address {
            let (occasion, known) = (Occasion::of(&flow, Kind::Enroll), (&account, Some(&enrollment)));
            let made = Dispatch::to_address(services, visitor, occasion, known, &address, 0)?;
            let adding = Some(Adding::Address(Box::new(NewAddress { address, awaited: made.step.clone() })));
            dispatch = Some(made);
            let overview = methods::overview(&account, Some(cleared_lockout))?;
            Step::Methods(Methods { adding, ..overview })
        } else if methods::are_offered(&settings) {
            Step::Methods(methods::overview(&account, Some(cleared_lockout))?)
        } else {
            Step::Finished(Ending::Enrolled { cleared_lockout })
        };
        let finished = Flow { step, touched_at: now, ..flow.clone().into_inner() };
        let batch = services
            .store
            .batch()
            .write(&account.key, old.as_ref(), &enrollment)
            .write(&subject, counted.as_ref(), &tally)
            .replace(&key, &flow, &finished);
        // Whoever put another address in place of it must not be the only one to hear of that.
        let former = old
            .as_ref()
            .and_then(|old| old.email.clone())
            .filter(|old| Some(old) != enrollment.email.as_ref());
        let page_language = visitor.language.as_deref();
        let batch = outbox::record_with(services, batch, &done, page_language, former);
        let batch = dispatch.iter().fold(batch, |batch, dispatch| dispatch.added_to(batch));
        match batch.commit().await {
            Ok(()) => return Ok(()),
            Err(store::Error::Conflict) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

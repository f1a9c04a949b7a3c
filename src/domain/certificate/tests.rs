//! Names, waits, renewals, alarms.

use super::*;

const HOUR: Duration = Duration::from_secs(60 * 60);
const NOW: Timestamp = Timestamp::from_millis(1_795_470_405_000);

#[test]
fn names_are_host_names_and_what_is_none_is_told() {
    for good in ["reset.corp.example", "Reset.Corp.Example.", "xn--mnchen-3ya.example", "reset", "1.example"]
    {
        assert_eq!(check_name(good), Ok(()), "{good}");
    }
    let long = format!("{}.example", "a".repeat(64));
    for (bad, told) in [
        ("*.corp.example", "wildcard"),
        ("192.0.2.1", "address"),
        ("2001:db8::1", "address"),
        ("[::1]", "address"),
        ("reset.example:8443", "port"),
        ("https://reset.example", "port"),
        ("münchen.example", "xn--"),
        ("", "host name"),
        (".", "host name"),
        ("a..example", "host name"),
        ("-a.example", "host name"),
        ("a_b.example", "host name"),
        ("corp.123", "host name"),
        (&long, "host name"),
    ] {
        let fault = check_name(bad).unwrap_err();
        assert!(fault.contains(told), "{bad}: {fault}");
    }
    assert_eq!(tidy(["B.example.", "a.example", "b.example"]), ["b.example", "a.example"]);
}

#[test]
fn failures_wait_ever_longer_and_never_burn_the_limit_of_a_public_authority() {
    let (hour, day) = (HOUR.as_secs(), DAY.as_secs());
    for cause in Cause::ALL {
        let mut standing = Standing::default();
        let (mut now, mut tried) = (NOW, Vec::new());
        while now < NOW + DAY * 3 {
            tried.push(now.since(NOW).as_secs());
            standing.tried_at = Some(now);
            standing.fail(Trouble::new(cause, ""), now);
            assert!(standing.free_at(now) > now);
            now = standing.free_at(now);
        }
        let orders = !matches!(cause, Cause::Store | Cause::Nameless);
        for (index, from) in tried.iter().enumerate().filter(|_| orders) {
            let within = |span| tried[index..].iter().take_while(|at| **at - from < span).count();
            assert!(within(hour) <= TRIES.0 as usize, "{cause:?}: {tried:?}");
            assert!(within(day) <= TRIES.1 as usize, "{cause:?}: {tried:?}");
        }
    }
    let mut standing = Standing::default();
    for minutes in [15, 30, 60, 120, 240, 480, 720, 720] {
        standing.fail(Trouble::new(Cause::Validation, ""), NOW);
        assert_eq!(standing.free_at(NOW), NOW + MINUTE * minutes);
    }
}

#[test]
fn a_limit_is_kept_until_the_authority_says_and_no_longer_than_a_week() {
    let limited = |text: &str| Trouble::new(Cause::Limited, text).next_try(1, NOW).since(NOW);
    assert_eq!(limited("too many"), HOUR * 3);
    let said = "too many failed authorizations (5), retry after 2026-11-24 21:46:45 UTC: see https://x";
    assert_eq!(limited(said), DAY + MINUTE);
    assert_eq!(limited("retry after 2026-11-23 21:46:46 UTC"), HOUR * 3);
    assert_eq!(limited("retry after 2999-01-01 00:00:00 UTC"), LONGEST_LIMIT);
    assert_eq!(limited("retry after soon, ünd so on and on"), HOUR * 3);
    let other = Trouble::new(Cause::Refused, said);
    assert_eq!(other.next_try(1, NOW).since(NOW), MINUTE * 15);
}

#[test]
fn a_clock_that_was_ahead_holds_nothing_up() {
    let mut standing = Standing { tried_at: Some(NOW), ..Standing::default() };
    standing.fail(Trouble::new(Cause::Limited, ""), NOW);
    assert_eq!(standing.free_at(NOW + MINUTE), NOW + HOUR * 3);
    let earlier = Timestamp::from_millis(NOW.millis() - 1000);
    assert_eq!(standing.free_at(earlier), earlier);
}

#[test]
fn one_is_due_when_a_third_is_left_or_when_something_else_is_wanted() {
    let validity = Validity { from: NOW, until: NOW + DAY * 90 };
    let held = Held { directory: "d".into(), names: vec!["b".into(), "a".into()], validity };
    let mut wanted = Wanted {
        directory: "d".into(),
        roots: None,
        contact: None,
        names: vec!["a".into(), "b".into()],
        challenge: Challenge::TlsAlpn01,
    };
    assert_eq!(held.due_at(&wanted, NOW), NOW + DAY * 60);
    wanted.challenge = Challenge::Http01;
    assert_eq!(held.due_at(&wanted, NOW), NOW + DAY * 60);
    wanted.names.pop();
    assert_eq!(held.due_at(&wanted, NOW), NOW);
    wanted.names.push("b".into());
    wanted.directory = "e".into();
    assert_eq!(held.due_at(&wanted, NOW), NOW);
}

#[test]
fn alarms_are_given_at_14_7_and_3_days_once_each() {
    let validity = Validity { from: NOW, until: NOW + DAY * 90 };
    let left = |days: u32| NOW + DAY * (90 - days);
    for (days, alarm) in [
        (90, None),
        (15, None),
        (14, Some(14)),
        (8, Some(14)),
        (7, Some(7)),
        (4, Some(7)),
        (3, Some(3)),
        (0, Some(3)),
    ] {
        assert_eq!(validity.alarm(left(days)), alarm, "{days}");
    }
    assert_eq!((validity.days_left(left(14)), validity.days_left(left(0) + MINUTE)), (14, -1));
    let given = Alarmed { fingerprint: "x".into(), days: 7 };
    assert!(given.is_news("y", 14) && given.is_news("x", 3) && !given.is_news("x", 7));
    assert!(!given.is_news("x", 14), "the clock was set back");
    // None before the renewal is due.
    for days in [1, 6, 30, 45, 90] {
        let validity = Validity { from: NOW, until: NOW + DAY * days };
        assert_eq!(validity.alarm(validity.renew_at()), None, "{days}");
        assert_eq!(validity.alarm(validity.until), Some(3), "{days}");
    }
}

#[test]
fn what_an_authority_says_is_one_line_of_bounded_length() {
    let trouble = Trouble::new(Cause::Refused, &format!("a\r\nb\0{}", "ü".repeat(5000)));
    assert!(trouble.text.starts_with("a  b ") && trouble.text.chars().count() == 500);
}

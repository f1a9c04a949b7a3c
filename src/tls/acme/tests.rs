//! What is told of what goes wrong.

use super::*;

fn told(error: &AcmeError) -> (Cause, String) {
    let trouble = trouble(error);
    (trouble.cause, trouble.text)
}

/// An error as the library words it.
fn answer(status: u16, body: &str) -> AcmeError {
    io::Error::other(format!("http request error: non 2xx http status: {status} {body:?}")).into()
}

#[test]
fn an_authoritys_answer_is_told_by_its_problem_and_anything_else_by_its_status() {
    let document = |kind: &str, detail: &str| {
        format!("{{\"type\":\"urn:ietf:params:acme:error:{kind}\",\"detail\":\"{detail}\",\"status\":400}}")
    };
    for (status, kind, cause) in [
        (429, "rateLimited", Cause::Limited),
        (400, "externalAccountRequired", Cause::Binding),
        (400, "rejectedIdentifier", Cause::Refused),
        (403, "unauthorized", Cause::Refused),
        (500, "serverInternal", Cause::Unreachable),
    ] {
        let said = told(&answer(status, &document(kind, "it's “so”\\n here")));
        assert_eq!(said, (cause, format!("{kind}: it's “so”  here")), "{kind}");
    }
    assert!(is_about_nonce(&answer(400, &document("badNonce", "x"))));
    assert!(!is_about_nonce(&answer(400, &document("malformed", "urn:ietf:params:acme:error:badNonce"))));
    for (status, cause) in [(404, Cause::NotAcme), (429, Cause::Limited), (502, Cause::Unreachable)] {
        let said = told(&answer(status, "<h1>secret \u{7}\"page\"</h1>"));
        assert_eq!(said, (cause, format!("the answer was {status}")));
    }
}

#[tokio::test]
async fn an_authority_that_is_not_there_is_unreachable() {
    let roots = CertificateParams::new(Vec::new()).unwrap();
    let roots = roots.self_signed(&KeyPair::generate().unwrap()).unwrap().pem();
    let wanted = Wanted {
        // The discard port, where nobody listens.
        directory: "https://127.0.0.1:9/directory".into(),
        roots: Some(roots),
        contact: None,
        names: vec!["reset.example".into()],
        challenge: Challenge::Http01,
    };
    let trouble = examine(&wanted).await.unwrap_err();
    assert_eq!(trouble.cause, Cause::Unreachable);
    assert!(trouble.text.contains("refused"), "{}", trouble.text);
    let unread = examine(&Wanted { roots: Some("x".into()), ..wanted }).await.unwrap_err();
    assert_eq!(unread.cause, Cause::Untrusted);
}

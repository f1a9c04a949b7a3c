//! The API's description: as OpenAPI 3.1 for programs, and drawn from that as a page for who writes them.

use poem::{
    Request, Response,
    http::{StatusCode, header},
};
use serde::Serialize;
use serde_json::Value;

use super::OPERATIONS;
use crate::web::{
    Site, language,
    language::asked,
    user::{keep_language, page},
};

const DESCRIPTION: &str = include_str!("../../../ui/api/openapi.json");

/// `GET /api/openapi.json`
pub(super) fn json() -> Response {
    Response::builder()
        .content_type("application/json")
        .header(header::CACHE_CONTROL, "no-cache")
        .body(DESCRIPTION)
}

#[derive(Serialize)]
struct Context<'a> {
    page: page::Page<'a>,
    api: Words,
}

#[derive(Serialize, Default)]
struct Words {
    summary: String,
    text: String,
    groups: Vec<Group>,
}

#[derive(Serialize)]
struct Group {
    name: String,
    text: String,
    operations: Vec<Operation>,
}

#[derive(Serialize)]
struct Operation {
    method: String,
    path: &'static str,
    summary: String,
    text: String,
    scope: &'static str,
    parameters: Vec<(String, String)>,
    answers: Vec<(String, String)>,
}

/// A text of the description.
fn text(value: &Value, key: &str) -> String {
    value[key].as_str().unwrap_or_default().to_owned()
}

/// What stands there, or where it points to.
fn followed<'a>(document: &'a Value, value: &'a Value) -> &'a Value {
    let target = value["$ref"].as_str().and_then(|target| document.pointer(target.trim_start_matches('#')));
    target.unwrap_or(value)
}

/// The operations in the order of their table, each in its group.
fn words(document: &Value) -> Words {
    let mut words = Words {
        summary: text(&document["info"], "summary"),
        text: text(&document["info"], "description"),
        groups: Vec::new(),
    };
    for tag in document["tags"].as_array().into_iter().flatten() {
        let name = text(tag, "name");
        let operations = OPERATIONS.into_iter().filter_map(|operation| {
            let method = operation.method.as_str().to_lowercase();
            let known = &document["paths"][operation.path][&method];
            (known["tags"][0].as_str() == Some(name.as_str())).then(|| Operation {
                method: operation.method.to_string(),
                path: operation.path,
                summary: text(known, "summary"),
                text: text(known, "description"),
                scope: operation.scope.map_or("", |scope| scope.as_str()),
                parameters: listed(document, &known["parameters"]),
                answers: by_status(document, &known["responses"]),
            })
        });
        words.groups.push(Group { text: text(tag, "description"), operations: operations.collect(), name });
    }
    words
}

fn listed(document: &Value, parameters: &Value) -> Vec<(String, String)> {
    let parameters = parameters.as_array().into_iter().flatten().map(|it| followed(document, it));
    parameters.map(|it| (text(it, "name"), text(it, "description"))).collect()
}

fn by_status(document: &Value, answers: &Value) -> Vec<(String, String)> {
    let answers = answers.as_object().into_iter().flatten();
    answers.map(|(status, it)| (status.clone(), text(followed(document, it), "description"))).collect()
}

/// `GET /api`
pub(super) fn page(site: &Site, request: &Request) -> Response {
    let language = &language(site, request);
    // That it can be read is tested.
    let document = serde_json::from_str(DESCRIPTION).unwrap_or_default();
    let page = page::Page::new(site, language, "api", "describe");
    let context = Context { page, api: words(&document) };
    let mut response = page::render(site, "api.html", &language.code, context, StatusCode::OK);
    if asked(request).is_some() {
        keep_language(&mut response, &language.code);
    }
    response
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn document() -> Value {
        serde_json::from_str(DESCRIPTION).unwrap()
    }

    #[test]
    fn the_description_has_every_operation_and_no_other() {
        let document = document();
        assert_eq!(document["openapi"], "3.1.0");
        let mut described = BTreeSet::new();
        for (path, methods) in document["paths"].as_object().unwrap() {
            for (method, operation) in methods.as_object().unwrap() {
                described.insert(format!("{} {path}", method.to_uppercase()));
                // What is given in the path is described.
                let parameters = listed(&document, &operation["parameters"]);
                for part in path.split('/').filter(|part| part.starts_with('{')) {
                    let name = part.trim_matches(['{', '}']);
                    assert!(
                        parameters.iter().any(|(known, text)| known == name && !text.is_empty()),
                        "{path}"
                    );
                }
            }
        }
        let known = OPERATIONS.into_iter().map(|it| format!("{} {}", it.method, it.path));
        assert_eq!(described, known.collect());
    }

    #[test]
    fn the_description_says_what_scope_is_needed() {
        let document = document();
        for operation in OPERATIONS {
            let method = operation.method.as_str().to_lowercase();
            let security = &document["paths"][operation.path][&method]["security"];
            if let Some(scope) = operation.scope {
                assert_eq!(
                    *security,
                    serde_json::json!([{ "token": [scope.as_str()] }]),
                    "{}",
                    operation.path
                );
            } else {
                let is_free = security.as_array().unwrap().iter().all(|it| it["token"].is_null())
                    || security[0] == serde_json::json!({});
                assert!(is_free, "{}", operation.path);
            }
        }
    }

    #[test]
    fn every_reference_of_the_description_leads_somewhere() {
        fn look(document: &Value, value: &Value, count: &mut usize) {
            if let Some(target) = value["$ref"].as_str() {
                *count += 1;
                assert!(document.pointer(target.trim_start_matches('#')).is_some(), "{target}");
            }
            match value {
                Value::Object(members) => members.values().for_each(|it| look(document, it, count)),
                Value::Array(items) => items.iter().for_each(|it| look(document, it, count)),
                _ => {}
            }
        }
        let document = document();
        let mut count = 0;
        look(&document, &document, &mut count);
        assert!(count > 30);
        let words = words(&document);
        assert_eq!(words.groups.iter().map(|group| group.operations.len()).sum::<usize>(), OPERATIONS.len());
    }
}

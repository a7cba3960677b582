//! The session in templates of minijinja, Tera and askama.

use std::error::Error;
use std::panic::{AssertUnwindSafe, catch_unwind};

use askama::Template as _;
use axum::Router;
use axum::response::{Html, IntoResponse, Response};
use axum::routing::get;
use cloakroom::templates::tera::{session as session_in_tera, with_session};
use cloakroom::{Level, MemoryStore, ReadOnlySession, Session, SessionError, SessionLayer, SessionManager};
use http::StatusCode;
use minijinja::{Environment, UndefinedBehavior, context};
use serde_json::json;

use crate::support::Browser;

type Rendered = Result<String, Box<dyn Error>>;

const SCRIPT: &str = "\"><script>";
/// How the engines write it: they differ in the signs that they may, and need not, escape.
const ESCAPED: [&str; 3] = ["&quot;&gt;&lt;script&gt;", "&quot;&gt;&lt;script&gt;", "&#34;&#62;&#60;script&#62;"];

fn in_minijinja(session: &Session, template: &str) -> Rendered {
    let mut templates = Environment::new();
    templates.add_template("page.html", template)?;
    Ok(templates.get_template("page.html")?.render(context! { session => session.clone() })?)
}

fn in_tera(session: &Session, template: &str) -> Rendered {
    let templates = tera_with(template)?;
    Ok(with_session(session.clone(), || templates.render("page.html", &tera::Context::new()))?)
}

fn tera_with(template: &str) -> Result<tera::Tera, tera::Error> {
    let mut templates = tera::Tera::new();
    templates.register_function("session", session_in_tera);
    templates.add_raw_template("page.html", template)?;
    Ok(templates)
}

/// One page for each engine. All show the same.
const IN_MINIJINJA: &str = "\
    {% if session().has('success') %}[{{ session().get('success') }}]{% endif %}\
    {% for message in session().messages() %}({{ message.level }}: {{ message.text }}){% endfor %}\
    <input value=\"{{ session().old('email') }}\">";
const IN_TERA: &str = "\
    {% if session(has='success') %}[{{ session(get='success') }}]{% endif %}\
    {% for message in session(messages=true) %}({{ message.level }}: {{ message.text }}){% endfor %}\
    <input value=\"{{ session(old='email') | default(value='') }}\">";

#[derive(askama::Template)]
#[template(
    ext = "html",
    source = r#"
    {%- if session.contains("success")? %}[{{ session.get::<String>("success")?.unwrap_or_default() }}]{% endif -%}
    {% for message in session.messages()? %}({{ message.level() }}: {{ message.text() }}){% endfor -%}
    <input value="{{ session.old("email")?.unwrap_or_default() }}">"#
)]
struct InAskama {
    session: ReadOnlySession,
}

fn in_askama(session: &Session) -> Rendered {
    Ok(InAskama { session: session.clone().into() }.render()?)
}

fn answer(page: Rendered) -> Response {
    page.map(Html).map_err(|_| StatusCode::INTERNAL_SERVER_ERROR).into_response()
}

async fn leave(session: Session) -> Result<(), SessionError> {
    session.flash("success", SCRIPT)?;
    session.message(Level::Warning, SCRIPT)?;
    session.message(Level::Error, "&")?;
    session.flash_input(&json!({"email": SCRIPT, "password": "hunter2"}))
}

fn app() -> Router {
    let asks = |session: &Session| {
        in_minijinja(
            session,
            "{% if session().has('success') %}there{% else %}{{ session().get('success') }}{% endif %}",
        )
    };
    let fails =
        |session: &Session| in_minijinja(session, "{{ session().get('success') }}{{ session().gte('success') }}");
    Router::new()
        .route("/leave", get(leave))
        .route("/minijinja", get(async |session: Session| answer(in_minijinja(&session, IN_MINIJINJA))))
        .route("/tera", get(async |session: Session| answer(in_tera(&session, IN_TERA))))
        .route("/askama", get(async |session: Session| answer(in_askama(&session))))
        .route("/asks", get(async move |session: Session| answer(asks(&session))))
        .route("/fails", get(async move |session: Session| answer(fails(&session))))
        .layer(SessionLayer::new(MemoryStore::new()))
}

#[tokio::test]
async fn every_engine_shows_what_was_left_once_and_escaped() {
    for (page, script) in ["/minijinja", "/tera", "/askama"].into_iter().zip(ESCAPED) {
        let mut browser = Browser::new(&app());
        browser.get("/leave").await;
        let and = if page == "/askama" { "&#38;" } else { "&amp;" };
        let shown = format!("[{script}](warning: {script})(error: {and})<input value=\"{script}\">");
        assert_eq!(browser.get(page).await.body, shown, "{page}");
        assert_eq!(browser.get(page).await.body, "<input value=\"\">", "{page}");
    }
}

#[tokio::test]
async fn what_a_template_only_asks_for_or_does_not_come_to_stays() {
    let mut browser = Browser::new(&app());
    browser.get("/leave").await;
    for _ in 0..2 {
        assert_eq!(browser.get("/asks").await.body, "there");
    }
    assert!(browser.get("/minijinja").await.body.starts_with('['));
}

#[tokio::test]
async fn a_page_that_cannot_be_rendered_takes_nothing_away() {
    let mut browser = Browser::new(&app());
    browser.get("/leave").await;
    assert_eq!(browser.get("/fails").await.status, StatusCode::INTERNAL_SERVER_ERROR);
    assert!(browser.get("/minijinja").await.body.starts_with('['));
}

fn session() -> Session {
    let session = SessionManager::new(MemoryStore::new()).create();
    let account = json!({"name": "<Ada>", "roles": ["admin", "author"], "nothing": null, "active": true});
    session.insert("account", account).unwrap();
    session.insert("numbers", json!({"big": u64::MAX, "small": i64::MIN, "half": 0.5})).unwrap();
    session
}

/// What a template of minijinja and one of Tera make of this session.
#[track_caller]
fn both(minijinja: &str, tera: &str) -> String {
    let (session, other) = (session(), session());
    let rendered = in_minijinja(&session, minijinja).unwrap();
    assert_eq!(in_tera(&other, tera).unwrap(), rendered);
    rendered
}

#[test]
fn values_keep_their_types_and_paths_reach_into_them() {
    let name = both("{{ session().get('account.name') }}", "{{ session(get='account.name') }}");
    assert_eq!(name, "&lt;Ada&gt;");
    let roles = both(
        "{% for role in session().get('account').roles %}{{ loop.index }}{{ role }} {% endfor %}",
        "{% set account = session(get='account') %}{% for role in account.roles %}{{ loop.index }}{{ role }} {% endfor %}",
    );
    assert_eq!(roles, "1admin 2author ");
    let numbers = both(
        "{% set n = session().get('numbers') %}{{ n.big }} {{ n.small }} {{ n.half + 1 }}",
        "{% set n = session(get='numbers') %}{{ n.big }} {{ n.small }} {{ n.half + 1 }}",
    );
    assert_eq!(numbers, "18446744073709551615 -9223372036854775808 1.5");
    let truth = both(
        "{{ 1 if session().get('account.active') == true }} {{ 1 if session().get('account.nothing') is none }}",
        "{{ 1 if session(get='account.active') == true else 0 }} {{ 1 if session(get='account.nothing') is none else 0 }}",
    );
    assert_eq!(truth, "1 1");
}

#[test]
fn all_data_and_what_there_is_to_know_can_be_shown() {
    assert_eq!(
        both("{{ session().all().account.roles[1] }}", "{{ session(all=true)['account']['roles'][1] }}"),
        "author"
    );
    assert_eq!(both("{{ session().info().status }}", "{{ session(info=true)['status'] }}"), "new");
    let length = both("{{ session().info()['duration'] }}", "{{ session(info=true)['duration'] }}");
    assert_eq!(length, "3600");
}

#[test]
fn session_with_and_without_parentheses_are_the_same() {
    assert_eq!(in_minijinja(&session(), "{{ session.get('account.roles')[0] }}").unwrap(), "admin");
}

#[test]
fn what_is_not_there_is_undefined_as_the_engine_has_it() {
    let stand_in = both(
        "{{ 1 if session().get('x') is defined else 0 }} {{ session().get('x') | default('-') }} {{ session().old('x') or '-' }}",
        "{{ 1 if session(get='x') is defined else 0 }} {{ session(get='x') | default(value='-') }} {{ session(old='x') or '-' }}",
    );
    assert_eq!(stand_in, "0 - -");
    assert_eq!(both("{{ 1 if session().has('x') else 0 }}", "{{ 1 if session(has='x') else 0 }}"), "0");
    assert_eq!(in_minijinja(&session(), "[{{ session().get('x') }}]").unwrap(), "[]");

    let mut strict = Environment::new();
    strict.set_undefined_behavior(UndefinedBehavior::Strict);
    strict.render_str("{{ session().get('x') }}", context! { session => session() }).unwrap_err();
    assert!(in_tera(&session(), "{{ session(get='x') }}").unwrap_err().to_string().contains("undefined"));
}

#[test]
fn mistakes_in_templates_are_errors() {
    for call in ["gte('x')", "get()", "get('x', 'y')", "get(1)", "all('x')", "has(['a', 'b'])", "get(path='x')"] {
        let error = in_minijinja(&session(), &format!("{{{{ session().{call} }}}}")).unwrap_err();
        assert!(error.downcast_ref::<minijinja::Error>().unwrap().line() == Some(1), "{call}: {error}");
    }
    in_minijinja(&session(), "{{ session('x') }}").unwrap_err();
    for arguments in ["gte='x'", "", "get='x', has='x'", "get=1", "all='x'", "messages=false", "get=true"] {
        let error = in_tera(&session(), &format!("{{{{ session({arguments}) }}}}")).unwrap_err();
        assert!(error.to_string().contains("session(get='name')"), "{arguments}: {error}");
    }
}

#[test]
fn what_the_session_refuses_is_an_error_with_its_reason() {
    let session = session();
    for (method, path) in [("get", "account.name.first"), ("has", "account.name.first"), ("get", "a..b")] {
        let reason = session.get::<u8>(path).unwrap_err().to_string();
        let error = in_minijinja(&session, &format!("{{{{ session().{method}('{path}') }}}}")).unwrap_err();
        assert!(is_of_the_session(&*error) && error.to_string().contains(&reason), "{error:?}");
        // Tera keeps the text alone.
        let error = in_tera(&session, &format!("{{{{ session({method}='{path}') }}}}")).unwrap_err();
        assert!(error.to_string().contains(&reason), "{error:?}");
    }
}

fn is_of_the_session(error: &(dyn Error + 'static)) -> bool {
    error.is::<SessionError>() || error.source().is_some_and(is_of_the_session)
}

#[tokio::test]
async fn old_input_of_several_values_is_an_error() {
    let manager = SessionManager::new(MemoryStore::new());
    let form = manager.create();
    form.flash_input(&json!({"tags": [1, 2]})).unwrap();
    let cloakroom::TokenChange::Issue(issued) = manager.commit(&form).await.unwrap() else { panic!() };
    let page = manager.open(issued.token.expose().as_bytes()).await.unwrap();
    in_minijinja(&page, "{{ session().old('tags') }}").unwrap_err();
    in_tera(&page, "{{ session(old='tags') }}").unwrap_err();
}

#[test]
fn the_session_itself_prints_without_its_data() {
    let printed = in_minijinja(&session(), "{{ session }} {{ session() }} {{ debug() }}").unwrap();
    assert!(printed.contains("status: New"), "{printed}");
    assert!(!printed.contains("Ada"), "{printed}");
}

#[test]
fn a_template_that_has_not_been_given_a_session_is_an_error() {
    Environment::new().render_str("{{ session().has('x') }}", context! {}).unwrap_err();
    let error = tera_with("{{ session(has='x') }}").unwrap().render("page.html", &tera::Context::new()).unwrap_err();
    assert!(error.to_string().contains("with_session"), "{error}");
    tera::Tera::new().add_raw_template("page.html", "{{ session(has='x') }}").unwrap_err();
}

#[test]
fn sessions_within_sessions_do_not_mix_and_a_panic_leaves_none_behind() {
    let named = |name: &str| {
        let session = SessionManager::new(MemoryStore::new()).create();
        session.insert("name", name).unwrap();
        session
    };
    let templates = tera_with("{{ session(get='name') }}").unwrap();
    let render = || templates.render("page.html", &tera::Context::new());
    let mut seen = Vec::new();
    with_session(named("outer"), || {
        seen.push(render().unwrap());
        seen.push(with_session(named("inner"), render).unwrap());
        let panicked = catch_unwind(AssertUnwindSafe(|| with_session(named("third"), || panic!("in a filter"))));
        assert!(panicked.is_err());
        seen.push(render().unwrap());
    });
    assert_eq!(seen, ["outer", "inner", "outer"]);
    render().unwrap_err();
}

//! Values for the next request, messages, and old input.

use axum::Router;
use axum::extract::Path;
use axum::response::Redirect;
use axum::routing::get;
use cloakroom::testing::{Fault, FaultStore, Operation, TestClock};
use cloakroom::{
    ErrorKind, FlashLifetime, Level, MemoryStore, ReadOnlySession, Session, SessionError, SessionLayer, SessionPolicy,
    SessionStore,
};
use http::StatusCode;

use crate::support::{Browser, layer};

type Text = Result<String, SessionError>;

async fn set(session: Session, Path(text): Path<String>) -> Result<Redirect, SessionError> {
    session.flash("success", text)?;
    assert!(!session.contains("success")?, "it is for the next request");
    Ok(Redirect::to("/page"))
}

async fn page(session: Session) -> Text {
    Ok(session.get("success")?.unwrap_or_else(|| "-".to_owned()))
}

async fn read_only(session: ReadOnlySession) -> Text {
    Ok(session.get("success")?.unwrap_or_else(|| "-".to_owned()))
}

async fn poll(session: Session) -> Text {
    Ok(format!("{} {:?}", session.contains("success")?, session.keys()))
}

async fn fails(session: Session) -> Result<(StatusCode, String), SessionError> {
    Ok((StatusCode::INTERNAL_SERVER_ERROR, page(session).await?))
}

fn routes() -> Router {
    let ignore = async || "nothing";
    let change = async |session: Session| session.insert("other", 1);
    Router::new()
        .route("/set/{text}", get(set))
        .route("/page", get(page))
        .route("/read-only", get(read_only))
        .route("/poll", get(poll))
        .route("/fails", get(fails))
        .route("/ignore", get(ignore))
        .route("/change", get(change))
}

fn app(policy: SessionPolicy) -> Router {
    routes().layer(SessionLayer::new(MemoryStore::new()).policy(policy).unwrap())
}

/// A browser to which a page has said that something was saved.
async fn flashed(policy: SessionPolicy) -> Browser {
    let mut browser = Browser::new(&app(policy));
    assert_eq!(browser.get("/set/saved").await.status, StatusCode::SEE_OTHER);
    browser
}

#[tokio::test]
async fn the_next_page_shows_it_once_and_a_reload_does_not() {
    let mut browser = flashed(SessionPolicy::default()).await;
    assert_eq!(browser.get("/page").await.body, "saved");
    assert_eq!(browser.get("/page").await.body, "-");
    assert_eq!(browser.get("/poll").await.body, "false []");
}

#[tokio::test]
async fn requests_that_do_not_read_it_do_not_eat_it() {
    let mut browser = flashed(SessionPolicy::default()).await;
    for _ in 0..3 {
        assert!(browser.get("/poll").await.body.starts_with("true"));
        browser.get("/change").await;
        browser.get("/ignore").await;
    }
    assert_eq!(browser.get("/page").await.body, "saved");
    assert_eq!(browser.get("/page").await.body, "-");
}

#[tokio::test]
async fn for_the_next_request_only_it_is_gone_after_that_read_or_not() {
    let policy = SessionPolicy::default().flash_lifetime(FlashLifetime::NextRequest);
    let mut browser = flashed(policy.clone()).await;
    assert_eq!(browser.get("/page").await.body, "saved");
    assert_eq!(browser.get("/page").await.body, "-");

    let mut browser = flashed(policy).await;
    // A request that does not open the session is none.
    browser.get("/ignore").await;
    assert_eq!(browser.get("/poll").await.body, r#"true ["success"]"#);
    assert_eq!(browser.get("/page").await.body, "-");
}

#[tokio::test]
async fn a_session_without_setters_shows_it_once_too() {
    let mut browser = flashed(SessionPolicy::default()).await;
    assert_eq!(browser.get("/read-only").await.body, "saved");
    assert_eq!(browser.get("/read-only").await.body, "-");
}

#[tokio::test]
async fn a_page_that_fails_leaves_it_for_the_next_one() {
    let mut browser = flashed(SessionPolicy::default()).await;
    assert_eq!(browser.get("/fails").await.body, "saved");
    assert_eq!(browser.get("/page").await.body, "saved");
}

#[tokio::test]
async fn if_the_store_fails_at_the_commit_it_is_there_again() {
    let faults = FaultStore::new(MemoryStore::new());
    let mut browser = Browser::new(&routes().layer(SessionLayer::new(faults.clone())));
    browser.get("/set/saved").await;
    faults.always(Operation::Save, Fault::Down);
    assert_eq!(browser.get("/page").await.status, StatusCode::SERVICE_UNAVAILABLE);
    faults.heal();
    assert_eq!(browser.get("/page").await.body, "saved");
}

/// A page that shows one value must not take away the next one of the same name and text, which came while it was at work.
#[tokio::test]
async fn what_comes_while_it_is_shown_is_not_lost() {
    let manager = crate::support::manager(MemoryStore::new(), &TestClock::default());
    let first = manager.create();
    first.flash("success", "saved").unwrap();
    let token = match manager.commit(&first).await.unwrap() {
        cloakroom::TokenChange::Issue(issued) => issued.token,
        other => panic!("{other:?}"),
    };
    let open = async || manager.open(token.expose().as_bytes()).await.unwrap();

    let page = open().await;
    assert_eq!(page.get("success").unwrap(), Some("saved".to_owned()));
    let meanwhile = open().await;
    meanwhile.flash("success", "saved").unwrap();
    manager.commit(&meanwhile).await.unwrap();
    manager.commit(&page).await.unwrap();

    let next = open().await;
    assert_eq!(next.get("success").unwrap(), Some("saved".to_owned()));
    manager.commit(&next).await.unwrap();
    assert!(!open().await.contains("success").unwrap());
}

/// One session through several requests, each given as a function.
struct Visitor {
    manager: cloakroom::SessionManager,
    token: Vec<u8>,
}

impl Visitor {
    fn new() -> Self {
        Self::of(MemoryStore::new())
    }

    fn of(store: impl SessionStore) -> Self {
        Self { manager: layer(store, &TestClock::default()).manager().clone(), token: Vec::new() }
    }

    async fn request<T>(&mut self, act: impl FnOnce(&Session) -> Result<T, SessionError>) -> T {
        let session = self.manager.open(&self.token).await.unwrap();
        let result = act(&session).unwrap();
        if let cloakroom::TokenChange::Issue(issued) = self.manager.commit(&session).await.unwrap() {
            self.token = issued.token.expose().as_bytes().to_vec();
        }
        result
    }

    async fn sees(&mut self) -> Option<String> {
        self.request(|session| session.get("note")).await
    }
}

#[tokio::test]
async fn flash_now_is_for_this_request_alone() {
    let mut visitor = Visitor::new();
    visitor
        .request(|session| {
            session.flash_now("note", "now")?;
            assert_eq!(session.get::<String>("note")?.as_deref(), Some("now"));
            assert!(session.contains("note")? && session.all()?.contains_key("note"));
            Ok(())
        })
        .await;
    assert!(visitor.token.is_empty(), "nothing is stored");
    assert_eq!(visitor.sees().await, None);
}

#[tokio::test]
async fn keep_and_reflash_leave_what_was_shown_for_another_request() {
    let mut visitor = Visitor::new();
    visitor
        .request(|session| {
            session.flash("note", "a")?;
            session.message(Level::Info, "m")
        })
        .await;
    visitor
        .request(|session| {
            session.keep("note")?;
            assert_eq!(session.get::<String>("note")?.as_deref(), Some("a"));
            session.keep("nothing")
        })
        .await;
    visitor
        .request(|session| {
            assert_eq!(session.get::<String>("note")?.as_deref(), Some("a"));
            assert_eq!(session.messages()?.len(), 1);
            session.reflash()
        })
        .await;
    assert_eq!(visitor.request(Session::messages).await.len(), 1);
    assert_eq!(visitor.sees().await.as_deref(), Some("a"));
    assert_eq!(visitor.sees().await, None);
    assert!(visitor.request(Session::messages).await.is_empty());
}

#[tokio::test]
async fn what_is_shown_now_can_be_kept() {
    for keep in [|session: &Session| session.keep("note"), Session::reflash] {
        let mut visitor = Visitor::new();
        visitor
            .request(|session| {
                session.flash_now("note", "now")?;
                keep(session)
            })
            .await;
        assert_eq!(visitor.sees().await.as_deref(), Some("now"));
        assert_eq!(visitor.sees().await, None);
    }
}

#[tokio::test]
async fn clear_flash_takes_all_of_it_and_nothing_else() {
    let mut visitor = Visitor::new();
    visitor
        .request(|session| {
            session.insert("cart", 1)?;
            session.flash("note", "a")?;
            session.flash_input(&[("name", "Ada")].into_iter().collect::<std::collections::BTreeMap<_, _>>())?;
            session.message(Level::Info, "m")
        })
        .await;
    visitor
        .request(|session| {
            session.flash_now("now", 1)?;
            session.clear_flash()?;
            assert_eq!(session.keys(), ["cart"]);
            assert!(session.messages()?.is_empty() && session.old("name")?.is_none());
            Ok(())
        })
        .await;
    assert_eq!(visitor.request(|session| Ok(session.keys())).await, ["cart"]);
    assert!(visitor.request(Session::messages).await.is_empty());
}

#[tokio::test]
async fn all_and_take_are_reading_and_clear_takes_flash_too() {
    let mut visitor = Visitor::new();
    visitor.request(|session| session.flash("note", "a")).await;
    assert_eq!(visitor.request(Session::all).await["note"], "a");
    assert_eq!(visitor.sees().await, None);

    visitor.request(|session| session.flash("note", "b")).await;
    let taken = visitor.request(|session| Ok((session.take::<String>("note")?, session.contains("note")?))).await;
    assert_eq!(taken, (Some("b".to_owned()), false));
    assert_eq!(visitor.sees().await, None);

    visitor.request(|session| session.flash("note", "c")).await;
    assert!(visitor.request(|session| Ok(session.remove("note")? && !session.contains("note")?)).await);
    assert_eq!(visitor.sees().await, None);

    visitor.request(|session| session.flash("note", "d")).await;
    visitor.request(Session::clear).await;
    assert_eq!(visitor.sees().await, None);
}

#[tokio::test]
async fn a_value_of_that_name_comes_first_and_the_flash_value_waits() {
    let mut visitor = Visitor::new();
    visitor
        .request(|session| {
            session.insert("note", "value")?;
            session.flash("note", "flash")
        })
        .await;
    assert_eq!(visitor.sees().await.as_deref(), Some("value"));
    visitor.request(|session| Ok(session.keys().len())).await;
    assert_eq!(visitor.request(Session::all).await["note"], "value");
}

#[tokio::test]
async fn a_flash_value_may_be_anything_and_paths_reach_into_it() {
    let mut visitor = Visitor::new();
    visitor.request(|session| session.flash("order", serde_json::json!({"id": 7, "paid": null}))).await;
    visitor
        .request(|session| {
            assert_eq!(session.get("order.id")?, Some(7));
            assert_eq!(session.get::<u64>("order.nothing")?, None);
            assert_eq!(session.get::<u64>("order").unwrap_err().kind(), ErrorKind::Decode);
            assert_eq!(session.get::<u64>("order.id.x").unwrap_err().kind(), ErrorKind::NotAnObject);
            Ok(())
        })
        .await;
    let refused = visitor.request(|session| Ok(session.flash("a.b", 1).unwrap_err().kind())).await;
    assert_eq!(refused, ErrorKind::InvalidPath);
    visitor.request(|session| session.flash(["a.b"], 1)).await;
    assert_eq!(visitor.request(|session| session.get(["a.b"])).await, Some(1));
}

#[tokio::test]
async fn messages_come_in_order_with_their_levels_and_once() {
    let mut visitor = Visitor::new();
    visitor.request(|session| session.message(Level::Success, "saved")).await;
    visitor.request(|session| session.message(Level::Error, "<b>but</b>")).await;
    visitor
        .request(|session| {
            let messages = session.messages()?;
            let seen: Vec<_> = messages.iter().map(|message| (message.level(), message.text())).collect();
            assert_eq!(seen, [(Level::Success, "saved"), (Level::Error, "<b>but</b>")]);
            assert_eq!(
                serde_json::to_value(&messages[1]).unwrap(),
                serde_json::json!({"level": "error", "text": "<b>but</b>"})
            );
            assert!(Level::Error > Level::Success && Level::Warning.to_string() == "warning");
            assert_eq!(messages[0].to_string(), "saved");
            Ok(())
        })
        .await;
    assert!(visitor.request(Session::messages).await.is_empty());
}

#[tokio::test]
async fn messages_of_two_requests_at_once_are_both_shown() {
    let mut visitor = Visitor::new();
    visitor.request(|session| session.insert("x", 1)).await;
    let open = async || visitor.manager.open(&visitor.token).await.unwrap();
    let (a, b) = (open().await, open().await);
    a.message(Level::Info, "same").unwrap();
    b.message(Level::Info, "same").unwrap();
    visitor.manager.commit(&a).await.unwrap();
    visitor.manager.commit(&b).await.unwrap();
    assert_eq!(visitor.request(Session::messages).await.len(), 2);
}

#[derive(serde::Serialize)]
struct Signup {
    email: &'static str,
    age: u8,
    news: bool,
    nothing: Option<u8>,
    tags: [u8; 2],
    password: &'static str,
    #[serde(rename = "confirmPassword")]
    confirm: &'static str,
}

#[tokio::test]
async fn old_input_comes_back_once_and_without_passwords() {
    let form = Signup {
        email: "\"ada\"@",
        age: 36,
        news: true,
        nothing: None,
        tags: [1, 2],
        password: "hunter2",
        confirm: "hunter2",
    };
    let mut visitor = Visitor::new();
    visitor
        .request(|session| {
            session.flash_input(&form)?;
            assert_eq!(session.old("email")?, None, "it is for the next request");
            Ok(())
        })
        .await;
    visitor
        .request(|session| {
            assert_eq!(session.old("email")?.as_deref(), Some("\"ada\"@"));
            assert_eq!(session.old("age")?.as_deref(), Some("36"));
            assert_eq!(session.old("news")?.as_deref(), Some("true"));
            assert_eq!(session.old("tags").unwrap_err().kind(), ErrorKind::Decode);
            for none in ["nothing", "password", "confirmPassword", "other"] {
                assert_eq!(session.old(none)?, None, "{none}");
            }
            Ok(())
        })
        .await;
    assert_eq!(visitor.request(|session| session.old("email")).await, None);
    let refused = visitor.request(|session| Ok(session.flash_input("text").unwrap_err().kind())).await;
    assert_eq!(refused, ErrorKind::Encode);
}

#[tokio::test]
async fn flash_values_cannot_be_reached_or_overwritten_by_paths() {
    let mut visitor = Visitor::new();
    visitor.request(|session| session.flash("note", "a")).await;
    visitor
        .request(|session| {
            for path in ["", ".flash", ".flash.note"] {
                assert_eq!(session.insert(path, 1).unwrap_err().kind(), ErrorKind::InvalidPath);
                assert_eq!(session.get::<u8>(path).unwrap_err().kind(), ErrorKind::InvalidPath);
                assert_eq!(session.bag(path).unwrap_err().kind(), ErrorKind::InvalidPath);
            }
            assert_eq!(session.get::<u8>([""]).unwrap_err().kind(), ErrorKind::InvalidPath);
            assert_eq!(session.info_with_vars()?.vars.unwrap().len(), 0);
            Ok(())
        })
        .await;
    assert_eq!(visitor.sees().await.as_deref(), Some("a"));
}

#[tokio::test]
async fn after_a_logout_nothing_is_shown() {
    let mut visitor = Visitor::new();
    visitor.request(|session| session.flash("note", "a")).await;
    visitor
        .request(|session| {
            session.destroy()?;
            assert!(!session.contains("note")?);
            assert_eq!(session.flash("note", "b").unwrap_err().kind(), ErrorKind::Destroyed);
            assert_eq!(session.flash_now("note", "b").unwrap_err().kind(), ErrorKind::Destroyed);
            Ok(())
        })
        .await;
    assert_eq!(visitor.sees().await, None);
}

#[tokio::test]
async fn a_new_value_of_a_name_takes_the_place_of_the_old_one_and_waits_for_the_next_request() {
    let mut visitor = Visitor::new();
    visitor.request(|session| session.flash("note", "old")).await;
    visitor
        .request(|session| {
            session.flash("note", "new")?;
            assert!(!session.contains("note")?);
            assert_eq!(session.get::<String>("note")?, None);
            Ok(())
        })
        .await;
    assert_eq!(visitor.sees().await.as_deref(), Some("new"));
}

/// Every later request would look through what is left.
#[tokio::test]
async fn when_all_is_shown_nothing_is_left_of_it() {
    let store = MemoryStore::new();
    let mut visitor = Visitor::of(store.clone());
    visitor.request(|session| session.insert("x", 1)).await;
    visitor
        .request(|session| {
            session.flash("note", "a")?;
            session.message(Level::Info, "m")
        })
        .await;
    let stored = async |visitor: &Visitor| {
        let session = visitor.manager.open(&visitor.token).await.unwrap();
        let now = cloakroom::Clock::now(&TestClock::default()).into();
        let record = store.load(session.id().unwrap(), now).await.unwrap().unwrap();
        String::from_utf8(record.payload.to_bytes().unwrap().to_vec()).unwrap()
    };
    assert!(stored(&visitor).await.contains("flash"));
    visitor.request(Session::messages).await;
    assert!(stored(&visitor).await.contains("flash"));
    visitor.sees().await;
    assert!(stored(&visitor).await.ends_with(r#""data":{"x":1}}"#), "{}", stored(&visitor).await);
}

#[tokio::test]
async fn what_is_shown_now_can_be_taken_away() {
    let mut visitor = Visitor::new();
    visitor
        .request(|session| {
            session.flash_now("note", 1)?;
            assert_eq!((session.take("note")?, session.contains("note")?), (Some(1), false));
            session.flash_now("note", 2)?;
            assert!(session.remove("note")? && !session.contains("note")?);
            Ok(())
        })
        .await;
}

#[tokio::test]
async fn who_reads_one_value_leaves_the_others() {
    let manager = crate::support::manager(MemoryStore::new(), &TestClock::default());
    let first = manager.create();
    first.flash("success", "saved").unwrap();
    first.flash("hint", "not sent yet").unwrap();
    let token = match manager.commit(&first).await.unwrap() {
        cloakroom::TokenChange::Issue(issued) => issued.token,
        other => panic!("{other:?}"),
    };
    for (success, hint) in [(Some("saved"), None), (None, Some("not sent yet"))] {
        let page = manager.open(token.expose().as_bytes()).await.unwrap();
        assert_eq!(page.get::<String>("success").unwrap().as_deref(), success);
        if hint.is_some() {
            assert_eq!(page.get::<String>("hint").unwrap().as_deref(), hint);
        }
        manager.commit(&page).await.unwrap();
    }
}

/// Text that a visitor has sent as it is may be nested deeper than anybody can walk.
#[tokio::test]
async fn the_input_of_a_form_has_limits_too() {
    #[derive(serde::Serialize)]
    struct Form {
        raw: Box<serde_json::value::RawValue>,
    }
    let deep = ["[".repeat(200_000), "]".repeat(200_000)].concat();
    let form = Form { raw: serde_json::value::RawValue::from_string(deep).unwrap() };
    let mut visitor = Visitor::new();
    let refused = visitor.request(|session| Ok(session.flash_input(&form).unwrap_err().kind())).await;
    assert_eq!(refused, ErrorKind::TooDeep);
}

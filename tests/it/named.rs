//! Sessions of several kinds in one router: `SessionLayer::named` and `Named`.

use std::collections::BTreeMap;

use axum::Router;
use axum::body::Body;
use axum::middleware::{Next, from_fn};
use axum::routing::get;
use cloakroom::testing::{Calls, CountingStore, Fault, FaultStore, Operation, TestClock};
use cloakroom::{
    ConfigError, ErrorKind, LazySession, MemoryStore, Named, ReadOnlySession, Session, SessionCookie, SessionError,
    SessionLayer, SessionManager, SessionName, SessionPolicy, SessionStore,
};
use http::{HeaderValue, Request, StatusCode, header};
use tower::{Layer as _, Service as _, ServiceExt as _, service_fn};

use crate::support::bytes_store::BytesStore;
use crate::support::routes::{add, n, routes};
use crate::support::{Answer, N, layer, manager, send};

struct Admin;

impl SessionName for Admin {
    const NAME: &'static str = "admin";
}

struct Support;

impl SessionName for Support {
    const NAME: &'static str = "support";
}

const ADMIN: &str = "__Host-admin";

/// A browser that keeps all its cookies.
#[derive(Clone)]
struct Browser {
    app: Router,
    cookies: BTreeMap<String, String>,
}

impl Browser {
    fn new(app: &Router) -> Self {
        Self { app: app.clone(), cookies: BTreeMap::new() }
    }

    async fn get(&mut self, path: &str) -> Answer {
        let pairs: Vec<_> = self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let answer = send(&self.app, path, &[pairs.join("; ").as_bytes()]).await;
        for cookie in answer.set_cookies() {
            let (name, rest) = cookie.split_once('=').unwrap();
            match rest.split(';').next().unwrap() {
                "" => self.cookies.remove(name),
                value => self.cookies.insert(name.into(), value.into()),
            };
        }
        answer
    }

    fn has(&self) -> Vec<&str> {
        self.cookies.keys().map(String::as_str).collect()
    }
}

async fn both(session: Session, admin: Named<Admin>) -> Result<String, SessionError> {
    Ok(format!("{} {} {} {}", session.name(), add(&session)?, admin.name(), add(&admin)?))
}

async fn ids(session: Session, admin: Named<Admin>) -> String {
    format!("{}", session.id().is_some() && session.id() != admin.id())
}

async fn optional(admin: Option<Named<Admin>>, to_read: Option<Named<Admin, ReadOnlySession>>) -> &'static str {
    assert_eq!(admin.is_some(), to_read.is_some());
    if admin.is_some() { "there" } else { "none" }
}

async fn reading(admin: Named<Admin, ReadOnlySession>) -> Result<String, SessionError> {
    Ok(format!("{:?}", admin.get::<u64>("n")?))
}

async fn lazily_never(_: Named<Admin, LazySession>) {}

async fn lazily(admin: Named<Admin, LazySession>) -> Result<String, SessionError> {
    n(&admin.load().await?)
}

/// Those of the usual session, the same for the administrator's, and more.
fn app_routes() -> Router {
    routes()
        .route("/both", get(both))
        .route("/ids", get(ids))
        .route("/admin/add", get(|admin: Named<Admin>| async move { add(&admin) }))
        .route("/admin/n", get(|admin: Named<Admin>| async move { n(&admin) }))
        .route("/admin/logout", get(|admin: Named<Admin>| async move { admin.destroy() }))
        .route("/admin/rotate", get(|admin: Named<Admin>| async move { admin.regenerate() }))
        .route("/admin/optional", get(optional))
        .route("/admin/reading", get(reading))
        .route("/admin/lazily-never", get(lazily_never))
        .route("/admin/lazily", get(lazily))
}

fn admin_layer(store: impl SessionStore, clock: &TestClock) -> SessionLayer {
    SessionLayer::with_manager(manager(store, clock).name(Admin::NAME).unwrap())
}

/// Both layers over one store, in both orders.
fn both_orders(store: &(impl SessionStore + Clone)) -> [Router; 2] {
    let clock = TestClock::default();
    let usual = || layer(store.clone(), &clock);
    let admin = || admin_layer(store.clone(), &clock);
    [app_routes().layer(usual()).layer(admin()), app_routes().layer(admin()).layer(usual())]
}

#[tokio::test]
async fn each_has_its_own_cookie_id_and_data_in_whichever_order_the_layers_lie() {
    for app in both_orders(&MemoryStore::new()) {
        let mut browser = Browser::new(&app);
        assert_eq!(browser.get("/both").await.body, "id 1 admin 1");
        assert_eq!(browser.has(), [ADMIN, N]);
        assert_eq!(browser.get("/add").await.body, "2");
        assert_eq!(browser.get("/add").await.body, "3");
        assert_eq!(browser.get("/admin/add").await.body, "2");
        assert_eq!(browser.get("/both").await.body, "id 4 admin 3");
        assert_eq!(browser.get("/ids").await.body, "true");
    }
}

#[tokio::test]
async fn an_answer_tells_of_no_session_that_was_not_asked_for() {
    for app in both_orders(&MemoryStore::new()) {
        let mut browser = Browser::new(&app);
        browser.get("/admin/add").await;
        assert_eq!(browser.has(), [ADMIN]);
        let answer = browser.get("/admin/n").await;
        assert_eq!(answer.set_cookies(), [""; 0]);
        assert_eq!(answer.headers.get_all(header::VARY).iter().count(), 1);
        browser.get("/add").await;
        assert_eq!(browser.has(), [ADMIN, N]);
    }
}

#[tokio::test]
async fn ending_one_leaves_the_other() {
    for app in both_orders(&MemoryStore::new()) {
        let mut browser = Browser::new(&app);
        browser.get("/both").await;
        let before = browser.clone();
        browser.get("/admin/logout").await;
        assert_eq!(browser.has(), [N]);
        assert_eq!(browser.get("/n").await.body, "1");
        // Not only the cookie is gone.
        assert_eq!(before.clone().get("/admin/n").await.body, "0");
        browser.get("/both").await;
        browser.get("/logout").await;
        assert_eq!(browser.has(), [ADMIN]);
        assert_eq!(browser.get("/admin/n").await.body, "1");
    }
}

/// One store, and a client that puts the token of one session into the cookie of the other.
async fn tokens_are_not_exchangeable(store: impl SessionStore + Clone) {
    let store = CountingStore::new(store);
    for app in both_orders(&store) {
        let mut browser = Browser::new(&app);
        browser.get("/both").await;
        let (usual, admin) = (browser.cookies[N].clone(), browser.cookies[ADMIN].clone());
        for (cookie, stolen, reading, writing) in [(ADMIN, &usual, "/admin/n", "/admin/add"), (N, &admin, "/n", "/add")]
        {
            let swapped = format!("{cookie}={stolen}");
            store.reset();
            let answer = send(&app, reading, &[swapped.as_bytes()]).await;
            // As for any token that opens nothing: one look, and a cookie to forget.
            assert_eq!(store.reset(), Calls { load: 1, ..Calls::default() });
            assert_eq!(answer.body, "0");
            assert!(answer.set_cookies()[0].starts_with(&format!("{cookie}=;")));

            let answer = send(&app, writing, &[swapped.as_bytes()]).await;
            assert_eq!(answer.body, "1");
            assert_eq!(store.reset(), Calls { load: 1, create: 1, ..Calls::default() });
            assert!(!answer.set_cookies()[0].contains(stolen.as_str()));
        }
        // And nothing has become of either.
        assert_eq!(browser.get("/both").await.body, "id 2 admin 2");
    }
}

#[tokio::test]
async fn a_token_of_one_opens_nothing_in_another_and_harms_nothing() {
    tokens_are_not_exchangeable(MemoryStore::new()).await;
    tokens_are_not_exchangeable(BytesStore::default()).await;
}

#[tokio::test]
async fn three_layers_do_not_hide_each_other() {
    async fn names(session: Session, admin: Named<Admin>, support: Named<Support>) -> Result<String, SessionError> {
        for session in [&session, &*admin, &*support] {
            session.insert("name", session.name())?;
        }
        Ok(format!("{} {} {}", session.name(), admin.name(), support.name()))
    }
    let store = MemoryStore::new();
    let app = Router::new()
        .route("/", get(names))
        .layer(SessionLayer::named::<Admin>(store.clone()).unwrap())
        .layer(SessionLayer::new(store.clone()))
        .layer(SessionLayer::named::<Support>(store.clone()).unwrap());
    let mut browser = Browser::new(&app);
    assert_eq!(browser.get("/").await.body, "id admin support");
    assert_eq!(browser.has(), [ADMIN, N, "__Host-support"]);
    assert_eq!(store.len(), 3);
}

#[tokio::test]
async fn a_named_extractor_loads_as_much_as_it_says() {
    let store = CountingStore::new(MemoryStore::new());
    let [app, _] = both_orders(&store);
    let mut browser = Browser::new(&app);
    assert_eq!(browser.get("/admin/optional").await.body, "none");
    assert_eq!(browser.get("/admin/reading").await.body, "None");
    assert_eq!(store.reset(), Calls::default());
    browser.get("/both").await;
    store.reset();
    for (path, body, load) in [
        ("/admin/optional", "there", 1),
        ("/admin/reading", "Some(1)", 1),
        ("/admin/lazily", "1", 1),
        ("/admin/lazily-never", "", 0),
    ] {
        assert_eq!(browser.get(path).await.body, body);
        assert_eq!(store.reset(), Calls { load, ..Calls::default() }, "{path}");
    }
}

#[tokio::test]
async fn a_missing_named_layer_is_said_by_its_name() {
    let app = app_routes().layer(layer(MemoryStore::new(), &TestClock::default()));
    for path in ["add", "optional", "reading", "lazily-never"] {
        let answer = send(&app, &format!("/admin/{path}"), &[]).await;
        assert_eq!(answer.status, StatusCode::INTERNAL_SERVER_ERROR, "{path}");
    }
    assert_eq!(send(&app, "/add", &[]).await.body, "1");

    let error = LazySession::named(&http::Extensions::new(), "admin").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::MissingLayer);
    assert!(error.to_string().contains("SessionLayer named \"admin\""), "{error}");
    // The other way round: a named layer is none for the usual session.
    let app = app_routes().layer(SessionLayer::named::<Admin>(MemoryStore::new()).unwrap());
    assert_eq!(send(&app, "/add", &[]).await.status, StatusCode::INTERNAL_SERVER_ERROR);
    assert_eq!(send(&app, "/admin/add", &[]).await.body, "1");
}

#[tokio::test]
async fn without_axum_they_are_found_by_name() {
    let service = service_fn(|request: Request<Body>| async move {
        let usual = LazySession::of(&request)?.load().await?;
        let admin = LazySession::named(request.extensions(), Admin::NAME)?.load().await?;
        let text = format!("{} {} {} {}", usual.name(), add(&usual)?, admin.name(), add(&admin)?);
        Ok::<_, SessionError>(http::Response::new(Body::from(text)))
    });
    let clock = TestClock::default();
    let service = admin_layer(MemoryStore::new(), &clock).layer(service);
    let service = layer(MemoryStore::new(), &clock).layer(service);
    let answer = Answer::of(service.oneshot(Request::new(Body::empty())).await.unwrap()).await;
    assert_eq!(answer.body, "id 1 admin 1");
    assert_eq!(answer.set_cookies().len(), 2);
}

#[tokio::test]
async fn an_explicit_transport_policy_and_store_count() {
    let (usual, own) = (MemoryStore::new(), MemoryStore::new());
    let policy = SessionPolicy::aal3();
    let named = SessionLayer::named::<Admin>(own.clone())
        .unwrap()
        .transport(SessionCookie::new("staff"))
        .unwrap()
        .policy(policy.clone())
        .unwrap();
    let policies = get(async move |session: Session, admin: Named<Admin>| {
        format!("{} {}", *session.policy() == SessionPolicy::aal2(), *admin.policy() == policy)
    });
    let app = app_routes().route("/policies", policies).layer(named).layer(SessionLayer::new(usual.clone()));
    let mut browser = Browser::new(&app);
    browser.get("/admin/add").await;
    assert_eq!(browser.has(), ["__Host-staff"]);
    assert_eq!((usual.len(), own.len()), (0, 1));
    browser.get("/add").await;
    assert_eq!((usual.len(), own.len()), (1, 1));
    assert_eq!(browser.get("/policies").await.body, "true true");
}

#[tokio::test]
async fn an_untouched_request_costs_no_store_call_and_its_answer_stays_as_it_is() {
    let store = CountingStore::new(MemoryStore::new());
    for app in both_orders(&store) {
        let mut browser = Browser::new(&app);
        browser.get("/both").await;
        store.reset();
        for path in ["/ignore", "/admin/lazily-never"] {
            let answer = browser.get(path).await;
            assert_eq!(answer.set_cookies(), [""; 0]);
            assert!(!answer.headers.contains_key(header::VARY) && !answer.headers.contains_key(header::CACHE_CONTROL));
        }
        assert_eq!(store.calls(), Calls::default());
    }
}

/// What an untouched request allocates, in a service with these layers around it.
fn allocations(layers: usize) -> u64 {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let inner =
        service_fn(async |_: Request<Body>| Ok::<_, std::convert::Infallible>(http::Response::new(Body::empty())));
    let mut service = tower::util::BoxService::new(inner);
    for layer in 0..layers {
        let manager = SessionManager::new(MemoryStore::new()).name(format!("n{layer}")).unwrap();
        service = tower::util::BoxService::new(SessionLayer::with_manager(manager).layer(service));
    }
    // As from a server, which keeps a table of extensions already and shares the bytes of its headers.
    let request = Request::builder().header(header::COOKIE, HeaderValue::from_static("other=1")).extension(());
    let request = request.body(Body::empty()).unwrap();
    allocation_counter::measure(|| drop(runtime.block_on(service.call(request)).unwrap())).count_total
}

/// The visit, and its entry in the extensions. A box of the test's own is one more.
#[test]
fn an_untouched_request_costs_two_allocations_for_each_layer() {
    let costs: Vec<_> = (0..4).map(allocations).collect();
    assert_eq!([costs[1] - costs[0], costs[2] - costs[1], costs[3] - costs[2]], [1 + 2; 3]);
}

#[tokio::test]
async fn a_cookie_that_two_layers_share_is_the_outer_ones() {
    let shared = || SessionCookie::new("shared");
    let clock = TestClock::default();
    let usual = layer(MemoryStore::new(), &clock).transport(shared()).unwrap();
    let admin = admin_layer(MemoryStore::new(), &clock).transport(shared()).unwrap();
    let app = app_routes().layer(usual.clone()).layer(admin.clone());
    assert_eq!(send(&app, "/admin/add", &[]).await.body, "1");
    assert_eq!(send(&app, "/add", &[]).await.status, StatusCode::INTERNAL_SERVER_ERROR);
    let app = app_routes().layer(admin).layer(usual);
    assert_eq!(send(&app, "/add", &[]).await.body, "1");
    assert_eq!(send(&app, "/admin/add", &[]).await.status, StatusCode::INTERNAL_SERVER_ERROR);
}

/// The outer layer of a cookie takes care of it, also if there is a layer with another cookie in between.
#[tokio::test]
async fn a_layer_in_between_does_not_make_two_sessions_of_one_cookie() {
    let (store, clock) = (MemoryStore::new(), TestClock::default());
    let usual = || layer(store.clone(), &clock);
    let outer_adds = from_fn(async |session: Session, request: Request<Body>, next: Next| {
        add(&session).unwrap();
        next.run(request).await
    });
    let inside = app_routes().layer(usual()).layer(admin_layer(store.clone(), &clock));
    let mut browser = Browser::new(&inside.layer(outer_adds).layer(usual()));
    for body in ["2", "4"] {
        assert_eq!(browser.get("/add").await.body, body);
        assert_eq!((browser.has(), store.len()), (vec![N], 1));
    }
}

/// The inner layer has stored a new secret when the outer one fails: the client's old one is dead, so the new one has to
/// reach the client with the error.
#[tokio::test]
async fn what_an_inner_session_has_stored_reaches_the_client_although_the_outer_one_fails() {
    let (store, clock) = (FaultStore::new(MemoryStore::new()), TestClock::default());
    let rotate = get(async |session: Session, admin: Named<Admin>| {
        session.insert("x", 1)?;
        admin.regenerate()
    });
    let app = app_routes().route("/rotate", rotate);
    let app = app.layer(admin_layer(MemoryStore::new(), &clock)).layer(layer(store.clone(), &clock));
    let mut browser = Browser::new(&app);
    browser.get("/both").await;
    store.once(Operation::Save, Fault::Broken);
    let answer = browser.get("/rotate").await;
    assert_eq!(answer.status, StatusCode::INTERNAL_SERVER_ERROR);
    assert_eq!(answer.headers[header::CACHE_CONTROL], "no-store");
    assert_eq!(answer.set_cookies().len(), 1);
    assert!(answer.headers[header::SET_COOKIE].is_sensitive());
    assert_eq!(browser.get("/both").await.body, "id 2 admin 2");
}

#[tokio::test]
async fn a_namespace_keeps_applications_apart_that_share_a_domain_and_a_store() {
    let (store, clock) = (MemoryStore::new(), TestClock::default());
    let app = |namespace: &'static str| routes().layer(layer(store.clone(), &clock).namespace(namespace));
    let (shop, forum) = (app("shop"), app("forum"));
    let token = send(&shop, "/add", &[]).await.token().unwrap().to_owned();
    let shown = format!("{N}={token}");
    assert_eq!(send(&forum, "/n", &[shown.as_bytes()]).await.body, "0");
    assert_eq!(send(&shop, "/n", &[shown.as_bytes()]).await.body, "1");
}

#[tokio::test]
async fn a_manager_without_http_has_names_as_well() {
    let store = MemoryStore::new();
    let usual = SessionManager::new(store.clone());
    let admin = usual.clone().name("admin").unwrap();
    assert_eq!((usual.create().name(), admin.create().name()), ("id", "admin"));
    let session = admin.create();
    session.insert("a", 1).unwrap();
    let cloakroom::TokenChange::Issue(issued) = admin.commit(&session).await.unwrap() else { panic!("no token") };
    let token = issued.token.expose();
    assert_eq!(usual.open(token.as_bytes()).await.unwrap().id(), None);
    assert_eq!(admin.open(token.as_bytes()).await.unwrap().id(), session.id());
    // The default name, given, is the default.
    assert_eq!(admin.clone().name("id").unwrap().open(token.as_bytes()).await.unwrap().id(), None);
}

#[test]
fn a_name_that_no_cookie_can_have_is_refused() {
    struct Spaced;
    impl SessionName for Spaced {
        const NAME: &'static str = "two words";
    }
    let error = SessionLayer::named::<Spaced>(MemoryStore::new()).unwrap_err();
    assert_eq!(error, ConfigError::SessionName { name: "two words".into() });
    assert!(error.to_string().contains("use letters"), "{error}");
    for prefixed in ["__Host-x", "__Secure-x", "__Http-x", "__host-x"] {
        let manager = SessionManager::new(MemoryStore::new()).name(prefixed).unwrap();
        let _ = SessionLayer::with_manager(manager);
    }
}

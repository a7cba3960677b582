//! A browser for tests.

mod jar;
mod request;
mod response;
mod session;
mod url;

use std::fmt;
use std::panic::Location;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ::cookie::Cookie;
use bytes::Bytes;
use http::header::{COOKIE, HOST, SET_COOKIE};
use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, Uri};
use http_body::Body;
use http_body_util::{BodyExt as _, Full};
use tower::util::BoxCloneSyncService;
use tower::{Service, ServiceExt as _};

use crate::http::SessionLayer;
use jar::{Jar, Refused};

pub use request::TestRequest;
pub use response::TestResponse;

type Error = Box<dyn std::error::Error + Send + Sync>;

/// A browser in front of an application: it keeps the cookies that it is given, and sends them back.
///
/// The application is called directly, without a network. What a test wants to know of the session is asked of the store,
/// through the layer that the application has. The [module page](super) shows a whole test.
///
/// Cookies are kept as browsers keep them (RFC 6265bis): by name, domain and path; `Secure` ones over HTTPS only; those with a
/// prefix such as `__Host-` only if they fit it; until `Max-Age` or `Expires` by the clock of the layer, which may be a
/// [`TestClock`](super::TestClock). Requests count as coming from the application's own pages, so `SameSite` keeps
/// nothing back. A token that travels in a header is kept and sent back as well. Redirects are followed if the request says so ([`TestRequest::follow`]).
///
/// Clones are tabs of one browser: they share its cookies, and may be used at the same time.
#[derive(Clone)]
pub struct TestClient {
    app: BoxCloneSyncService<Request<Full<Bytes>>, Response<Bytes>, Error>,
    layer: SessionLayer<()>,
    /// The cookie that takes the session's cookie away: the same name, domain and path.
    session_cookie: Option<Cookie<'static>>,
    /// The headers in which the token travels, if not in a cookie.
    session_headers: Vec<HeaderName>,
    origin: Uri,
    jar: Arc<Mutex<Jar>>,
}

impl TestClient {
    /// A browser without cookies, in front of this application: an axum `Router`, or any service of HTTP requests. `layer` is
    /// the one that the application is built with, or a clone of it.
    ///
    /// The application is at `https://localhost`, or at the domain of the session's cookie if that has one.
    ///
    /// A service whose requests have a body of another type than [`Full<Bytes>`] is given one by
    /// [`map_request`](tower::ServiceExt::map_request).
    pub fn new<A, B, E>(app: A, layer: &SessionLayer<E>) -> Self
    where
        A: Service<Request<Full<Bytes>>, Response = Response<B>> + Clone + Send + Sync + 'static,
        A::Error: Into<Error>,
        A::Future: Send + 'static,
        B: Body + Send + 'static,
        B::Data: Send,
        B::Error: Into<Error>,
        E: Clone,
    {
        let removal = layer.removal();
        let session_cookie = session_cookie(&removal);
        Self {
            app: BoxCloneSyncService::new(app.map_err(Into::into).and_then(collect)),
            layer: layer.clone().on_error(()),
            origin: origin_for(session_cookie.as_ref()),
            session_cookie,
            session_headers: removal.keys().filter(|name| *name != SET_COOKIE).cloned().collect(),
            jar: Arc::default(),
        }
    }

    /// Where the application is, for this client: scheme, host and port. `http://…` is for an application whose cookies are
    /// made for plain HTTP ([`SessionCookie::new_for_http`](crate::SessionCookie::new_for_http)); others are not kept there.
    ///
    /// # Panics
    ///
    /// If it is no address that begins with `http://` or `https://`.
    #[track_caller]
    #[must_use]
    pub fn origin(mut self, origin: &str) -> Self {
        self.origin = self.resolve(origin);
        self
    }

    /// Another browser in front of the same application, without cookies.
    #[must_use]
    pub fn another_browser(&self) -> Self {
        Self { jar: Arc::default(), ..self.clone() }
    }

    /// Another browser with the cookies that this one has now, as a thief would have it. What happens to the cookies of one is
    /// nothing to the other from then on.
    #[must_use]
    pub fn with_stolen_cookies(&self) -> Self {
        let stolen = self.jar().clone();
        Self { jar: Arc::new(Mutex::new(stolen)), ..self.clone() }
    }

    /// Closes the browser and opens it again: cookies without `Max-Age` and `Expires` are gone.
    pub fn restart(&self) {
        self.jar().quit();
    }

    /// A `GET` request to a path, or to a whole address. It is sent when it is awaited.
    ///
    /// # Panics
    ///
    /// If `path` is neither; and when awaited, if the application fails instead of answering. The same holds for the other
    /// methods.
    #[track_caller]
    pub fn get(&self, path: &str) -> TestRequest {
        self.request(Method::GET, path)
    }

    /// A `POST` request. As [`get`](Self::get).
    #[track_caller]
    pub fn post(&self, path: &str) -> TestRequest {
        self.request(Method::POST, path)
    }

    /// A `PUT` request. As [`get`](Self::get).
    #[track_caller]
    pub fn put(&self, path: &str) -> TestRequest {
        self.request(Method::PUT, path)
    }

    /// A `PATCH` request. As [`get`](Self::get).
    #[track_caller]
    pub fn patch(&self, path: &str) -> TestRequest {
        self.request(Method::PATCH, path)
    }

    /// A `DELETE` request. As [`get`](Self::get).
    #[track_caller]
    pub fn delete(&self, path: &str) -> TestRequest {
        self.request(Method::DELETE, path)
    }

    /// A request with any method. As [`get`](Self::get).
    #[track_caller]
    pub fn request(&self, method: Method, path: &str) -> TestRequest {
        TestRequest::new(self, method, path)
    }

    /// The cookie of this name that the client would send to the application's root, with the attributes that it was set with.
    pub fn cookie(&self, name: &str) -> Option<Cookie<'static>> {
        self.jar().get(name, &self.origin, self.layer.manager().now())
    }

    /// Puts a cookie into the client as if the application had set it: `theme=dark; Path=/`.
    ///
    /// # Panics
    ///
    /// If browsers would not keep it.
    #[track_caller]
    pub fn set_cookie(&self, set_cookie: &str) {
        let kept = self.jar().store(set_cookie.as_bytes(), &self.origin, self.layer.manager().now());
        if let Err(refused) = kept {
            panic!("browsers ignore the cookie {:?} from {}: {}", refused.name, self.origin, refused.reason);
        }
    }

    async fn send(&self, method: &Method, to: &Uri, headers: &HeaderMap, body: &Bytes) -> Result<TestResponse, Error> {
        let mut request = Request::new(Full::new(body.clone()));
        *request.method_mut() = method.clone();
        // As HTTP/1.1 has it: the path in the first line, the host in a header.
        *request.uri_mut() = to.path_and_query().cloned().unwrap_or(PathAndQuery::from_static("/")).into();
        *request.headers_mut() = headers.clone();
        if let Some(authority) = to.authority().filter(|_| !headers.contains_key(HOST)) {
            request.headers_mut().insert(HOST, HeaderValue::from_str(authority.as_str())?);
        }
        self.show_cookies(request.headers_mut(), to);
        let response = self.app.clone().oneshot(request).await?;
        let refused = self.receive(response.headers(), to);
        let session_cookie = self.session_cookie.as_ref().map(|cookie| cookie.name().to_owned());
        Ok(TestResponse::new(response, to.clone(), session_cookie, refused))
    }

    fn show_cookies(&self, headers: &mut HeaderMap, to: &Uri) {
        if let Some(cookies) = self.jar().header(to, self.layer.manager().now()) {
            headers.append(COOKIE, cookies);
        }
        headers.extend(self.jar().tokens.clone());
    }

    fn receive(&self, headers: &HeaderMap, from: &Uri) -> Vec<Refused> {
        let mut jar = self.jar();
        for name in &self.session_headers {
            match headers.get(name) {
                Some(token) if !token.is_empty() => drop(jar.tokens.insert(name, token.clone())),
                Some(_) => drop(jar.tokens.remove(name)),
                None => {}
            }
        }
        jar.receive(headers, from, self.layer.manager().now())
    }

    /// An address to which the session's cookie is sent.
    fn session_address(&self) -> Uri {
        let path = self.session_cookie.as_ref().and_then(|cookie| cookie.path()).unwrap_or("/");
        url::resolve(&self.origin, path).unwrap_or_else(|| self.origin.clone())
    }

    #[track_caller]
    fn resolve(&self, path: &str) -> Uri {
        url::resolve(&self.origin, path).unwrap_or_else(|| {
            panic!("{path:?} is no path and no address of the web; spaces, for example, are %20 there")
        })
    }

    fn jar(&self) -> MutexGuard<'_, Jar> {
        self.jar.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// No cookies: they are credentials.
impl fmt::Debug for TestClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TestClient").field("origin", &self.origin).finish_non_exhaustive()
    }
}

async fn collect<B: Body<Error: Into<Error>>>(response: Response<B>) -> Result<Response<Bytes>, Error> {
    let (parts, body) = response.into_parts();
    let body = body.collect().await.map_err(Into::into)?;
    Ok(Response::from_parts(parts, body.to_bytes()))
}

fn session_cookie(removal: &HeaderMap) -> Option<Cookie<'static>> {
    let text = removal.get(http::header::SET_COOKIE)?.to_str().ok()?;
    Cookie::parse(text.to_owned()).ok()
}

/// Where the cookie of the session is kept.
fn origin_for(session_cookie: Option<&Cookie<'_>>) -> Uri {
    let host = session_cookie.and_then(Cookie::domain).unwrap_or("localhost");
    format!("https://{host}/").parse().expect("the layer has checked the domain of its cookie")
}

/// The panic of something that was awaited, whose own place in the code is no help.
fn fail(location: &Location<'_>, message: impl fmt::Display) -> ! {
    panic!("{message}\n    at {location}")
}

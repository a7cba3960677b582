//! How an application of actix-web is driven.

use actix_http::Request;
use actix_web::body::to_bytes;
use actix_web::dev::{Service, ServiceResponse};
use actix_web::error::Error;
use actix_web::http::header::{COOKIE, HeaderValue, SET_COOKIE};
use actix_web::rt::{System, SystemRunner};
use actix_web::test::TestRequest;
use futures_util::future::join_all;
use tokio::task::coop::unconstrained;

use crate::rig::{Answer, Rig};

pub(super) struct ActixRig<S> {
    runtime: SystemRunner,
    app: S,
}

impl<S: Service<Request, Response = ServiceResponse, Error = Error>> ActixRig<S> {
    /// With the application that the function makes on the runtime.
    pub(super) fn new<F: Future<Output = S>>(app: impl FnOnce() -> F) -> Self {
        let runtime = System::new();
        let app = runtime.block_on(async { app().await });
        Self { runtime, app }
    }
}

impl<S: Service<Request, Response = ServiceResponse, Error = Error>> Rig for ActixRig<S> {
    fn ask(&mut self, path: &str, cookie: Option<&str>) -> Answer {
        let cookie = cookie.map(header);
        self.runtime.block_on(async {
            let answer = match self.app.call(request(path, cookie.as_ref())).await {
                Ok(answer) => answer.into_parts().1,
                Err(error) => error.error_response(),
            };
            let (head, body) = answer.into_parts();
            let body = to_bytes(body).await.unwrap_or_default();
            let cookies = head.headers().get_all(SET_COOKIE).map(HeaderValue::as_bytes);
            Answer::new(head.status().as_u16(), &body, cookies)
        })
    }

    fn repeat(&mut self, path: &'static str, cookie: Option<&str>, times: u64) {
        let cookie = cookie.map(header);
        self.runtime.block_on(unconstrained(async {
            for _ in 0..times {
                let answer = self.app.call(request(path, cookie.as_ref())).await;
                assert!(answer.is_ok_and(|answer| answer.status() == 200));
            }
        }));
    }

    fn at_once(&mut self, path: &'static str, cookie: &str, times: u64) -> u64 {
        let cookie = header(cookie);
        self.runtime.block_on(async {
            let calls = (0..times).map(|_| self.app.call(request(path, Some(&cookie))));
            let answers = join_all(calls).await;
            answers.iter().filter(|answer| answer.as_ref().is_ok_and(|answer| answer.status() == 200)).count() as u64
        })
    }
}

fn request(path: &str, cookie: Option<&HeaderValue>) -> Request {
    let request = TestRequest::with_uri(path);
    match cookie {
        Some(cookie) => request.insert_header((COOKIE, cookie.clone())).to_request(),
        None => request.to_request(),
    }
}

fn header(text: &str) -> HeaderValue {
    HeaderValue::from_str(text).expect("cookies are visible ASCII")
}

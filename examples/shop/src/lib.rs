//! A shop whose visitors have a cart before they have an account, and devices once they have one.
//!
//! | to see | look at |
//! |---|---|
//! | a store by its URL | `store.rs` |
//! | the layer, its policy, the sweeper, a clean shutdown | [`Shop`] |
//! | a part of the session with a type of its own, and two tabs that change it at once | `cart.rs`, `pages/cart.rs` |
//! | login, remember me, logout | `pages/login.rs` |
//! | messages over redirects, a form that comes back filled in | `pages/sign_up.rs` |
//! | the password again before it is changed | `pages/password.rs` |
//! | your devices, and how to end their sessions | `pages/devices.rs` |
//! | a number that is the same in all tabs, until the session ends | `live.rs` |
//! | forms that only our own pages can send | `forms.rs` |
//! | pages instead of bare errors | `errors.rs` |
//! | what operators learn | `figures.rs`, `pages/admin.rs` |

mod accounts;
mod cart;
mod catalogue;
mod errors;
mod figures;
mod forms;
mod live;
mod pages;
mod static_files;
mod views;

use std::io;
use std::time::Duration;

use axum::Router;
use axum::http::{HeaderName, HeaderValue, header};
use axum::middleware::from_fn_with_state;
use cloakroom::{SessionLayer, SessionManager, SessionPolicy, SweeperSettings};
use tokio::net::TcpListener;
use tower_http::csrf::CsrfLayer;
use tower_http::set_header::SetResponseHeaderLayer;

pub use accounts::{Accounts, DEMO};
use figures::Figures;
use live::News;
use views::Views;

const MINUTE: Duration = Duration::from_mins(1);

/// An hour unused or a day in all is the end, unless a visitor wants to be remembered. Secrets are renewed in passing.
pub fn policy() -> SessionPolicy {
    SessionPolicy::aal2().rotate_every(15 * MINUTE, MINUTE)
}

/// What handlers need besides their arguments.
#[derive(Clone)]
pub struct Shop {
    layer: SessionLayer,
    accounts: Accounts,
    figures: Figures,
    news: News,
    views: Views,
}

impl Shop {
    /// A shop with these sessions.
    pub fn new(sessions: SessionLayer, accounts: Accounts) -> Self {
        let figures = Figures::default();
        let layer = sessions.on_event(figures.listener());
        Self { layer, accounts, figures, news: News::default(), views: Views::default() }
    }

    /// Serves until `shutdown` is over, and leaves nothing half done.
    pub async fn serve(
        self,
        listener: TcpListener,
        shutdown: impl Future<Output = ()> + Send + 'static,
    ) -> io::Result<()> {
        // Gives back the space of sessions that have expired. Nobody sees them anyway.
        let sweeper = self.layer.start_sweeper(SweeperSettings::default());
        let news = self.news.clone();
        let shutdown = async move {
            shutdown.await;
            // The server waits for its streams.
            news.shut_down();
        };
        axum::serve(listener, self.router()).with_graceful_shutdown(shutdown).await?;
        // What clients that went away have left half stored is stored before the process ends.
        self.layer.drain(Duration::from_secs(5)).await;
        sweeper.stop().await;
        Ok(())
    }

    fn router(&self) -> Router {
        let router = pages::routes()
            .merge(live::routes())
            .merge(static_files::routes())
            .with_state(self.clone())
            // From here on the innermost comes first. Every request has its session; whoever does not ask for it pays nothing.
            .layer(self.layer.clone())
            // What browsers say comes from another site is refused before anything is loaded for it.
            .layer(CsrfLayer::new())
            // Whatever is refused further in gets a page.
            .layer(from_fn_with_state(self.clone(), errors::dress));
        HEADERS.into_iter().fold(router, |router, (name, value)| {
            router.layer(SetResponseHeaderLayer::if_not_present(name, HeaderValue::from_static(value)))
        })
    }

    /// To look after sessions of any user.
    fn sessions(&self) -> &SessionManager {
        self.layer.manager()
    }
}

/// On every answer that does not say otherwise.
const HEADERS: [(HeaderName, &str); 5] = [
    (
        header::CONTENT_SECURITY_POLICY,
        "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; connect-src 'self'; form-action 'self'; \
         base-uri 'none'; frame-ancestors 'none'",
    ),
    // Every page says whose session it is. Nothing of it is left in the browser after a logout, not even for the back button.
    (header::CACHE_CONTROL, "no-store"),
    (header::REFERRER_POLICY, "same-origin"),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
];

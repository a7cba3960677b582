use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use http::{Response, StatusCode};
use pin_project_lite::pin_project;

use super::OnError;
use super::answer;
use super::lazy::Visit;
use crate::engine::RunToEnd;
use crate::error::SessionError;
use crate::state::{Mode, TokenChange};

pin_project! {
    /// The answer of a [`SessionService`](super::SessionService): the handler's, once the session is committed.
    ///
    /// Dropped before the handler has answered, it has changed nothing. Dropped during the commit, it hands the rest of the
    /// commit to the runtime.
    pub struct ResponseFuture<F, ResBody, E> {
        #[pin]
        stage: Stage<F, ResBody>,
        visit: Arc<Visit>,
        on_error: E,
    }
}

pin_project! {
    #[project = StageProjection]
    enum Stage<F, ResBody> {
        Handling { #[pin] handler: F },
        Committing {
            commit: RunToEnd<Result<TokenChange, SessionError>>,
            response: Option<Response<ResBody>>,
        },
    }
}

impl<F, ResBody, E> ResponseFuture<F, ResBody, E> {
    pub(super) fn new(handler: F, visit: Arc<Visit>, on_error: E) -> Self {
        Self { stage: Stage::Handling { handler }, visit, on_error }
    }
}

impl<F, ResBody, Error, E> Future for ResponseFuture<F, ResBody, E>
where
    F: Future<Output = Result<Response<ResBody>, Error>>,
    E: OnError<ResBody>,
{
    type Output = Result<Response<ResBody>, Error>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        loop {
            match this.stage.as_mut().project() {
                StageProjection::Handling { handler } => {
                    let mut response = ready!(handler.poll(context))?;
                    let Some(session) = this.visit.close() else {
                        return Poll::Ready(Ok(response));
                    };
                    let mode = mode_for(response.status(), this.visit.shared().save_on_server_error);
                    if let Some(change) = session.settle(mode) {
                        answer::finish(&mut response, &change, this.visit);
                        return Poll::Ready(Ok(response));
                    }
                    let commit = session.commit(mode);
                    this.stage.set(Stage::Committing { commit, response: Some(response) });
                }
                StageProjection::Committing { commit, response } => {
                    let result = ready!(Pin::new(commit).poll(context));
                    let mut response = response.take().expect("a future is not polled after it has ended");
                    match result {
                        Ok(change) => answer::finish(&mut response, &change, this.visit),
                        Err(error) => {
                            response = this.on_error.respond(&error);
                            answer::finish(&mut response, &TokenChange::Keep, this.visit);
                        }
                    }
                    return Poll::Ready(Ok(response));
                }
            }
        }
    }
}

fn mode_for(status: StatusCode, save_on_server_error: bool) -> Mode {
    if status.is_server_error() && !save_on_server_error { Mode::FinalWithoutData } else { Mode::Final }
}

impl<F, ResBody, E> fmt::Debug for ResponseFuture<F, ResBody, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseFuture").finish_non_exhaustive()
    }
}

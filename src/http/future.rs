use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use http::{Response, StatusCode};
use pin_project_lite::pin_project;

use super::OnError;
use super::answer;
use super::lazy::Visit;
use crate::engine::{Commit, Ending};
use crate::state::Mode;

pin_project! {
    /// The answer of a [`SessionService`](super::SessionService): the handler's, once the session is committed.
    ///
    /// Dropped before the handler has answered, it has changed nothing. Dropped during the commit, it hands the rest of the
    /// commit to the runtime.
    pub struct ResponseFuture<F, ResBody, E> {
        #[pin]
        stage: Stage<F, ResBody>,
        // `None` where a layer further out takes care of the session, and when the handler has answered without one.
        visit: Option<Arc<Visit>>,
        on_error: E,
    }

    impl<F, ResBody, E> PinnedDrop for ResponseFuture<F, ResBody, E> {
        fn drop(this: Pin<&mut Self>) {
            let this = this.project();
            if let (StageProjection::Handling { .. }, Some(visit)) = (this.stage.project(), this.visit) {
                visit.abandon();
            }
        }
    }
}

pin_project! {
    #[project = StageProjection]
    enum Stage<F, ResBody> {
        Handling { #[pin] handler: F },
        Committing {
            commit: Commit,
            response: Option<Response<ResBody>>,
        },
        Answered,
    }
}

impl<F, ResBody, E> ResponseFuture<F, ResBody, E> {
    pub(super) fn new(handler: F, visit: Option<Arc<Visit>>, on_error: E) -> Self {
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
                    let Some((visit, opened)) = this.visit.as_ref().and_then(|visit| Some((visit, visit.close()?)))
                    else {
                        // Nothing is left to abandon.
                        *this.visit = None;
                        return Poll::Ready(Ok(response));
                    };
                    let mode = mode_for(response.status(), visit.shared().save_on_server_error);
                    match opened.session.end(mode) {
                        Ending::AtOnce(result) => {
                            answer::complete(&mut response, result, visit, opened, this.on_error);
                            this.stage.set(Stage::Answered);
                            return Poll::Ready(Ok(response));
                        }
                        Ending::Commit(commit) => {
                            this.stage.set(Stage::Committing { commit, response: Some(response) });
                        }
                    }
                }
                StageProjection::Committing { commit, response } => {
                    let result = ready!(Pin::new(commit).poll(context));
                    let mut response = response.take().expect("the answer is there until the commit has ended");
                    let visit = this.visit.as_ref().expect("what is committed is the session of a visit");
                    let opened = visit.opened().expect("what is committed was opened");
                    answer::complete(&mut response, result, visit, opened, this.on_error);
                    this.stage.set(Stage::Answered);
                    return Poll::Ready(Ok(response));
                }
                StageProjection::Answered => panic!("a future is not polled after it has ended"),
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

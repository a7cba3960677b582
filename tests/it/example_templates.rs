//! The notebooks: `cargo run --example templates_…`, read and written over a socket.

use http::StatusCode;

use crate::support::example::{Curl, start};

/// Fills in the form, and is sent back to the page.
async fn write(notebook: &mut Curl, form: &'static str) {
    assert_eq!(notebook.post_form("/", form).await.0, StatusCode::SEE_OTHER);
}

/// What a page shows, with the signs of one engine's escaping read as another's.
fn shown(page: &str, after: &str, before: &str) -> Vec<String> {
    assert!(!page.contains("<script>"), "{page}");
    let read = page.replace("&#60;", "&lt;").replace("&#62;", "&gt;").replace("&#34;", "&quot;");
    let starts = read.split(after).skip(1);
    starts.map(|rest| rest.split(before).next().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn each_notebook_keeps_notes_says_so_once_and_gives_back_what_had_been_typed() {
    for engine in ["templates_minijinja", "templates_tera", "templates_askama"] {
        let example = start(engine, &[]);
        let mut notebook = example.visitor();
        let page = notebook.get("/").await;
        assert_eq!(shown(&page, "<dt>", "</dt>"), ["No notes yet."], "{engine}");
        assert!(notebook.jar.is_empty(), "{engine}: nothing was written");

        // A mistake: the page has the message and the old input, escaped, and only once.
        write(&mut notebook, "title=%22%3E%3Cscript%3E&text=+").await;
        let page = notebook.get("/").await;
        assert_eq!(shown(&page, "class=\"error\">", "</p>"), ["A note needs a text."], "{engine}");
        assert_eq!(shown(&page, "name=\"title\" value=\"", "\">"), ["&quot;&gt;&lt;script&gt;"], "{engine}");
        let page = notebook.get("/").await;
        assert!(shown(&page, "role=\"alert\"", "</p>").is_empty(), "{engine}");
        assert_eq!(shown(&page, "name=\"title\" value=\"", "\">"), [""], "{engine}");

        write(&mut notebook, "title=%3Cscript%3E&text=%3Cscript%3E").await;
        write(&mut notebook, "title=&text=two").await;
        let page = notebook.get("/").await;
        assert_eq!(shown(&page, "role=\"status\">", "</p>"), ["“Untitled” is kept."], "{engine}");
        assert_eq!(shown(&page, "class=\"warning\">", "</p>"), ["The note had no title."], "{engine}");
        assert_eq!(shown(&page, "<dt>", "</dt>"), ["&lt;script&gt;", "Untitled"], "{engine}");
        assert_eq!(shown(&page, "<dd>", "</dd>"), ["&lt;script&gt;", "two"], "{engine}");
        let page = notebook.get("/").await;
        assert!(shown(&page, "role=", "</p>").is_empty(), "{engine}");
        assert_eq!(shown(&page, "<dd>", "</dd>").len(), 2, "{engine}");
    }
}

//! Sessions that are spread over several cookies.

use super::*;
use http::StatusCode;
use http::header::SET_COOKIE;

/// The names of the cookies that are set, and those that are taken away.
fn told(answer: &cloakroom::testing::TestResponse) -> (Vec<String>, Vec<String>) {
    let cookies = answer.headers().get_all(SET_COOKIE).iter().map(|cookie| cookie.to_str().unwrap());
    let (gone, set): (Vec<_>, Vec<_>) = cookies.partition(|cookie| cookie.contains("Max-Age=0"));
    let name = |cookie: &str| cookie.split('=').next().unwrap().to_owned();
    (set.into_iter().map(name).collect(), gone.into_iter().map(name).collect())
}

fn names(numbers: std::ops::Range<usize>) -> Vec<String> {
    numbers.map(|number| if number == 0 { N.to_owned() } else { format!("{N}.{number}") }).collect()
}

/// The values of the session's cookies.
fn values(browser: &TestClient) -> Vec<String> {
    names(0..4).iter().filter_map(|name| Some(browser.cookie(name)?.value().to_owned())).collect()
}

fn header(values: &[String]) -> String {
    names(0..4).iter().zip(values).map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join("; ")
}

async fn length(browser: &TestClient, cookies: &str) -> String {
    browser.another_browser().get("/length").header("cookie", cookies).await.text().to_owned()
}

#[tokio::test]
async fn they_become_more_and_fewer_and_those_that_are_left_over_are_taken_away() {
    for sessions in both() {
        let ada = browser_with_chunks(sessions, 4);
        for (path, set, gone) in [
            ("/long/100", 0..1, 0..0),
            ("/long/8000", 0..3, 0..0),
            ("/long/11000", 0..4, 0..0),
            ("/long/5000", 0..2, 2..4),
            ("/long/5001", 0..2, 0..0),
            ("/long/100", 0..1, 1..2),
            ("/long/8000", 0..3, 0..0),
            ("/logout", 0..0, 0..3),
        ] {
            let answer = ada.get(path).await;
            answer.assert_status(StatusCode::OK);
            assert_eq!(told(&answer), (names(set), names(gone)), "{path}");
            let expected = path.strip_prefix("/long/").unwrap_or("0");
            assert_eq!(text(&ada, "/length").await, expected);
        }
        assert_eq!(values(&ada), [""; 0]);
    }
}

#[tokio::test]
async fn no_cookie_is_longer_than_4096_bytes_and_four_are_the_most() {
    for sessions in both() {
        let ada = browser_with_chunks(sessions, 4);
        ada.get("/long/11800").await.assert_status(StatusCode::OK);
        let all = values(&ada);
        assert_eq!(all.len(), 4);
        for (name, value) in names(0..4).iter().zip(&all) {
            assert!(name.len() + value.len() <= 4096);
        }
        assert_eq!(names(1..2)[0].len() + all[1].len(), 4096);
        ada.get("/long/12300").await.assert_status(StatusCode::PAYLOAD_TOO_LARGE).assert_no_session_cookie();
        assert_eq!(text(&ada, "/length").await, "11800");
    }
}

#[tokio::test]
async fn a_chunk_that_is_missing_changed_or_of_another_answer_makes_a_stranger() {
    for sessions in both() {
        let ada = browser_with_chunks(sessions, 3);
        ada.get("/long/8000").await;
        let older = values(&ada);
        ada.get("/long/8001").await;
        let newer = values(&ada);
        assert_eq!(length(&ada, &header(&newer)).await, "8001");
        assert_eq!(length(&ada, &header(&older)).await, "8000");
        for at in 0..3 {
            let mut changed = newer.clone();
            changed[at].clone_from(&older[at]);
            assert_eq!(length(&ada, &header(&changed)).await, "0", "chunk {at} of another answer");
            changed[at] = newer[at][1..].to_owned();
            assert_eq!(length(&ada, &header(&changed)).await, "0", "chunk {at} without its first character");
            let missing: Vec<_> = header(&newer)
                .split("; ")
                .enumerate()
                .filter(|(index, _)| *index != at)
                .map(|(_, pair)| pair.to_owned())
                .collect();
            assert_eq!(length(&ada, &missing.join("; ")).await, "0", "without chunk {at}");
        }
        let [first, second, third] = &newer[..] else { panic!("{} chunks", newer.len()) };
        assert_eq!(length(&ada, &header(&[first.clone(), third.clone(), second.clone()])).await, "0", "swapped");
        for count in ["0", "1", "2", "4", "9", "x", "", "33"] {
            let changed = [format!("{count}{}", &first[1..]), second.clone(), third.clone()];
            assert_eq!(length(&ada, &header(&changed)).await, "0", "{count} chunks");
        }
    }
}

#[tokio::test]
async fn a_stranger_is_told_to_forget_all_of_them() {
    for sessions in both() {
        let ada = browser_with_chunks(sessions, 3);
        ada.get("/long/8000").await;
        let mut changed = values(&ada);
        changed[1].replace_range(..4, "AAAA");
        let answer = ada.another_browser().get("/length").header("cookie", header(&changed)).await;
        assert_eq!(told(&answer), (vec![], names(0..3)));
    }
}

#[tokio::test]
async fn left_over_and_planted_cookies_do_not_hide_good_ones() {
    for sessions in both() {
        let ada = browser_with_chunks(sessions, 4);
        ada.get("/long/5000").await;
        let own = header(&values(&ada));
        let good = [
            format!("{own}; {N}.2=left; {N}.3=over"),
            format!("{N}.1=planted; {own}"),
            format!("{own}; {N}.1=planted; {N}.1=; {N}.1=too"),
            format!("{N}=planted; {N}=2.planted; {own}"),
            format!("{own}; {own}; {own}"),
        ];
        for cookies in good {
            assert_eq!(length(&ada, &cookies).await, "5000", "{cookies}");
        }
        // As many as with tokens: whoever plants so many is heard of, and nobody is logged in.
        let planted: Vec<_> = (0..5).map(|n| format!("{N}.1=planted{n}")).collect();
        let many =
            ada.another_browser().get("/length").header("cookie", format!("{own}; {}", planted.join("; "))).await;
        assert_eq!(many.text(), "0");
        many.assert_no_session_cookie();
    }
}

#[tokio::test]
async fn thousands_of_cookies_take_no_time() {
    let [sessions, _] = both();
    let ada = browser_with_chunks(sessions, 4);
    ada.get("/long/8000").await;
    let [first, ..] = &values(&ada)[..] else { panic!("no cookie") };
    let cookies: Vec<_> = (0..2000).map(|n| format!("{N}=4{}{n}; {N}.{}={n}", &first[1..70], 1 + n % 3)).collect();
    let started = std::time::Instant::now();
    assert_eq!(length(&ada, &cookies.join("; ")).await, "0");
    assert!(started.elapsed() < std::time::Duration::from_secs(5));
}

#[tokio::test]
async fn where_chunks_are_not_allowed_any_more_they_open_nothing() {
    let key = key();
    let ada = browser_with_chunks(CookieStore::without_revocation(copy(&key)), 3);
    ada.get("/long/8000").await;
    let all = header(&values(&ada));
    for chunks in [1, 2] {
        let fewer = browser_with_chunks(CookieStore::without_revocation(copy(&key)), chunks);
        assert_eq!(length(&fewer, &all).await, "0");
    }
}

//! Tokens: every answer of a token's address has new ones, and all of them are secrets, as are the code that a browser brings back and the verifier
//! that the node makes.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use serde_json::json;
use snaphook_testkit::{Answer, Recorded, Upstream};
use snaphook_tests::{Client, Tenant};

use crate::connections::of;

/// Beginnings that tokens have, and some that they should not have. All may stand in a header.
const SHAPES: [&str; 4] = ["ya29.A0+/=", "eyJhbGciOiJub25lIn0.", "quo\"ted\\<&>'%25 ", ""];

/// What the token's addresses of an upstream have given away.
pub(crate) struct Tokens(Arc<Mutex<Vec<String>>>);

impl Tokens {
    /// Two addresses. `/token` gives a token for a code that is over at once, so that it is renewed, and of all others every second one is; `/token-once`
    /// gives one for a code, too, and refuses to renew it, with all that it was sent.
    pub(crate) fn at(upstream: &Upstream) -> Self {
        let given = Arc::<Mutex<Vec<String>>>::default();
        let (always, once) = (Arc::clone(&given), Arc::clone(&given));
        let is_first = |request: &Recorded| field(request, "grant_type").as_deref() == Some("authorization_code");
        upstream.on_request("/token", move |request| give(&always, if is_first(request) { &[1] } else { &[1, 3600] }));
        upstream.on_request("/token-once", move |request| if is_first(request) { give(&once, &[1]) } else { refuse(request) });
        Self(given)
    }

    /// All that may be nowhere: tokens, and what was sent to get them.
    pub(crate) fn all(&self, upstream: &Upstream) -> Vec<String> {
        let asked = upstream.requests().into_iter().filter(|request| request.path.starts_with("/token"));
        let sent = asked.flat_map(|request| ["code", "code_verifier", "refresh_token"].map(|name| field(&request, name)));
        let mut all: Vec<String> = sent.flatten().collect();
        all.extend(self.0.lock().unwrap().iter().cloned());
        all.sort_unstable();
        all.dedup();
        all
    }
}

/// New tokens, which last one after the other so many seconds.
fn give(given: &Mutex<Vec<String>>, lasts: &[u32]) -> Answer {
    let mut given = given.lock().unwrap();
    let number = given.len() / 2;
    let [access, refresh] = ["access", "refresh"].map(|kind| format!("{}{kind}-c4n4ry-{number}.", SHAPES[number % SHAPES.len()]));
    given.extend([access.clone(), refresh.clone()]);
    let expires_in = lasts[number % lasts.len()];
    Answer::json(json!({"access_token": access, "refresh_token": refresh, "token_type": "bearer", "expires_in": expires_in}))
}

/// Says no, and everything that it was sent.
fn refuse(request: &Recorded) -> Answer {
    let said = format!("{} {}", request.header("authorization").unwrap_or_default(), request.text());
    Answer::json(json!({"error": "invalid_grant", "error_description": said})).with_status(400)
}

/// A field of the form that was sent.
fn field(request: &Recorded, name: &str) -> Option<String> {
    url::form_urlencoded::parse(&request.body).into_owned().find(|(field, _)| field == name).map(|(_, value)| value)
}

/// Does what somebody does in a browser, who agrees to a connection; gives what the node said.
pub(crate) async fn agree(tenant: &Tenant, name: &str) -> Vec<String> {
    static NEXT: AtomicUsize = AtomicUsize::new(1);
    let code = format!("c0de+/= &c4n4ry-{}.", NEXT.fetch_add(1, Ordering::Relaxed));
    let asked = tenant.client.post(&format!("/v1/connections/{name}/authorize"), &json!({})).await.expect(200);
    let address = url::Url::parse(asked.json()["url"].as_str().expect("an address to open")).unwrap();
    let state = of(&address.query_pairs().into_owned().collect::<Vec<_>>(), "state");
    let query = url::form_urlencoded::Serializer::new(String::new()).append_pair("state", &state).append_pair("code", &code).finish();
    let page = Client::new(&tenant.client.url, None).get(&format!("/oauth/callback?{query}")).await.expect(200);
    let shown = tenant.client.get(&format!("/v1/connections/{name}")).await.expect(200);
    assert_eq!(shown.json()["status"], "ok");
    vec![asked.text(), page.text(), shown.text()]
}

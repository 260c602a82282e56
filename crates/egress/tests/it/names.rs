//! Names: what is connected to is what was checked, whatever a name means and however often it changes its mind.

use std::future;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use snaphook_egress::{EgressConfig, Resolver, Resolving};
use snaphook_model::Code;
use snaphook_testkit::{Answer, Upstream};

use crate::support::{Names, Sender, untouched};

#[tokio::test]
async fn a_name_for_a_special_address_is_refused_without_saying_which() {
    let upstream = Upstream::start().await;
    let names = Names::default()
        .with("loop.example", &["127.0.0.1"])
        .with("mapped.example", &["::ffff:127.0.0.1"])
        .with("inside.example", &["10.20.30.40", "fd00::7"])
        .with("meta.example", &["169.254.169.254"])
        .with("localhost", &["::1", "127.0.0.1"]);
    let sender = Sender::with(names.config());
    for (name, what) in [
        ("loop.example", "loopback address (127.0.0.0/8)"),
        ("LOOP.example", "loopback"),
        ("mapped.example", "loopback"),
        ("inside.example", "private address (10.0.0.0/8)"),
        ("meta.example", "metadata"),
        ("localhost", "loopback"),
    ] {
        let fault = sender.refusal(&upstream.url_at(name, "/?key=secret"), Code::EgressRefused).await;
        assert!(fault.detail.contains(what) && fault.detail.contains("allow_private"), "{fault}");
        assert!(!fault.detail.contains("20.30.40") && !fault.detail.contains("secret"), "{fault}");
    }
    untouched(&upstream);
}

#[tokio::test]
async fn of_a_mixed_answer_only_what_is_allowed_is_tried() {
    let upstream = Upstream::start().await;
    upstream.on("/", Answer::text("ok"));
    // 127.0.0.2 is where nobody listens at this port; it is allowed here and must be passed over only because it does not answer.
    let names =
        Names::default().with("mixed.example", &["10.0.0.1", "fd00::1", "127.0.0.1"]).with("dead.example", &["127.0.0.2", "127.0.0.1"]);
    let sender = Sender::with(names.config()).on_loopback();
    assert_eq!(sender.get(&upstream.url_at("mixed.example", "/")).await.unwrap().body, "ok");
    assert_eq!(sender.get(&upstream.url_at("dead.example", "/")).await.unwrap().body, "ok");
}

#[tokio::test]
async fn the_refused_address_of_a_mixed_answer_is_never_connected_to() {
    let upstream = Upstream::start().await;
    // The only address that could answer is the one that is refused; the other is allowed and refuses connections.
    let names = Names::default().with("mixed.example", &["127.0.0.1", "127.0.0.2"]);
    let sender = Sender::with(names.config()).allowing_private(&["127.0.0.2/32"]);
    sender.refusal(&upstream.url_at("mixed.example", "/"), Code::Connect).await;
    untouched(&upstream);
}

#[tokio::test]
async fn a_name_that_changes_its_mind_is_judged_by_each_answer() {
    let upstream = Upstream::start().await;
    upstream.on("/", Answer::text("ok").header("connection", "close"));
    // Rebinding: the first answer is fine, the next leads inside.
    let names = Names::default().with("rebind.example", &["127.0.0.1"]).with("rebind.example", &["10.0.0.1"]);
    let sender = Sender::with(names.config()).on_loopback();
    let url = upstream.url_at("rebind.example", "/");
    assert_eq!(sender.get(&url).await.unwrap().body, "ok");
    sender.refusal(&url, Code::EgressRefused).await;
    assert_eq!(upstream.requests().len(), 1);
}

#[tokio::test]
async fn a_name_is_asked_once_per_connection_so_there_is_nothing_to_change_between_check_and_use() {
    let upstream = Upstream::start().await;
    upstream.on("/", Answer::text("ok"));
    // A second question for the same connection would get the address that is refused.
    let names = Names::default().with("once.example", &["127.0.0.1"]).with("once.example", &["10.0.0.1"]);
    let sender = Sender::with(names.config()).on_loopback();
    for _ in 0..3 {
        assert_eq!(sender.get(&upstream.url_at("once.example", "/")).await.unwrap().body, "ok");
    }
    assert_eq!(upstream.connections(), 1);
}

#[tokio::test]
async fn names_that_do_not_resolve() {
    let sender = Sender::with(Names::default().with("empty.example", &[]).config());
    for name in ["unknown.example", "empty.example"] {
        let fault = sender.refusal(&format!("http://{name}/?key=secret"), Code::Dns).await;
        assert!(fault.detail.contains(name) && !fault.detail.contains("secret"), "{fault}");
    }
}

/// Answers never.
struct Silence;

impl Resolver for Silence {
    fn resolve(&self, _: &str) -> Resolving {
        Box::pin(future::pending())
    }
}

#[tokio::test(start_paused = true)]
async fn a_name_server_that_never_answers() {
    let sender = Sender::with(EgressConfig { resolver: Arc::new(Silence), ..EgressConfig::default() });
    let fault = sender.refusal("http://slow.example/", Code::Dns).await;
    assert!(fault.detail.contains("`slow.example` did not resolve within 8s"), "{fault}");
    let hasty = Sender { timeout: Duration::from_secs(2), ..sender };
    hasty.refusal("http://slow.example/", Code::Timeout).await;
}

#[tokio::test]
async fn localhost_goes_the_way_of_every_name() {
    let upstream = Upstream::start().await;
    upstream.on("/", Answer::text("ok"));
    assert_eq!(Sender::new().on_loopback().get(&upstream.url_at("localhost", "/")).await.unwrap().body, "ok");
    Sender::new().refusal(&upstream.url_at("localhost", "/"), Code::EgressRefused).await;
    assert_eq!(upstream.connections(), 1);
}

#[tokio::test]
async fn names_are_compared_in_lower_case_ascii_without_the_last_dot() {
    let upstream = Upstream::start().await;
    upstream.on("/", Answer::text("ok"));
    let names = ["api.example", "api.example.", "xn--bcher-kva.example"].into_iter();
    let names = names.fold(Names::default(), |names, name| names.with(name, &["127.0.0.1"]));
    let sender = Sender::with(names.config()).on_loopback().allowing(&["api.example", "xn--bcher-kva.example"]);
    for name in ["api.example", "API.Example", "api.example.", "bücher.example", "BÜCHER.example"] {
        assert_eq!(sender.get(&upstream.url_at(name, "/")).await.unwrap().body, "ok", "{name}");
    }
}

/// Answers for `good.example` only; counts what it was asked.
#[derive(Default)]
struct MostlySilent(Arc<AtomicUsize>);

impl Resolver for MostlySilent {
    fn resolve(&self, name: &str) -> Resolving {
        self.0.fetch_add(1, Ordering::SeqCst);
        if name == "good.example" { Box::pin(future::ready(Ok(vec![[127, 0, 0, 1].into()]))) } else { Box::pin(future::pending()) }
    }
}

#[tokio::test]
async fn dead_names_of_one_tenant_leave_the_others_theirs() {
    let upstream = Upstream::start().await;
    upstream.on("/", Answer::text("ok"));
    let asked = Arc::new(AtomicUsize::new(0));
    let config = EgressConfig {
        resolver: Arc::new(MostlySilent(asked.clone())),
        max_names_per_tenant: 2,
        resolve_timeout: Duration::from_millis(300),
        ..EgressConfig::default()
    };
    let acme = Sender::with(config).on_loopback();
    for name in ["dead1.example", "dead2.example"] {
        let fault = acme.refusal(&format!("http://{name}/"), Code::Dns).await;
        assert!(fault.detail.contains("did not resolve within 300ms"), "{fault}");
    }
    // Nobody waits for them any more, yet they are still being asked for: a third is not.
    let fault = acme.refusal(&upstream.url_at("good.example", "/"), Code::Dns).await;
    assert!(fault.detail.contains("the places that this tenant may have"), "{fault}");
    assert_eq!(asked.load(Ordering::SeqCst), 2);
    let other = acme.of_tenant("other");
    assert_eq!(other.get(&upstream.url_at("good.example", "/")).await.unwrap().body, "ok");
    // An open connection asks for no name.
    assert_eq!(acme.get(&upstream.url_at("good.example", "/")).await.unwrap().body, "ok");
}

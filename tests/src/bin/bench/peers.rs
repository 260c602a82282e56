//! What the node is measured against: an upstream, a bare reverse proxy, and the same proxy with the hooks as Rust functions.

use std::convert::Infallible;
use std::process::ExitCode;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpListener;

type Forward = Client<HttpConnector, Full<Bytes>>;

#[derive(Clone, Copy, PartialEq)]
enum Role {
    Upstream,
    Proxy,
    ProxyWithHooks,
}

/// Runs a peer until it is killed; prints its address first.
pub(crate) async fn serve(arguments: &[String]) -> ExitCode {
    let role = match arguments.first().map(String::as_str) {
        Some("upstream") => Role::Upstream,
        Some("proxy") => Role::Proxy,
        Some("hooks") => Role::ProxyWithHooks,
        _ => return ExitCode::from(2),
    };
    let target = arguments.get(1).cloned().unwrap_or_default();
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback has ports");
    println!("listening on {}", listener.local_addr().expect("it is bound"));
    let mut connector = HttpConnector::new();
    connector.set_nodelay(true);
    let forward: Forward = Client::builder(TokioExecutor::new()).build(connector);
    loop {
        let (stream, _) = listener.accept().await.expect("loopback accepts");
        stream.set_nodelay(true).expect("a socket takes the option");
        let (target, forward) = (target.clone(), forward.clone());
        tokio::spawn(async move {
            let service = service_fn(move |request| answer(role, request, target.clone(), forward.clone()));
            drop(hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service).await);
        });
    }
}

async fn answer(role: Role, request: Request<Incoming>, target: String, forward: Forward) -> Result<Response<Full<Bytes>>, Infallible> {
    let body = request.into_body().collect().await.expect("the load sends whole bodies").to_bytes();
    let json =
        |body: Bytes| Response::builder().header("content-type", "application/json").body(Full::new(body)).expect("the parts are valid");
    if role == Role::Upstream {
        return Ok(json(body));
    }
    let body = if role == Role::ProxyWithHooks { changed(&body, "stamp") } else { body };
    let outgoing = Request::post(format!("http://{target}/x"))
        .header("content-type", "application/json")
        .body(Full::new(body))
        .expect("the parts are valid");
    let answer = forward.request(outgoing).await.expect("the upstream answers");
    let body = answer.into_body().collect().await.expect("the upstream's answer is whole").to_bytes();
    Ok(json(if role == Role::ProxyWithHooks { changed(&body, "checked") } else { body }))
}

/// What each hook does: parse, change a field, write.
fn changed(body: &[u8], field: &str) -> Bytes {
    let mut value: serde_json::Value = serde_json::from_slice(body).expect("the load sends JSON");
    value[field] = true.into();
    value.to_string().into()
}

//! Several nodes on one PostgreSQL: what one changes the other uses, what one leaves behind the other finishes, and nothing is lost when a node or
//! the database goes away and comes back.

use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use snaphook_testkit::postgres::Cluster;
use snaphook_testkit::{Answer, Gate, Link, Upstream};
use snaphook_tests::{Client, NodeOptions, NodeProcess, Response, Tenant};

use crate::support::{ended, node, ok, problem, until};

fn start(url: &str) -> NodeProcess {
    NodeProcess::start_with(node(), NodeOptions::on(url))
}

/// The tenant as a client of another node sees it.
fn at(node: &NodeProcess, tenant: &Tenant) -> Tenant {
    Tenant { name: tenant.name.clone(), client: Client::new(node.url(), tenant.client.token.as_deref()) }
}

/// Stores a connector `c` whose endpoint `x` has this version of the script `s` before it.
async fn bind(tenant: &Tenant, upstream: &Upstream, version: u64) {
    let hooks = json!({"pre-hook": [{"script": "s", "version": version}]});
    let endpoint = json!({"method": "POST", "path": "/x", "hooks": hooks});
    tenant.connector("c", json!({"base_url": upstream.url(""), "endpoints": {"x": endpoint}})).await;
}

#[tokio::test]
async fn what_one_node_changes_the_other_uses_within_a_second() {
    let url = Cluster::shared().database();
    let (here, there) = (start(&url), start(&url));
    let (tenant, upstream) = (here.tenant().await, Upstream::start().await);
    let other = at(&there, &tenant);
    upstream.on("/x", ok());
    let mut times = Vec::new();
    for round in 1..=5_u64 {
        let version = tenant.js("s", &format!("export function preHook(call) {{ call.arguments.round = {round}; }}")).await;
        bind(&tenant, &upstream, version).await;
        // From the answer to the change until a call is sent that the other node uses it for. What that call takes, the first of a script that is new
        // to the node, is no part of it.
        let answered = Instant::now();
        let mut sent = answered;
        until("the new binding is used", async || {
            sent = Instant::now();
            let answer = other.call("c/x", json!({})).await;
            answer.status == 200 && upstream.last().json()["round"] == round
        })
        .await;
        times.push(sent - answered);
    }
    // The median, since now and then a busy machine keeps either node from running at all.
    times.sort();
    assert!(times[times.len() / 2] < Duration::from_secs(1), "{times:?}");

    let token = tenant.client.post("/v1/tokens", &json!({"name": "t", "scopes": ["invoke"]})).await.expect(201).json();
    let with_token = Client::new(there.url(), token["token"].as_str());
    let _ = with_token.post("/v1/call/c/x", &json!({})).await.expect(200);
    let _ = tenant.client.delete(&format!("/v1/tokens/{}", token["id"].as_str().unwrap())).await.expect(204);
    until("the deleted token is refused", async || with_token.post("/v1/call/c/x", &json!({})).await.status == 401).await;

    // A tenant that may not reach the upstream any more, and one that is gone.
    let _ = here.operator().put(&format!("/v1/tenants/{}", tenant.name), &json!({})).await.expect(200);
    until("the tenant's document is in force", async || other.call("c/x", json!({})).await.status == 403).await;
    let _ = here.operator().delete(&format!("/v1/tenants/{}", tenant.name)).await.expect(204);
    until("the tenant is gone", async || other.call("c/x", json!({})).await.status == 401).await;
}

/// A flow `f` of one step with GET, which may be asked again.
async fn asking(tenant: &Tenant, upstream: &Upstream) {
    tenant.flow("f", json!({"steps": [{"url": upstream.url("/x"), "method": "GET"}]})).await;
}

#[tokio::test]
async fn a_killed_nodes_run_ends_on_the_other() {
    let url = Cluster::shared().database();
    let mut killed = start(&url);
    let (tenant, upstream) = (killed.tenant().await, Upstream::start().await);
    let gate = Gate::closed();
    upstream.on("/x", ok().after(&gate));
    tenant.flow("f", json!({"steps": [{"url": upstream.url("/x"), "method": "POST", "idempotent": true}]})).await;
    let run = tenant.start("f", json!(null)).await;
    upstream.received(1).await;
    let other = start(&url);
    killed.kill();
    gate.open();
    let record = ended(&at(&other, &tenant), &run).await;
    assert_eq!((record["status"].as_str(), upstream.requests().len()), (Some("succeeded"), 2), "{record}");
    let keys: Vec<_> = upstream.requests().iter().map(|request| request.header("idempotency-key").map(str::to_owned)).collect();
    assert!(keys[0].is_some() && keys[0] == keys[1], "{keys:?}");
}

#[tokio::test]
async fn who_waits_hears_of_an_end_on_another_node() {
    let url = Cluster::shared().database();
    let busy = start(&url);
    let (tenant, upstream) = (busy.tenant().await, Upstream::start().await);
    let gate = Gate::closed();
    upstream.on("/held", ok().after(&gate)).on("/x", Answer::json(json!({"from": "there"})));
    asking(&tenant, &upstream).await;
    tenant.flow("fails", json!({"steps": [{"url": upstream.url("/none"), "method": "GET", "status_code": [200]}]})).await;
    // As many as a node drives at once: one tenant has half of the places, and each that comes after it half of what is free, up to the last one.
    let (mut held, mut all) = (Vec::new(), 0);
    for (number, share) in [8, 4, 2, 1, 1].into_iter().enumerate() {
        let holder = if number == 0 { tenant.clone() } else { busy.tenant().await };
        holder.flow("held", json!({"steps": [{"url": upstream.url("/held"), "method": "GET"}]})).await;
        for _ in 0..share {
            held.push((holder.clone(), holder.start("held", json!(null)).await));
        }
        all += share;
        upstream.received(all).await;
    }
    let _other = start(&url);
    let answer = tenant.run_to_end("f", json!(1)).await.expect(200);
    assert_eq!(answer.json(), json!({"from": "there"}));
    assert_eq!(tenant.record(&answer).await["status"], "succeeded");
    assert_eq!(problem(&tenant.run_to_end("fails", json!(1)).await.expect(502)).0, "status");
    gate.open();
    for (tenant, run) in held {
        assert_eq!(ended(&tenant, &run).await["status"], "succeeded");
    }
}

#[tokio::test]
async fn a_database_that_goes_and_comes_back_costs_nothing_that_was_acknowledged() {
    let cluster = Cluster::start();
    let url = cluster.database();
    // Leases outlast the time without a database, as the default's do.
    let options = NodeOptions::on(&url).with("--lease-s", "60");
    let nodes = [NodeProcess::start_with(node(), options.clone()), NodeProcess::start_with(node(), options)];
    let (tenant, upstream) = (nodes[0].tenant().await, Upstream::start().await);
    let gate = Gate::closed();
    upstream.on("/x", ok().after(&gate));
    upstream.on_request("/poll", |_| Answer::json(json!({"s": "done"})));
    asking(&tenant, &upstream).await;
    let condition = json!({"response_notation": "s", "value": "done"});
    let polling = json!({"url": upstream.url("/poll"), "method": "GET", "continue_if": condition, "polling": {"interval": 1, "amount": 9}});
    tenant.flow("p", json!({ "steps": [polling] })).await;
    let mut acknowledged = Vec::new();
    for flow in ["f", "p"].repeat(5) {
        acknowledged.push(tenant.start(flow, json!(null)).await);
    }
    upstream.received(5).await;
    cluster.halt();
    for node in &nodes {
        let client = Client::new(node.url(), None);
        until("readyz says no", async || client.get("/readyz").await.status == 503).await;
        let _ = client.get("/healthz").await.expect(200);
        let tenant = at(node, &tenant);
        let headers = [("content-type", "application/json"), ("prefer", "respond-async")];
        let begun = Instant::now();
        let refused = tenant.client.send("POST", "/v1/flows/f/runs", &headers, "{}".into()).await.expect(503);
        assert_eq!(problem(&refused).0, "store-unavailable");
        assert!(begun.elapsed() < Duration::from_secs(15), "{:?}", begun.elapsed());
    }
    // Answers come while there is nowhere to write them.
    gate.open();
    cluster.resume();
    for node in &nodes {
        let client = Client::new(node.url(), None);
        until("readyz says yes", async || client.get("/readyz").await.status == 200).await;
    }
    for run in acknowledged {
        let record = ended(&at(&nodes[1], &tenant), &run).await;
        assert_eq!(record["status"], "succeeded", "{record}");
    }
    assert_eq!(upstream.requests().iter().filter(|request| request.path == "/x").count(), 5, "nobody was asked twice");
}

/// Sends calls and begins runs by way of the balancer, each on a connection of its own, until told to stop; gives the runs.
async fn load(url: String, token: String, stop: Arc<AtomicBool>) -> Vec<String> {
    let mut runs = Vec::new();
    while !stop.load(Ordering::Relaxed) {
        let client = Client::new(&url, Some(&token));
        let answer: Response = client.post("/v1/call/c/x", &json!({})).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        let client = Client::new(&url, Some(&token));
        let headers = [("content-type", "application/json"), ("prefer", "respond-async")];
        let accepted = client.send("POST", "/v1/flows/f/runs", &headers, "{}".into()).await.expect(202);
        runs.push(accepted.json()["run"].as_str().unwrap().to_owned());
    }
    runs
}

#[tokio::test]
async fn a_rolling_restart_fails_no_request() {
    restarted_one_by_one(async |addresses| {
        let balancer = Link::among(addresses.to_vec());
        (format!("http://{}", balancer.address()), balancer)
    })
    .await;
}

#[tokio::test]
async fn a_rolling_restart_behind_the_documented_nginx_fails_no_request() {
    let Some(nginx) = installed("nginx", "nginx-light") else { return };
    restarted_one_by_one(async |addresses| Balancer::nginx(&nginx, addresses).await).await;
}

#[tokio::test]
async fn a_rolling_restart_behind_the_documented_haproxy_fails_no_request() {
    let Some(haproxy) = installed("haproxy", "haproxy") else { return };
    restarted_one_by_one(async |addresses| Balancer::haproxy(&haproxy, addresses).await).await;
}

/// Where a program lies that a package has brought; said where it has not, and a failure where everything must be tested.
fn installed(program: &str, package: &str) -> Option<String> {
    let places = ["/usr/sbin", "/usr/local/sbin", "/usr/bin", "/usr/local/bin"].map(|directory| format!("{directory}/{program}"));
    let path = places.into_iter().find(|path| Path::new(path).is_file());
    if path.is_none() {
        println!("left out: {program} is not installed (apt-get install {package})");
    }
    assert!(path.is_some() || std::env::var_os("CI").is_none(), "everything must be tested here");
    path
}

/// The configuration that `docs/many-nodes.md` has for a balancer, in front of nodes of this machine.
fn documented(language: &str, addresses: &[SocketAddr]) -> String {
    let page = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/many-nodes.md")).unwrap();
    let block = page.split(&format!("```{language} ")).nth(1).unwrap().split("```").next().unwrap();
    let mut configuration = block.split_once('\n').unwrap().1.to_owned();
    for (documented, address) in ["10.0.0.1:7070", "10.0.0.2:7070", "10.0.0.3:7070"].iter().zip(addresses) {
        assert_eq!(configuration.matches(documented).count(), 1);
        configuration = configuration.replace(documented, &address.to_string());
    }
    configuration
}

/// Puts something else where the documentation has what is not for a test.
fn instead(configuration: &str, documented: &str, here: &str) -> String {
    assert_eq!(configuration.matches(documented).count(), 1, "{documented}");
    configuration.replace(documented, here)
}

/// A balancer as `docs/many-nodes.md` has it. Ends when it is dropped.
struct Balancer {
    process: Child,
    _directory: tempfile::TempDir,
}

impl Balancer {
    async fn nginx(program: &str, addresses: &[SocketAddr]) -> (String, Self) {
        let directory = tempfile::tempdir().unwrap();
        let here = directory.path().display();
        // Where a package's nginx would have its own places and the machine's port.
        let places = format!("http {{ access_log off; client_body_temp_path {here}/body; proxy_temp_path {here}/proxy;");
        let configuration = instead(&documented("nginx", addresses), "http {", &places);
        let globals = format!("daemon off; pid {here}/pid; error_log stderr crit;");
        let prefix = here.to_string();
        let arguments = ["-e", "stderr", "-p", &prefix, "-g", &globals, "-c"];
        Self::start(program, &arguments, &configuration, ("listen 80;", "listen ADDRESS;"), directory).await
    }

    async fn haproxy(program: &str, addresses: &[SocketAddr]) -> (String, Self) {
        let configuration = documented("haproxy", addresses);
        let arguments = ["-db", "-q", "-f"];
        Self::start(program, &arguments, &configuration, ("bind :80", "bind ADDRESS"), tempfile::tempdir().unwrap()).await
    }

    /// Starts one on a free port. The last argument is the file of its configuration.
    async fn start(
        program: &str,
        arguments: &[&str],
        configuration: &str,
        (documented, port): (&str, &str),
        directory: tempfile::TempDir,
    ) -> (String, Self) {
        let listen = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let configuration = instead(configuration, documented, &port.replace("ADDRESS", &listen.to_string()));
        let file = directory.path().join("configuration");
        std::fs::write(&file, configuration).unwrap();
        let mut command = Command::new("setpriv");
        let process = command.args(["--pdeathsig", "TERM", program]).args(arguments).arg(&file).spawn().unwrap();
        until("the balancer listens", async || tokio::net::TcpStream::connect(listen).await.is_ok()).await;
        (format!("http://{listen}"), Self { process, _directory: directory })
    }
}

impl Drop for Balancer {
    fn drop(&mut self) {
        // In order, so that its workers end as well.
        drop(Command::new("kill").args(["-TERM", &self.process.id().to_string()]).status());
        drop(self.process.wait());
    }
}

/// Restarts three nodes one after another under load that comes by way of a balancer.
async fn restarted_one_by_one<B>(balance: impl AsyncFnOnce(&[SocketAddr]) -> (String, B)) {
    let url = Cluster::shared().database();
    let mut nodes: Vec<_> = (0..3).map(|_| NodeProcess::start_with(node(), NodeOptions::on(&url).at_a_fixed_address())).collect();
    let addresses: Vec<SocketAddr> = nodes.iter().map(|node| node.options().listen.as_deref().unwrap().parse().unwrap()).collect();
    let (balanced, _balancer) = balance(&addresses).await;
    let (tenant, upstream) = (nodes[0].tenant().await, Upstream::start().await);
    upstream.on("/x", ok());
    tenant.connector("c", json!({"base_url": upstream.url(""), "endpoints": {"x": {"method": "POST", "path": "/x"}}})).await;
    asking(&tenant, &upstream).await;
    for node in &nodes {
        let there = at(node, &tenant);
        until("the definitions are known", async || there.call("c/x", json!({})).await.status == 200).await;
    }
    let stop = Arc::new(AtomicBool::new(false));
    let token = tenant.client.token.clone().unwrap();
    let loads: Vec<_> = (0..4).map(|_| tokio::spawn(load(balanced.clone(), token.clone(), Arc::clone(&stop)))).collect();
    for index in 0..nodes.len() {
        let before = upstream.requests().len();
        upstream.received(before + 40).await;
        nodes[index].stop().await;
        // The others have it to themselves for a while.
        let before = upstream.requests().len();
        upstream.received(before + 40).await;
        let mut stopped = nodes.remove(index);
        stopped = tokio::task::spawn_blocking(move || {
            stopped.restart();
            stopped
        })
        .await
        .unwrap();
        nodes.insert(index, stopped);
    }
    stop.store(true, Ordering::Relaxed);
    let mut begun = 0;
    for load in loads {
        for run in load.await.unwrap() {
            begun += 1;
            assert_eq!(ended(&at(&nodes[0], &tenant), &run).await["status"], "succeeded");
        }
    }
    assert!(begun > 0);
}

/// Whoever is asked says the same of a run, wherever it was begun.
#[tokio::test]
async fn a_run_is_seen_and_ended_at_every_node() {
    let url = Cluster::shared().database();
    let (here, there) = (start(&url), start(&url));
    let (tenant, upstream) = (here.tenant().await, Upstream::start().await);
    let other = at(&there, &tenant);
    upstream.on("/x", Answer::json(json!({"s": "open"})));
    let condition = json!({"response_notation": "s", "value": "done"});
    let polling = json!({"url": upstream.url("/x"), "method": "GET", "continue_if": condition, "polling": {"interval": 3600, "amount": 9}});
    tenant.flow("p", json!({ "steps": [polling] })).await;
    let run = tenant.run("p", json!(null)).await.expect(202).json()["run"].as_str().unwrap().to_owned();
    assert_eq!(other.record_of(&run).await["status"], "waiting");
    let waiting = tokio::spawn({
        let tenant = tenant.clone();
        async move { tenant.run_to_end("p", json!(null)).await }
    });
    upstream.received(2).await;
    let items = async || -> Vec<Value> {
        let list = other.client.get("/v1/runs?status=waiting").await.expect(200).json();
        list["items"].as_array().unwrap().clone()
    };
    until("both wait", async || items().await.len() == 2).await;
    for item in items().await {
        let _ = other.client.post(&format!("/v1/runs/{}/cancel", item["id"].as_str().unwrap()), &json!({})).await.expect(200);
    }
    // Who waits here hears of what was done there.
    assert_eq!(problem(&waiting.await.unwrap().expect(409)).0, "cancelled");
    assert_eq!(tenant.record_of(&run).await["status"], "cancelled");
}

/// A run under way holds no row that is looked at before its next step.
#[tokio::test]
async fn a_run_under_way_is_ended_from_another_node() {
    let url = Cluster::shared().database();
    let options = NodeOptions::on(&url).with("--lease-s", "2");
    let here = NodeProcess::start_with(node(), options.clone());
    let (tenant, upstream, gate) = (here.tenant().await, Upstream::start().await, Gate::closed());
    upstream.on("/x", Answer::json(json!({})).after(&gate));
    tenant.flow("f", json!({"steps": [{"url": upstream.url("/x"), "method": "GET"}]})).await;
    let run = tenant.start("f", json!(null)).await;
    upstream.received(1).await;
    // It does not take the run up itself: it was not there.
    let there = NodeProcess::start_with(node(), options);
    let _ = at(&there, &tenant).client.post(&format!("/v1/runs/{run}/cancel"), &json!({})).await.expect(200);
    until("who has the run hears of it", async || tenant.record_of(&run).await["status"] == "cancelled").await;
    gate.open();
}

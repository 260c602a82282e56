//! Subjects: whom runs are about, and what is kept for them.

use serde_json::{Value, json};
use snaphook_testkit::{Answer, Upstream};
use snaphook_tests::Tenant;

use crate::support::{ok, problem, tenant};

/// A flow that stores what `/make` answers, and one that sends what is kept.
async fn flows(tenant: &Tenant, upstream: &Upstream) {
    upstream.on("/use", ok());
    tenant.flow("make", json!({"steps": [{"url": upstream.url("/make"), "store_data": {"FORM_ID": "data.id"}}]})).await;
    let data = json!({"bare": "{{ FORM_ID }}", "of": "{{ subject.FORM_ID }}", "id": "{{ subject.id }}"});
    tenant.flow("use", json!({"steps": [{"url": upstream.url("/use"), "data": data}]})).await;
}

/// What a run about somebody sends.
async fn sent(tenant: &Tenant, upstream: &Upstream, subject: Value) -> Value {
    let answer = tenant.run_about("use", subject, Value::Null).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    upstream.last().json()
}

#[tokio::test]
async fn f044_stored_values_are_kept_for_the_subject_and_nobody_else() {
    let (a, upstream) = tenant().await;
    flows(&a, &upstream).await;
    upstream.on("/make", Answer::json(json!({"data": {"id": 9}})));
    let answer = a.run_about("make", json!("p-1"), Value::Null).await.expect(200);
    assert_eq!(a.record(&answer).await["subject"], "p-1");
    assert_eq!(sent(&a, &upstream, json!("p-1")).await, json!({"bare": 9, "of": 9, "id": "p-1"}));
    assert_eq!(sent(&a, &upstream, json!("p-2")).await, json!({"bare": "", "of": "", "id": "p-2"}), "another person");
    assert_eq!(a.client.get("/v1/subjects/p-1").await.expect(200).json()["values"], json!({"FORM_ID": 9}));

    // The same id at another tenant is somebody else.
    let (b, upstream) = tenant().await;
    flows(&b, &upstream).await;
    assert_eq!(sent(&b, &upstream, json!("p-1")).await["bare"], "");
    assert_eq!(b.client.get("/v1/subjects/p-1").await.status, 404);
    assert_eq!(b.client.delete("/v1/subjects/p-1").await.status, 404);
    assert_eq!(b.client.get("/v1/subjects").await.expect(200).json()["items"], json!([]));
}

#[tokio::test]
async fn values_of_a_failed_runs_finished_steps_stay() {
    let (tenant, upstream) = tenant().await;
    upstream.on("/make", Answer::json(json!({"id": 9}))).on("/fail", Answer::status(500));
    let steps =
        json!([{"url": upstream.url("/make"), "store_data": {"FORM_ID": "id"}}, {"url": upstream.url("/fail"), "status_code": [200]}]);
    tenant.flow("f", json!({"steps": steps})).await;
    let _ = tenant.run_about("f", json!("p-1"), Value::Null).await.expect(502);
    assert_eq!(tenant.client.get("/v1/subjects/p-1").await.expect(200).json()["values"], json!({"FORM_ID": 9}));
}

#[tokio::test]
async fn f045_a_missing_path_fails_and_stores_nothing() {
    let (tenant, upstream) = tenant().await;
    upstream.on("/make", Answer::json(json!({"x": 1})));
    tenant.flow("f", json!({"steps": [{"url": upstream.url("/make"), "store_data": {"A": "x", "FORM_ID": "data.id"}}]})).await;
    let answer = tenant.run_about("f", json!("p-1"), Value::Null).await.expect(422);
    let (code, detail) = problem(&answer);
    assert!(code == "store-path" && detail.contains("data.id") && detail.contains(r#"{"x":1}"#), "{code}: {detail}");
    let record = tenant.record(&answer).await;
    assert_eq!((&record["status"], &record["message"]), (&json!("failed"), &json!(detail)));
    assert_eq!(tenant.client.get("/v1/subjects/p-1").await.status, 404, "nothing is stored");
}

#[tokio::test]
async fn subjects_are_put_read_listed_and_deleted() {
    let (tenant, upstream) = tenant().await;
    flows(&tenant, &upstream).await;
    let put = async |id: &str, values: Value| tenant.client.put(&format!("/v1/subjects/{id}"), &json!({ "values": values })).await;
    assert_eq!(put("ada%40example.com", json!({"FORM_ID": 1})).await.status, 201);
    assert_eq!(put("ada%40example.com", json!({"FORM_ID": 2, "first_name": "Ada"})).await.status, 200);
    let read = tenant.client.get("/v1/subjects/ada%40example.com").await.expect(200).json();
    assert_eq!((&read["id"], &read["values"]), (&json!("ada@example.com"), &json!({"FORM_ID": 2, "first_name": "Ada"})));
    assert_eq!(put("b", json!({})).await.status, 201);
    let listed = tenant.client.get("/v1/subjects?limit=1").await.expect(200).json();
    assert_eq!((&listed["items"][0]["id"], listed["items"].as_array().map(Vec::len)), (&json!("ada@example.com"), Some(1)));
    let cursor = listed["next_cursor"].as_str().unwrap().replace('@', "%40");
    let rest = tenant.client.get(&format!("/v1/subjects?cursor={cursor}")).await.expect(200).json();
    assert_eq!((&rest["items"][0]["id"], &rest["next_cursor"]), (&json!("b"), &Value::Null));

    // Values that are brought along stand over the kept ones, for this run only.
    assert_eq!(sent(&tenant, &upstream, json!({"id": "ada@example.com", "values": {"FORM_ID": 3}})).await["bare"], 3);
    assert_eq!(sent(&tenant, &upstream, json!("ada@example.com")).await["bare"], 2);
    assert_eq!(tenant.client.delete("/v1/subjects/b").await.status, 204);
    assert_eq!(tenant.client.delete("/v1/subjects/b").await.status, 404);
    assert_eq!(tenant.client.get("/v1/subjects/b").await.status, 404);
}

#[tokio::test]
async fn what_is_wrong_with_a_subject_is_named() {
    let (tenant, upstream) = tenant().await;
    flows(&tenant, &upstream).await;
    let cases = [
        (json!(7), "subject"),
        (json!({"values": {}}), "subject.id"),
        (json!({"id": 7}), "subject.id"),
        (json!(""), "subject"),
        (json!({"id": "p", "foo": 1}), "subject.foo"),
        (json!({"id": "p", "values": [1]}), "subject.values"),
        (json!({"id": "p", "values": {"": 1}}), "subject.values"),
    ];
    for (subject, path) in cases {
        let answer = tenant.run_about("use", subject.clone(), Value::Null).await.expect(400).json();
        assert_eq!(answer["path"], path, "{subject}: {answer}");
    }
    assert_eq!(upstream.requests().len(), 0);
    let put = async |body: Value| tenant.client.put("/v1/subjects/p", &body).await;
    assert_eq!(put(json!({"foo": 1})).await.expect(400).json()["path"], "foo");
    assert_eq!(put(json!({"values": 1})).await.expect(400).json()["path"], "values");
    let large = json!({"values": {"v": "x".repeat(1 << 20)}});
    assert_eq!(put(large).await.expect(400).json()["path"], "values");
    assert_eq!(tenant.client.put(&format!("/v1/subjects/{}", "x".repeat(201)), &json!({})).await.expect(400).json()["code"], "name");
}

#[tokio::test]
async fn a_repeated_run_is_about_the_same_subject() {
    let (tenant, upstream) = tenant().await;
    upstream.on("/x", Answer::status(500)).on("/x", ok());
    let step = json!({"url": upstream.url("/x"), "status_code": [200], "data": ["{{ v }}", "{{ subject.id }}"]});
    tenant.flow("f", json!({"retry": {"attempts": 1, "delay_s": 0}, "steps": [step]})).await;
    let _ = tenant.run_about("f", json!({"id": "p-1", "values": {"v": "brought"}}), Value::Null).await.expect(502);
    let requests = upstream.received(2).await;
    assert_eq!((requests[1].json(), requests[0].json()), (json!(["brought", "p-1"]), json!(["brought", "p-1"])));
}

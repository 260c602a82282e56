//! Filling in a request's templates: the rows of `cargo xtask bench` that need neither node nor sandbox. Prints one JSON object a line.
//!
//! usage: templates COUNT

#![forbid(unsafe_code)]

use std::collections::BTreeMap;
use std::hint::black_box;
use std::sync::Arc;
use std::time::Instant;

use serde_json::{Value, json};
use snaphook_flow::template::{RequestTemplate, RunValues, Values};
use snaphook_model::{Flow, Payload, Variables};

/// Fillings between two looks at the clock, which itself takes a few hundredths of a microsecond.
const BATCH: usize = 16;

/// What the values of a request are made of.
type Parts = (Payload, Arc<Variables>, Arc<RunValues>);

fn main() {
    let count: usize = std::env::args().nth(1).and_then(|text| text.parse().ok()).expect("usage: templates COUNT");
    let values = parts();
    measure("ten templates of a request, names", Some(5.0), &names(), &values, count);
    measure("ten templates of a request, each an expression for the engine", None, &expressions(), &values, count);
    measure("a request without templates", None, &literal(), &values, count);
}

fn measure(what: &str, promise_us: Option<f64>, request: &RequestTemplate, (payload, variables, run): &Parts, count: usize) {
    let rounds = count / BATCH + 1;
    let mut times: Vec<f64> = (0..rounds + rounds / 10)
        .map(|_| {
            let begun = Instant::now();
            for _ in 0..BATCH {
                // Made anew for each request, as a run does.
                let values = Values::new(payload.clone(), variables.clone(), run.clone());
                black_box(request.render(black_box(&values)).expect("the values fit"));
            }
            begun.elapsed().as_secs_f64() * 1e6 / BATCH as f64
        })
        .skip(rounds / 10)
        .collect();
    times.sort_by(f64::total_cmp);
    let at = |percent: usize| times[(times.len() * percent / 100).min(times.len() - 1)];
    println!("{}", json!({"what": what, "p50_us": at(50), "p99_us": at(99), "promise_us": promise_us}));
}

fn request(step: Value) -> RequestTemplate {
    let flow = Flow::parse(json!({"steps": [step]})).expect("the flow is one");
    RequestTemplate::of_step(&flow, 0).expect("the step has a URL")
}

fn names() -> RequestTemplate {
    request(json!({
        "url": "https://u.example.com/forms/{{ subject.email }}?lang={{ payload.lang }}",
        "headers": {"content-type": "application/json", "X-{{ KIND }}": "1", "x-token": "{{ PASSWORD }}"},
        "data": {
            "name": "{{ first_name }} {{ last_name }}", "form": "{{ responses.0.form_id }}", "order": "{{ steps.createOrder.id }}",
            "note": "for {{ payload.customer.name }}", "items": "{{ payload.items }}",
        },
    }))
}

fn expressions() -> RequestTemplate {
    request(json!({
        "url": "https://u.example.com/forms/{{ subject.email | lower }}?lang={{ payload.lang | upper }}",
        "headers": {"content-type": "application/json", "X-{{ KIND | upper }}": "1", "x-token": "{{ PASSWORD | trim }}"},
        "data": {
            "name": "{{ first_name | upper }} {{ last_name | upper }}", "form": "{{ responses.0.form_id + 1 }}",
            "order": "{{ steps.createOrder.id | string }}", "note": "for {{ payload.customer.name | upper }}", "items": "{{ payload.items | length }}",
        },
    }))
}

fn literal() -> RequestTemplate {
    request(json!({"url": "https://u.example.com/forms/1", "headers": {"content-type": "application/json"}, "data": {"name": "Ada"}}))
}

/// A run in its third step, with a payload of about a kilobyte.
fn parts() -> Parts {
    let texts = |values: Value| -> BTreeMap<String, String> {
        values.as_object().expect("an object").iter().map(|(name, value)| (name.clone(), value.to_string())).collect()
    };
    let items: Vec<_> =
        (0..8).map(|i| json!({"sku": format!("SKU-{i:05}"), "quantity": i + 1, "price": 19.95, "note": "ships within two days"})).collect();
    let payload =
        json!({"id": 48_151_623, "customer": {"name": "Ada Lovelace", "country": "GB"}, "lang": "en", "paid": true, "items": items});
    let variables = Variables { step_results: texts(json!({"createOrder": {"id": 7, "state": "new"}})), ..Variables::default() };
    let run = RunValues {
        subject: texts(json!({"email": "ada@example.com", "first_name": "Ada", "last_name": "Lovelace", "id": "p-1"})),
        generated: texts(json!({"PASSWORD": "s3cretS3cret"})),
        stored: texts(json!({"KIND": "order"})),
        responses: vec![json!({"form_id": 134, "state": "open"}).to_string().into()],
    };
    (Payload::json(payload.to_string()), Arc::new(variables), Arc::new(run))
}

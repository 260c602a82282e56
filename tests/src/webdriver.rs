//! The commands of WebDriver (<https://www.w3.org/TR/webdriver2>) that the tests use: JSON over HTTP. The crates for it bring a second ICU and the
//! commands of every browser.

use serde_json::{Value, json};

use crate::client::Client;

/// The name under which the protocol hands out elements.
const ELEMENT: &str = "element-6066-11e4-a52e-4f735466cecf";

/// A session of a driver: one browser.
pub(crate) struct Session {
    driver: Client,
    path: String,
}

/// An element of the page, as long as that page lasts.
pub(crate) struct Element(String);

impl Session {
    /// Begins a session.
    ///
    /// # Errors
    /// What the driver says, as in all commands.
    pub(crate) async fn new(url: &str, capabilities: &Value) -> Result<Self, String> {
        let driver = Client::new(url, None);
        let made = answer(&driver, "/session", &json!({"capabilities": {"alwaysMatch": capabilities}})).await?;
        let id = made["sessionId"].as_str().ok_or("the driver names no session")?;
        Ok(Self { driver, path: format!("/session/{id}") })
    }

    /// Any command that has a body.
    pub(crate) async fn post(&self, command: &str, body: &Value) -> Result<Value, String> {
        answer(&self.driver, &format!("{}/{command}", self.path), body).await
    }

    pub(crate) async fn open(&self, url: &str) -> Result<(), String> {
        self.post("url", &json!({"url": url})).await.map(drop)
    }

    /// Runs the body of a function and gives what it returns.
    pub(crate) async fn run(&self, script: &str, arguments: Vec<Value>) -> Result<Value, String> {
        self.post("execute/sync", &json!({"script": script, "args": arguments})).await
    }

    /// The same for a script whose only argument is to be called with what it gives.
    pub(crate) async fn run_async(&self, script: &str) -> Result<Value, String> {
        self.post("execute/async", &json!({"script": script, "args": []})).await
    }

    pub(crate) async fn find(&self, xpath: &str) -> Result<Element, String> {
        element(&self.post("element", &json!({"using": "xpath", "value": xpath})).await?)
    }

    /// The element that the body of a function returns, also one that no XPath reaches.
    pub(crate) async fn pick(&self, script: &str, arguments: Vec<Value>) -> Result<Element, String> {
        element(&self.run(script, arguments).await?)
    }

    pub(crate) async fn click(&self, Element(id): &Element) -> Result<(), String> {
        self.post(&format!("element/{id}/click"), &json!({})).await.map(drop)
    }

    pub(crate) async fn clear(&self, Element(id): &Element) -> Result<(), String> {
        self.post(&format!("element/{id}/clear"), &json!({})).await.map(drop)
    }

    /// Presses the keys of a text.
    pub(crate) async fn press(&self, Element(id): &Element, text: &str) -> Result<(), String> {
        self.post(&format!("element/{id}/value"), &json!({"text": text})).await.map(drop)
    }
}

fn element(found: &Value) -> Result<Element, String> {
    found[ELEMENT].as_str().map(|id| Element(id.to_owned())).ok_or_else(|| "there is no such element".to_owned())
}

async fn answer(driver: &Client, path: &str, body: &Value) -> Result<Value, String> {
    let answer = driver.post(path, body).await;
    let value = answer.json()["value"].take();
    match value["error"].as_str() {
        Some(error) if answer.status >= 400 => Err(format!("{error}: {}", value["message"].as_str().unwrap_or_default())),
        _ => Ok(value),
    }
}

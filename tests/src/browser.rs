//! A browser without a window: Debian's Chromium through its chromedriver. Every test has one of its own, with a profile of its own.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::webdriver::{Element, Session};

/// A page that is not as it should be by then will not be.
const PATIENCE: Duration = Duration::from_secs(30);
/// How often a page is looked at meanwhile.
const LOOK: Duration = Duration::from_millis(25);

/// Chromium asks nobody anything of its own, and runs as root, as it must in a container.
const FLAGS: [&str; 13] = [
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-default-apps",
    "--disable-sync",
    "--disable-search-engine-choice-screen",
    "--no-default-browser-check",
    "--force-prefers-reduced-motion",
];

/// A running browser with one page.
pub struct Browser {
    page: Session,
    driver: Child,
    port: u16,
    // Removed when the browser has ended.
    _profile: tempfile::TempDir,
}

/// Whether this machine has the two programs. Tests say so when they leave something out.
#[must_use]
pub fn is_installed() -> bool {
    let works = |program: &str| Command::new(program).arg("--version").output().is_ok_and(|output| output.status.success());
    works("chromium") && works("chromedriver")
}

impl Browser {
    /// Starts one, with a window of 1280 by 900.
    ///
    /// # Panics
    /// When it does not start.
    pub async fn start() -> Self {
        let profile = tempfile::tempdir().expect("a temporary directory can be made");
        let (driver, port) = chromedriver();
        let mut flags: Vec<String> = FLAGS.map(str::to_owned).to_vec();
        flags.push(format!("--user-data-dir={}", profile.path().display()));
        let capabilities = json!({
            "browserName": "chrome",
            "goog:chromeOptions": {"args": flags},
            // What the console and the network say is read in `complaints`.
            "goog:loggingPrefs": {"browser": "ALL", "performance": "ALL"},
        });
        let page =
            Session::new(&format!("http://127.0.0.1:{port}"), &capabilities).await.unwrap_or_else(|error| panic!("no browser: {error}"));
        let browser = Self { page, driver, port, _profile: profile };
        browser.resize(1280, 900).await;
        browser.open("about:blank").await;
        // The page that a browser begins with is no page of ours.
        for log in ["browser", "performance"] {
            let _ = browser.log(log).await;
        }
        browser
    }

    /// Makes the window as large as this, in pixels. Below 600 it is a phone.
    pub async fn resize(&self, width: u32, height: u32) {
        let metrics = json!({"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600});
        self.devtools("Emulation.setDeviceMetricsOverride", metrics).await;
    }

    /// Goes to an address. The same page with another hash is not loaded anew, as in any browser.
    ///
    /// # Panics
    /// When it cannot be loaded.
    pub async fn open(&self, url: &str) {
        self.page.open(url).await.unwrap_or_else(|error| panic!("{url}: {error}"));
    }

    /// Runs a script in the page and gives what it returns.
    ///
    /// # Panics
    /// When it throws.
    pub async fn run(&self, script: &str, arguments: Vec<Value>) -> Value {
        self.page.run(script, arguments).await.unwrap_or_else(|error| panic!("{script}: {error}"))
    }

    /// Waits until an expression is true in the page.
    ///
    /// # Panics
    /// When it never is; the message has the page's text.
    pub async fn wait_until(&self, expression: &str) {
        let deadline = Instant::now() + PATIENCE;
        let script = format!("return !!({expression})");
        while self.page.run(&script, Vec::new()).await.ok() != Some(Value::Bool(true)) {
            if Instant::now() > deadline {
                panic!("waited for {expression}; the page says:\n{}", self.text().await);
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Waits until the page shows this text.
    pub async fn wait_for_text(&self, text: &str) {
        self.wait_until(&format!("document.body.innerText.includes({})", Value::from(text))).await;
    }

    /// All text that the page shows.
    pub async fn text(&self) -> String {
        self.page
            .run("return document.body.innerText", Vec::new())
            .await
            .ok()
            .and_then(|text| text.as_str().map(str::to_owned))
            .unwrap_or_default()
    }

    /// The first element that an XPath names, once it is there.
    ///
    /// # Panics
    /// When it never is.
    async fn find(&self, xpath: &str) -> Element {
        let deadline = Instant::now() + PATIENCE;
        loop {
            match self.page.find(xpath).await {
                Ok(element) => return element,
                Err(error) if Instant::now() > deadline => panic!("{xpath}: {error}; the page says:\n{}", self.text().await),
                Err(_) => tokio::time::sleep(LOOK).await,
            }
        }
    }

    /// Clicks what an XPath names. What lies under something else for a moment, such as a message, or is drawn anew, is tried again.
    ///
    /// # Panics
    /// When it cannot be clicked.
    pub async fn click_on(&self, xpath: &str) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let element = self.find(xpath).await;
            match self.page.click(&element).await {
                Ok(()) => return,
                Err(error) if Instant::now() > deadline => panic!("{xpath}: {error}"),
                Err(_) => tokio::time::sleep(LOOK).await,
            }
        }
    }

    /// Clicks the button, tab, link or summary with this text.
    pub async fn click(&self, text: &str) {
        self.click_on(&format!("//*[self::button or self::a or self::summary][normalize-space()={}]", quoted(text))).await;
    }

    /// Writes into the field with this label, in place of what is there.
    ///
    /// # Panics
    /// When it takes no text.
    pub async fn fill(&self, label: &str, text: &str) {
        let field = self.find(&labelled(label)).await;
        self.page.clear(&field).await.unwrap_or_else(|error| panic!("{label}: {error}"));
        self.page.press(&field, text).await.unwrap_or_else(|error| panic!("{label}: {error}"));
    }

    /// Writes into the editor with this label, key by key, in place of what is there. The editor is in a shadow root of its own, where no XPath
    /// reaches, or a plain text area where the node was built without one.
    ///
    /// # Panics
    /// When it never is there, or takes no keys.
    pub async fn write_in_editor(&self, label: &str, text: &str) {
        const EDITOR: &str = "const inside = [...document.querySelectorAll('.editor')].map((host) => host.shadowRoot.querySelector('.cm-content')); \
                              return [...inside, ...document.querySelectorAll('.editor-plain')].find((one) => one?.getAttribute('aria-label') === arguments[0])";
        // Ctrl-A, then Delete, as WebDriver writes them.
        const EVERYTHING_AWAY: &str = "\u{e009}a\u{e000}\u{e017}";
        let deadline = Instant::now() + PATIENCE;
        let editor = loop {
            match self.page.pick(EDITOR, vec![label.into()]).await {
                Ok(editor) => break editor,
                Err(error) if Instant::now() > deadline => panic!("editor `{label}`: {error}; the page says:\n{}", self.text().await),
                Err(_) => tokio::time::sleep(LOOK).await,
            }
        };
        for keys in [EVERYTHING_AWAY, text] {
            self.page.press(&editor, keys).await.unwrap_or_else(|error| panic!("editor `{label}`: {error}"));
        }
    }

    /// Presses keys in what an XPath names; `\u{e007}` is Enter, as WebDriver has it.
    ///
    /// # Panics
    /// When it takes none.
    pub async fn press(&self, xpath: &str, keys: &str) {
        let element = self.find(xpath).await;
        self.page.press(&element, keys).await.unwrap_or_else(|error| panic!("{xpath}: {error}"));
    }

    /// Chooses an option, by its text, of the select with this label.
    pub async fn choose(&self, label: &str, option: &str) {
        self.click_on(&format!("{}//option[normalize-space()={}]", labelled(label), quoted(option))).await;
    }

    /// Chooses `light` or `dark`, as the page's own switch does.
    pub async fn choose_theme(&self, theme: &str) {
        let script = "const [control] = document.getElementsByClassName('theme'); control.value = arguments[0]; control.dispatchEvent(new Event('change'));";
        self.run(script, vec![theme.into()]).await;
    }

    /// What axe-core, whose source this is, finds to be serious or critical in the page as it stands.
    ///
    /// # Panics
    /// When it does not run.
    pub async fn barriers(&self, axe: &str) -> Vec<String> {
        self.run(axe, Vec::new()).await;
        let script = "const done = arguments[arguments.length - 1]; \
                      axe.run(document, {resultTypes: ['violations']}).then((found) => done(found.violations), (error) => done([{impact: 'serious', id: String(error), nodes: []}]))";
        let found = self.page.run_async(script).await.unwrap_or_else(|error| panic!("axe-core: {error}"));
        let serious = |violation: &&Value| matches!(violation["impact"].as_str(), Some("serious" | "critical"));
        let shown = |violation: &Value| format!("{}: {} {}", violation["impact"], violation["id"], violation["nodes"]);
        found.as_array().into_iter().flatten().filter(serious).map(shown).collect()
    }

    /// What went wrong since it was last asked: errors and warnings on the console, and requests to elsewhere than this origin. Statuses of the API
    /// that a page tells its reader, such as 404 and 422, are no errors of the page, though the console has them.
    ///
    /// # Panics
    /// When the logs cannot be read.
    pub async fn complaints(&self, origin: &str) -> Vec<String> {
        let mut complaints = Vec::new();
        for entry in self.log("browser").await {
            let message = entry["message"].as_str().unwrap_or_default();
            let answered = entry["source"] == "network" && message.contains(&format!("{origin}/v1/"));
            if matches!(entry["level"].as_str(), Some("SEVERE" | "WARNING")) && !answered {
                complaints.push(format!("console: {message}"));
            }
        }
        for entry in self.log("performance").await {
            let event: Value = serde_json::from_str(entry["message"].as_str().unwrap_or_default()).expect("an event of DevTools");
            let (event, url) = (&event["message"], event["message"]["params"]["request"]["url"].as_str());
            let inside = |url: &str| url.starts_with(&format!("{origin}/")) || url.starts_with("data:") || url.starts_with("about:");
            if event["method"] == "Network.requestWillBeSent" && !url.is_some_and(inside) {
                complaints.push(format!("request to elsewhere: {}", url.unwrap_or("an unknown address")));
            }
        }
        complaints
    }

    async fn log(&self, kind: &str) -> Vec<Value> {
        let log = self.page.post("se/log", &json!({"type": kind})).await.unwrap_or_else(|error| panic!("log `{kind}`: {error}"));
        log.as_array().cloned().unwrap_or_default()
    }

    async fn devtools(&self, command: &str, parameters: Value) {
        let body = json!({"cmd": command, "params": parameters});
        let _ = self.page.post("goog/cdp/execute", &body).await.unwrap_or_else(|error| panic!("{command}: {error}"));
    }
}

impl Drop for Browser {
    /// The driver ends its browsers when it is told to, and only then.
    fn drop(&mut self) {
        if let Ok(mut socket) = std::net::TcpStream::connect(("127.0.0.1", self.port)) {
            let _ = socket.set_read_timeout(Some(Duration::from_secs(10)));
            let _ = write!(socket, "GET /shutdown HTTP/1.1\r\nhost: 127.0.0.1:{}\r\nconnection: close\r\n\r\n", self.port);
            let _ = socket.read_to_end(&mut Vec::new());
        }
        let _ = self.driver.kill();
        let _ = self.driver.wait();
    }
}

/// Starts the driver on a free port, which it tells. It must not outlive the tests, also when they are killed.
fn chromedriver() -> (Child, u16) {
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "TERM", "chromedriver", "--port=0"]).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child = command.spawn().expect("chromedriver is installed; `cargo xtask setup` does that");
    let output = BufReader::new(child.stdout.take().expect("it was piped"));
    let port = output
        .lines()
        .map_while(Result::ok)
        .find_map(|line| line.split("successfully on port ").nth(1)?.trim_end_matches('.').parse().ok());
    (child, port.expect("chromedriver says where it listens"))
}

/// A text in an XPath, which knows no escapes.
fn quoted(text: &str) -> String {
    if text.contains('"') { format!("'{text}'") } else { format!("\"{text}\"") }
}

/// The control with a label.
fn labelled(label: &str) -> String {
    format!("//*[@id=//label[normalize-space()={}]/@for]", quoted(label))
}

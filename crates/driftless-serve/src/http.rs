//! The routes: the web page, the players' WebSocket, health and metrics.

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::extract::ws::WebSocketUpgrade;
use axum::http::header::{
    AUTHORIZATION, CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HOST, ORIGIN,
    REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use tokio::sync::{Semaphore, watch};

use crate::connection::{Connection, ConnectionLimits};
use crate::hub::Hub;
use crate::metrics::Refusal;
use crate::token::Token;

/// The longest message that is read at all; [`crate::protocol::MAX_REQUEST_BYTES`] is the longest that is answered.
const MAX_MESSAGE_BYTES: usize = 16 << 10;

/// What the routes know.
pub struct App {
    /// The games.
    pub hub: Arc<Hub>,
    /// The token, if one is asked for.
    pub token: Option<Token>,
    /// Limits of a connection.
    pub limits: ConnectionLimits,
    /// A permit for each player's connection.
    pub sockets: Arc<Semaphore>,
    /// Becomes true when the server closes.
    pub closing: watch::Receiver<bool>,
}

const HTML: &str = "text/html; charset=utf-8";
const CSS: &str = "text/css; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";

/// The files of the page: path, type, text.
static FILES: [(&str, &str, &str); 7] = [
    ("/", HTML, include_str!("page/index.html")),
    ("/style.css", CSS, include_str!("page/style.css")),
    ("/app.js", SCRIPT, include_str!("page/app.js")),
    ("/game.js", SCRIPT, include_str!("page/game.js")),
    ("/input.js", SCRIPT, include_str!("page/input.js")),
    ("/tuning.js", SCRIPT, include_str!("page/tuning.js")),
    (
        "/icon.svg",
        "image/svg+xml",
        include_str!("../../../assets/icon.svg"),
    ),
];

/// All routes.
pub fn router(app: Arc<App>) -> Router {
    let others = Router::new()
        .route("/health", get(async || "ok\n"))
        .route("/metrics", get(metrics))
        .route("/play", get(play));
    let add = |router: Router<Arc<App>>, (path, kind, text)| {
        router.route(path, get(async move || file(kind, text)))
    };
    FILES.into_iter().fold(others, add).with_state(app)
}

/// A file of the page. It may load nothing from elsewhere, and no other site may frame it.
fn file(kind: &'static str, text: &'static str) -> Response {
    let policy = "default-src 'self'; img-src 'self' blob:; connect-src 'self' ws: wss:; \
                  frame-ancestors 'none'; base-uri 'none'; form-action 'none'";
    let headers = [
        (CONTENT_TYPE, kind),
        (CONTENT_SECURITY_POLICY, policy),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (REFERRER_POLICY, "no-referrer"),
        (CACHE_CONTROL, "no-cache"),
    ];
    (headers, text).into_response()
}

async fn metrics(State(app): State<Arc<App>>, headers: HeaderMap) -> Response {
    let given = text(&headers, AUTHORIZATION.as_str()).and_then(|t| t.strip_prefix("Bearer "));
    let known = app
        .token
        .as_ref()
        .is_none_or(|t| t.is(given.unwrap_or_default()));
    if !known || !is_same_site(None, text(&headers, HOST.as_str()), app.token.is_none()) {
        app.hub.metrics().refuse(Refusal::Token);
        return (
            StatusCode::UNAUTHORIZED,
            "the token is missing: Authorization: Bearer …\n",
        )
            .into_response();
    }
    let kind = [(CONTENT_TYPE, "text/plain; version=0.0.4")];
    (kind, app.hub.metrics().text(app.hub.players())).into_response()
}

async fn play(
    State(app): State<Arc<App>>,
    headers: HeaderMap,
    upgrade: WebSocketUpgrade,
) -> Response {
    let (origin, host) = (
        text(&headers, ORIGIN.as_str()),
        text(&headers, HOST.as_str()),
    );
    if !is_same_site(origin, host, app.token.is_none()) {
        app.hub.metrics().refuse(Refusal::Origin);
        return (
            StatusCode::FORBIDDEN,
            "the page of another site may not play here\n",
        )
            .into_response();
    }
    let Ok(permit) = Arc::clone(&app.sockets).try_acquire_owned() else {
        app.hub.metrics().refuse(Refusal::Full);
        return (StatusCode::SERVICE_UNAVAILABLE, "too many connections\n").into_response();
    };
    upgrade
        .max_message_size(MAX_MESSAGE_BYTES)
        .max_frame_size(MAX_MESSAGE_BYTES)
        .on_upgrade(async move |socket| {
            let hub = Arc::clone(&app.hub);
            let connection = Connection::new(socket, hub, app.limits, app.closing.clone());
            connection.serve(app.token.clone()).await;
            drop(permit);
        })
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

/// Whether a request may come from where it says. A page of another site could otherwise play on a server that only
/// its visitor can reach; and without a token, a name that some site makes point to this machine would do, too (DNS
/// rebinding), so that only the machine's own names are good then. Programs name no origin.
fn is_same_site(origin: Option<&str>, host: Option<&str>, loopback_only: bool) -> bool {
    let Some(host) = host else {
        return false;
    };
    let from = origin.map(|origin| origin.split_once("://").map_or(origin, |(_, rest)| rest));
    let same = from.is_none_or(|from| from.eq_ignore_ascii_case(host));
    same && (!loopback_only || is_loopback(host))
}

/// Whether `host`, with or without a port, is a name of this machine.
fn is_loopback(host: &str) -> bool {
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|b| b.is_ascii_digit()) => name,
        _ => host,
    };
    let plain = name.trim_start_matches('[').trim_end_matches(']');
    let address = plain.parse::<std::net::IpAddr>();
    name.eq_ignore_ascii_case("localhost") || address.is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_of_other_sites_are_refused() {
        for (origin, host, loopback_only, expected) in [
            (None, Some("127.0.0.1:8037"), true, true),
            (
                Some("http://127.0.0.1:8037"),
                Some("127.0.0.1:8037"),
                true,
                true,
            ),
            (
                Some("http://localhost:8037"),
                Some("LOCALHOST:8037"),
                true,
                true,
            ),
            (Some("http://[::1]:8037"), Some("[::1]:8037"), true, true),
            (
                Some("http://127.0.0.1:9000"),
                Some("127.0.0.1:8037"),
                true,
                false,
            ),
            (
                Some("https://evil.example"),
                Some("127.0.0.1:8037"),
                true,
                false,
            ),
            (Some("null"), Some("127.0.0.1:8037"), true, false),
            // DNS rebinding: the page's own name points here.
            (
                Some("http://evil.example:8037"),
                Some("evil.example:8037"),
                true,
                false,
            ),
            (None, Some("127.0.0.1.evil.example"), true, false),
            (
                Some("https://play.example"),
                Some("play.example"),
                false,
                true,
            ),
            (
                Some("https://evil.example"),
                Some("play.example"),
                false,
                false,
            ),
            (None, None, false, false),
        ] {
            let same = is_same_site(origin, host, loopback_only);
            assert_eq!(same, expected, "{origin:?} {host:?}");
        }
    }
}

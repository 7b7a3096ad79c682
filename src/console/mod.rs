//! The web console: the files of a page that uses nothing but the public API.
//!
//! They are part of the binary, need no build step and come from nowhere else. A new view is one new file
//! below `assets/js/views/`, one line in [`ASSETS`] and one in `assets/js/router.js`.

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::Request;
use axum::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG, IF_NONE_MATCH, REFERRER_POLICY,
    X_CONTENT_TYPE_OPTIONS,
};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::Response;
use axum::routing::get;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};

/// What the page may do: load its own files, talk to its own origin, and nothing else. No inline script or
/// style, so that a caller's name can never become one.
const POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; \
     form-action 'none'; base-uri 'none'; frame-ancestors 'none'",
);

/// A file of the console: where it is, what it is, what is in it.
struct Asset {
    path: &'static str,
    media_type: &'static str,
    content: &'static [u8],
}

macro_rules! assets {
    ($($path:literal = $media_type:ident $file:literal,)+) => {
        &[$(Asset {
            path: $path,
            media_type: $media_type,
            content: include_bytes!(concat!("assets/", $file)),
        }),+]
    };
}

const HTML: &str = "text/html; charset=utf-8";
const CSS: &str = "text/css; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";
const SVG: &str = "image/svg+xml";

/// Every file.
const ASSETS: &[Asset] = assets! {
    "/" = HTML "index.html",
    "/assets/app.css" = CSS "app.css",
    "/assets/callflow.css" = CSS "callflow.css",
    "/assets/icon.svg" = SVG "icon.svg",
    "/assets/js/api.js" = SCRIPT "js/api.js",
    "/assets/js/app.js" = SCRIPT "js/app.js",
    "/assets/js/callflow/actions.js" = SCRIPT "js/callflow/actions.js",
    "/assets/js/callflow/block.js" = SCRIPT "js/callflow/block.js",
    "/assets/js/callflow/catalogue.js" = SCRIPT "js/callflow/catalogue.js",
    "/assets/js/callflow/commands.js" = SCRIPT "js/callflow/commands.js",
    "/assets/js/callflow/controls.js" = SCRIPT "js/callflow/controls.js",
    "/assets/js/callflow/desk.js" = SCRIPT "js/callflow/desk.js",
    "/assets/js/callflow/drag.js" = SCRIPT "js/callflow/drag.js",
    "/assets/js/callflow/editor.js" = SCRIPT "js/callflow/editor.js",
    "/assets/js/callflow/form.js" = SCRIPT "js/callflow/form.js",
    "/assets/js/callflow/icons.js" = SCRIPT "js/callflow/icons.js",
    "/assets/js/callflow/model.js" = SCRIPT "js/callflow/model.js",
    "/assets/js/callflow/numbers.js" = SCRIPT "js/callflow/numbers.js",
    "/assets/js/callflow/saving.js" = SCRIPT "js/callflow/saving.js",
    "/assets/js/callflow/tree.js" = SCRIPT "js/callflow/tree.js",
    "/assets/js/callflow/tryout.js" = SCRIPT "js/callflow/tryout.js",
    "/assets/js/callflow/words.js" = SCRIPT "js/callflow/words.js",
    "/assets/js/catalogue.js" = SCRIPT "js/catalogue.js",
    "/assets/js/dom.js" = SCRIPT "js/dom.js",
    "/assets/js/exchange.js" = SCRIPT "js/exchange.js",
    "/assets/js/feed.js" = SCRIPT "js/feed.js",
    "/assets/js/format.js" = SCRIPT "js/format.js",
    "/assets/js/hookform.js" = SCRIPT "js/hookform.js",
    "/assets/js/hooks.js" = SCRIPT "js/hooks.js",
    "/assets/js/router.js" = SCRIPT "js/router.js",
    "/assets/js/spark.js" = SCRIPT "js/spark.js",
    "/assets/js/ui.js" = SCRIPT "js/ui.js",
    "/assets/js/views/attempts.js" = SCRIPT "js/views/attempts.js",
    "/assets/js/views/call.js" = SCRIPT "js/views/call.js",
    "/assets/js/views/callflow.js" = SCRIPT "js/views/callflow.js",
    "/assets/js/views/callflows.js" = SCRIPT "js/views/callflows.js",
    "/assets/js/views/live.js" = SCRIPT "js/views/live.js",
    "/assets/js/views/signin.js" = SCRIPT "js/views/signin.js",
    "/assets/js/views/status.js" = SCRIPT "js/views/status.js",
    "/assets/js/views/webhook.js" = SCRIPT "js/views/webhook.js",
    "/assets/js/views/webhooks.js" = SCRIPT "js/views/webhooks.js",
};

/// Answers at `/` and below `/assets/`.
///
/// # Panics
/// A tag is no header value, which base64 always is.
pub fn router() -> Router {
    ASSETS.iter().fold(Router::new(), |router, asset| {
        let digest = Sha256::digest(asset.content);
        let tag = URL_SAFE_NO_PAD.encode(&digest[..12]);
        let tag = HeaderValue::from_str(&format!("\"{tag}\"")).expect("letters and digits");
        router.route(
            asset.path,
            get(move |request: Request| {
                let answer = answer(asset, &tag, request.headers());
                async { answer }
            }),
        )
    })
}

/// The file, or word that the browser has it already. It asks every time, so that a new version of the daemon
/// never meets an old page.
fn answer(asset: &Asset, tag: &HeaderValue, asked: &HeaderMap) -> Response {
    let has_it = asked.get(IF_NONE_MATCH).is_some_and(|known| known == tag);
    let (status, body) = match has_it {
        true => (StatusCode::NOT_MODIFIED, Body::empty()),
        false => (StatusCode::OK, Bytes::from_static(asset.content).into()),
    };
    let mut response = Response::new(body);
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(asset.media_type));
    headers.insert(ETAG, tag.clone());
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    headers.insert(CONTENT_SECURITY_POLICY, POLICY);
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn files(folder: &Path, found: &mut Vec<String>) {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/console/assets");
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            match path.is_dir() {
                true => files(&path, found),
                false => found.push(path.strip_prefix(&root).unwrap().display().to_string()),
            }
        }
    }

    #[test]
    fn every_file_is_served() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/console/assets");
        let mut found = Vec::new();
        files(&root, &mut found);
        for file in found {
            let path = match &*file {
                "index.html" => "/".to_owned(),
                other => format!("/assets/{other}"),
            };
            let served = ASSETS.iter().any(|asset| asset.path == path);
            assert!(served, "ASSETS lacks {file}");
        }
    }

    #[test]
    fn the_first_paint_is_small() {
        // A view, and what only it needs, is fetched when somebody goes there: the largest may be the first.
        let is_view = |asset: &&Asset| asset.path.contains("/views/");
        let is_editor = |asset: &&Asset| asset.path.contains("/js/callflow/");
        let bytes = |asset: &Asset| asset.content.len();
        let editor: usize = ASSETS.iter().filter(is_editor).map(bytes).sum();
        let largest = ASSETS.iter().filter(is_view).map(bytes).max().unwrap();
        let always = ASSETS.iter().filter(|one| !is_view(one) && !is_editor(one));
        let bytes = always.map(bytes).sum::<usize>() + largest + editor;
        assert!(bytes < 200 * 1024, "{bytes} bytes");
    }
}

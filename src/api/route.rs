//! One route: where it is, what answers there, and what the world is told of it. The router and
//! `openapi.json` are made from the same list of these, so neither can know what the other does not.

use axum::handler::Handler;
use axum::routing::{MethodFilter, MethodRouter, on};
use serde_json::{Value, json};
use utoipa::openapi::HttpMethod;

use super::ApiState;
use super::{chosen_id, query};

/// A method at a path.
pub(super) struct Route {
    /// The path, with `{names}`.
    pub(super) path: &'static str,
    /// The method.
    pub(super) method: HttpMethod,
    /// The method as HTTP writes it.
    pub(super) verb: &'static str,
    /// What answers.
    pub(super) handler: MethodRouter<ApiState>,
    /// What it does, in a line.
    pub(super) summary: &'static str,
    /// Whether a token is needed.
    pub(super) needs_token: bool,
    /// Parameters of the query string: name, description, schema.
    pub(super) query: Vec<(&'static str, &'static str, Value)>,
    /// Headers of the request that mean something to it.
    pub(super) headers: Vec<(&'static str, &'static str, Value)>,
    /// The schema of `data` in the request.
    pub(super) takes: Option<Value>,
    /// Whether the request may come without a body.
    pub(super) takes_nothing_too: bool,
    /// The status of success.
    pub(super) status: u16,
    /// Another status with the same answer.
    pub(super) or_status: Option<u16>,
    /// What is answered with then.
    pub(super) gives: Gives,
}

/// What a success is answered with.
pub(super) enum Gives {
    /// `data` of this schema in an envelope.
    Data(Value),
    /// A list of this schema in pages.
    Pages(Value),
    /// Something of this media type without an envelope.
    Plain(&'static str),
}

impl Route {
    fn new<H, T>(
        (method, filter, verb): (HttpMethod, MethodFilter, &'static str),
        path: &'static str,
        handler: H,
        summary: &'static str,
    ) -> Self
    where
        H: Handler<T, ApiState>,
        T: 'static,
    {
        Self {
            path,
            method,
            verb,
            handler: on(filter, handler),
            summary,
            needs_token: true,
            query: Vec::new(),
            headers: Vec::new(),
            takes: None,
            takes_nothing_too: false,
            status: 200,
            or_status: None,
            gives: Gives::Data(json!({})),
        }
    }

    /// It needs no token.
    pub(super) fn open(mut self) -> Self {
        self.needs_token = false;
        self
    }

    /// A parameter of the query string.
    pub(super) fn query(
        mut self,
        name: &'static str,
        description: &'static str,
        schema: Value,
    ) -> Self {
        self.query.push((name, description, schema));
        self
    }

    /// A header of the request that means something.
    pub(super) fn header(
        mut self,
        name: &'static str,
        description: &'static str,
        schema: Value,
    ) -> Self {
        self.headers.push((name, description, schema));
        self
    }

    /// It makes something, under an id of the caller's where one is given.
    pub(super) fn makes_by_chosen_id(self) -> Self {
        self.query(chosen_id::NAME, chosen_id::ABOUT, chosen_id::schema())
    }

    /// `data` of the request is of this schema.
    pub(super) fn takes(mut self, schema: Value) -> Self {
        self.takes = Some(schema);
        self
    }

    /// The same, but the request may come without it.
    pub(super) fn may_take(mut self, schema: Value) -> Self {
        self.takes_nothing_too = true;
        self.takes(schema)
    }

    /// Success is this status.
    pub(super) fn status(mut self, status: u16) -> Self {
        self.status = status;
        self
    }

    /// Or this one, with the same answer.
    pub(super) fn or_status(mut self, status: u16) -> Self {
        self.or_status = Some(status);
        self
    }

    /// `data` of the answer is of this schema.
    pub(super) fn gives(mut self, schema: Value) -> Self {
        self.gives = Gives::Data(schema);
        self
    }

    /// The answer is something of this media type.
    pub(super) fn gives_plain(mut self, media_type: &'static str) -> Self {
        self.gives = Gives::Plain(media_type);
        self
    }

    /// The answer is a list of this schema, in pages.
    pub(super) fn gives_pages_of(mut self, schema: Value) -> Self {
        self.gives = Gives::Pages(schema);
        self.query("page_size", "Items of a page", query::page_size_schema())
            .query(
                "start_key",
                "Where the page starts: `next_start_key` of the page before",
                json!({ "type": "string" }),
            )
            .query(
                "paginate",
                "`false` for everything at once, as far as that goes",
                json!({ "type": "boolean" }),
            )
    }
}

macro_rules! methods {
    ($($name:ident $filter:ident $method:ident),+) => {
        impl Route {
            $(
                #[doc = concat!("`", stringify!($filter), "` at a path.")]
                pub(super) fn $name<H, T>(path: &'static str, handler: H, summary: &'static str) -> Self
                where
                    H: Handler<T, ApiState>,
                    T: 'static,
                {
                    let method = (HttpMethod::$method, MethodFilter::$filter, stringify!($filter));
                    Self::new(method, path, handler, summary)
                }
            )+
        }
    };
}

methods!(get GET Get, put PUT Put, post POST Post, patch PATCH Patch, delete DELETE Delete);

/// A schema of `components`.
pub(super) fn schema(name: &str) -> Value {
    json!({ "$ref": format!("#/components/schemas/{name}") })
}

/// A list of a schema.
pub(super) fn list_of(items: Value) -> Value {
    json!({ "type": "array", "items": items })
}

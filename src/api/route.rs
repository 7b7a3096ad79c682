//! One route: where it is, what answers there. The router is made from a list of these.

use axum::handler::Handler;
use axum::routing::{MethodFilter, MethodRouter, on};

use super::ApiState;

/// A method at a path.
pub(super) struct Route {
    /// The path, with `{names}`.
    pub(super) path: &'static str,
    /// What answers.
    pub(super) handler: MethodRouter<ApiState>,
}

impl Route {
    fn new<H, T>(method: MethodFilter, path: &'static str, handler: H) -> Self
    where
        H: Handler<T, ApiState>,
        T: 'static,
    {
        Self {
            path,
            handler: on(method, handler),
        }
    }
}

macro_rules! methods {
    ($($name:ident $filter:ident),+) => {
        impl Route {
            $(
                #[doc = concat!("`", stringify!($filter), "` at a path.")]
                pub(super) fn $name<H, T>(path: &'static str, handler: H) -> Self
                where
                    H: Handler<T, ApiState>,
                    T: 'static,
                {
                    Self::new(MethodFilter::$filter, path, handler)
                }
            )+
        }
    };
}

methods!(get GET, put PUT, post POST, patch PATCH, delete DELETE);

//! `export!`, and on wasm the adapter between the traits and the generated bindings.

#[cfg(target_arch = "wasm32")]
mod adapter;

/// Exports the hooks of a type: `export!(MyHooks: PreHook, PostRequest);`, once in a crate.
///
/// The component gets exactly the hooks that are named here, and each must be implemented. On other targets than wasm nothing is
/// exported, but the traits are checked all the same:
///
/// ```compile_fail,E0277
/// struct Nothing;
/// snaphook_guest::export!(Nothing: PreHook);
/// ```
///
/// ```compile_fail
/// struct Nothing;
/// snaphook_guest::export!(Nothing: Middleware);
/// ```
#[macro_export]
macro_rules! export {
    ($hooks:ty: $($hook:ident),+ $(,)?) => {
        $($crate::__export_hook!($hook, $hooks);)+
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! __export_hook {
    (PreHook, $hooks:ty) => {
        $crate::__export_in!(PreHook, pre_hook, $hooks);
    };
    (PreRequest, $hooks:ty) => {
        $crate::__export_in!(PreRequest, pre_request, $hooks);
    };
    (PostRequest, $hooks:ty) => {
        $crate::__export_in!(PostRequest, post_request, $hooks);
    };
    (PostHook, $hooks:ty) => {
        $crate::__export_in!(PostHook, post_hook, $hooks);
    };
    (PostFail, $hooks:ty) => {
        $crate::__export_in!(PostFail, post_fail, $hooks);
    };
    (Step, $hooks:ty) => {
        $crate::__export_in!(Step, step, $hooks);
    };
    (Trigger, $hooks:ty) => {
        $crate::__export_in!(Trigger, trigger, $hooks);
    };
    ($other:ident, $hooks:ty) => {
        ::core::compile_error!(::core::concat!(
            "`",
            ::core::stringify!($other),
            "` is no hook; there are PreHook, PreRequest, PostRequest, PostHook, PostFail, Step and Trigger"
        ));
    };
}

#[cfg(target_arch = "wasm32")]
#[doc(hidden)]
#[macro_export]
macro_rules! __export_in {
    ($trait:ident, $module:ident, $hooks:ty) => {
        const _: () = {
            type Adapter = $crate::__private::Adapter<$hooks>;
    $crate::bindings::$module::export!(Adapter with_types_in $crate::bindings::$module);
        };
    };
}

#[cfg(not(target_arch = "wasm32"))]
#[doc(hidden)]
#[macro_export]
macro_rules! __export_in {
    ($trait:ident, $module:ident, $hooks:ty) => {
        const _: () = {
            const fn implements<T: $crate::$trait>() {}
            implements::<$hooks>();
        };
    };
}

/// For the macros alone.
#[doc(hidden)]
pub mod __private {
    #[cfg(target_arch = "wasm32")]
    pub use super::adapter::Adapter;
}

//! Generated bindings. One world per hook, because a component must export exactly the hooks that it has, and `export!` picks them.

/// What a guest may import. `wit-component` drops what it does not.
pub mod host {
    wit_bindgen::generate!({ path: "wit", world: "host", generate_unused_types: true });
}

macro_rules! hook {
    ($module:ident, $world:literal, $wit:literal) => {
        pub mod $module {
            wit_bindgen::generate!({
                path: "wit",
                inline: $wit,
                world: $world,
                with: { "snaphook:hook/types@0.1.0": crate::bindings::host::snaphook::hook::types },
                pub_export_macro: true,
            });
        }
    };
}

hook!(pre_hook, "pre-hook-guest", "package snaphook:guest; world pre-hook-guest { export snaphook:hook/pre-hook@0.1.0; }");
hook!(pre_request, "pre-request-guest", "package snaphook:guest; world pre-request-guest { export snaphook:hook/pre-request@0.1.0; }");
hook!(post_request, "post-request-guest", "package snaphook:guest; world post-request-guest { export snaphook:hook/post-request@0.1.0; }");
hook!(post_hook, "post-hook-guest", "package snaphook:guest; world post-hook-guest { export snaphook:hook/post-hook@0.1.0; }");
hook!(post_fail, "post-fail-guest", "package snaphook:guest; world post-fail-guest { export snaphook:hook/post-fail@0.1.0; }");
hook!(step, "step-guest", "package snaphook:guest; world step-guest { export snaphook:hook/step@0.1.0; }");
hook!(trigger, "trigger-guest", "package snaphook:guest; world trigger-guest { export snaphook:hook/trigger@0.1.0; }");

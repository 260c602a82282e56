// The built-in module "snaphook": helpers that make decisions, for a hook to return.
#include "heap.h"
#include "interpreter.h"

#include <stdio.h>

static JSClassID decision_class;

static const struct {
    const char *name;
    int arguments;
    unsigned hooks; // Bits of the hooks it belongs to.
} helpers[] = {
    [DECISION_REJECT] = {"reject", 3, 1 << HOOK_PRE_HOOK | 1 << HOOK_PRE_REQUEST | 1 << HOOK_POST_HOOK},
    [DECISION_RESPOND] = {"respond", 1, 1 << HOOK_PRE_HOOK | 1 << HOOK_PRE_REQUEST},
    [DECISION_PROCEED] = {"proceed", 1, 1 << HOOK_POST_REQUEST},
    [DECISION_RETRY] = {"retry", 1, 1 << HOOK_POST_REQUEST},
    [DECISION_RETRY_RUN] = {"retryRun", 1, 1 << HOOK_POST_REQUEST},
    [DECISION_FAIL] = {"fail", 2, 1 << HOOK_POST_REQUEST},
    [DECISION_REAUTHENTICATE] = {"reauthenticate", 1, 1 << HOOK_POST_REQUEST},
    [DECISION_RECOVER] = {"recover", 1, 1 << HOOK_POST_FAIL},
    [DECISION_REPLACE] = {"replace", 1, 1 << HOOK_POST_FAIL},
};

const char *decision_name(DecisionKind kind)
{
    return helpers[kind].name;
}

Decision *decision_of(JSValueConst value)
{
    return JS_GetOpaque(value, decision_class);
}

bool status_read(JSValueConst value, const char *what, uint16_t *status)
{
    double number = 0;
    if (!JS_IsNumber(value) || JS_ToFloat64(js, &number, value) < 0 || number < 100 || number > 999 || number != (int)number) {
        throw_contract("%s must be a whole number from 100 to 999", what);
        return false;
    }
    *status = (uint16_t)number;
    return true;
}

bool reason_code_read(JSValueConst value, snaphook_hook_types_option_reason_code_t *code)
{
    double number;
    *code = (snaphook_hook_types_option_reason_code_t){.is_some = false};
    if (JS_IsUndefined(value) || JS_IsNull(value))
        return true;
    code->is_some = true;
    if (JS_IsString(value)) {
        code->val.tag = SNAPHOOK_HOOK_TYPES_REASON_CODE_TEXT;
        return engine_text(value, &code->val.val.text);
    }
    if (JS_IsNumber(value) && JS_ToFloat64(js, &number, value) == 0 && number >= -9007199254740991.0 && number <= 9007199254740991.0 &&
        number == (double)(int64_t)number) {
        code->val.tag = SNAPHOOK_HOOK_TYPES_REASON_CODE_NUMBER;
        code->val.val.number = (int64_t)number;
        return true;
    }
    throw_contract("a reason code is a whole number or text");
    return false;
}

static bool message_read(JSValueConst value, const char *helper, hooks_option_string_t *message)
{
    message->is_some = !JS_IsUndefined(value) && !JS_IsNull(value);
    if (!message->is_some)
        return true;
    if (!JS_IsString(value) && !engine_is_error(value)) {
        throw_contract("the message of `%s` must be text", helper);
        return false;
    }
    JSValue text = engine_is_error(value) ? engine_data_property(value, "message") : JS_DupValue(js, value);
    return text_of(text, &message->val);
}

bool answer_read(JSValueConst value, const char *what, Decision *decision, bool *has_body)
{
    char part[64];
    JSValue status = JS_GetPropertyStr(js, value, "status"), headers = JS_GetPropertyStr(js, value, "headers");
    JSValue body = JS_GetPropertyStr(js, value, "body");
    if (JS_IsException(status) || JS_IsException(headers) || JS_IsException(body))
        return false;
    decision->status = 200;
    snprintf(part, sizeof part, "the status of %s", what);
    if (!JS_IsUndefined(status) && !status_read(status, part, &decision->status))
        return false;
    if (!headers_read(headers, &decision->headers))
        return false;
    decision->payload.bytes = (hooks_list_u8_t){(uint8_t *)"", 0};
    *has_body = !JS_IsUndefined(body) && !JS_IsNull(body);
    if (!*has_body)
        return true;
    Text there;
    snprintf(part, sizeof part, "the body of %s", what);
    if (!payload_keep(body, part, &decision->payload))
        return false;
    if (!headers_find(&decision->headers, "content-type", &there))
        headers_append(&decision->headers, TEXT("content-type"), decision->payload.content_type);
    return true;
}

static bool respond_read(JSValueConst value, Decision *decision)
{
    bool has_body;
    if (!JS_IsObject(value) || decision_of(value) != NULL) {
        throw_contract("`respond` takes an object with status, headers and body");
        return false;
    }
    return answer_read(value, "`respond`", decision, &has_body);
}

static bool replace_read(JSValueConst value, Decision *decision)
{
    if (!JS_IsObject(value)) {
        throw_contract("`replace` takes an object with status, message and code");
        return false;
    }
    JSValue status = JS_GetPropertyStr(js, value, "status"), message = JS_GetPropertyStr(js, value, "message");
    JSValue code = JS_GetPropertyStr(js, value, "code");
    if (JS_IsException(status) || JS_IsException(message) || JS_IsException(code))
        return false;
    return status_read(status, "the status of `replace`", &decision->status) && message_read(message, "replace", &decision->message) &&
           reason_code_read(code, &decision->code);
}

static bool payload_read_argument(JSValueConst value, const char *what, Decision *decision)
{
    decision->has_payload = true;
    return payload_keep(value, what, &decision->payload);
}

// Reads a helper's arguments; false when they are wrong.
static bool read_arguments(Decision *decision, JSValueConst *argv)
{
    switch (decision->kind) {
    case DECISION_REJECT:
        return status_read(argv[0], "the status of `reject`", &decision->status) && message_read(argv[1], "reject", &decision->message) &&
               reason_code_read(argv[2], &decision->code);
    case DECISION_RESPOND:
        return respond_read(argv[0], decision);
    case DECISION_PROCEED:
        return JS_IsUndefined(argv[0]) || payload_read_argument(argv[0], "the payload of `proceed`", decision);
    case DECISION_FAIL:
        return message_read(argv[0], "fail", &decision->message) && reason_code_read(argv[1], &decision->code);
    case DECISION_RECOVER:
        return payload_read_argument(argv[0], "the payload of `recover`", decision);
    case DECISION_REPLACE:
        return replace_read(argv[0], decision);
    default:
        return message_read(argv[0], helpers[decision->kind].name, &decision->message);
    }
}

static JSValue help(JSContext *ctx, JSValueConst this, int argc, JSValueConst *argv, int kind)
{
    if (invocation.hook != HOOK_LOADING && (helpers[kind].hooks & 1u << invocation.hook) == 0)
        return throw_contract("`%s` does not belong to %s", helpers[kind].name, hook_title(invocation.hook));
    Decision *decision = heap_allocate(sizeof *decision);
    if (decision == NULL)
        return JS_ThrowOutOfMemory(ctx);
    *decision = (Decision){.kind = (DecisionKind)kind};
    if (!read_arguments(decision, argv))
        return JS_EXCEPTION;
    JSValue object = JS_NewObjectClass(ctx, (int)decision_class);
    if (JS_IsException(object))
        return object;
    JS_SetOpaque(object, decision);
    invocation.pending_decision = JS_DupValue(ctx, object);
    return object;
}

#define HELPERS (sizeof helpers / sizeof *helpers)

static JSValue helper(size_t kind)
{
    JSCFunctionType function = {.generic_magic = help};
    return JS_NewCFunction2(js, function.generic, helpers[kind].name, helpers[kind].arguments, JS_CFUNC_generic_magic, (int)kind);
}

static int start(JSContext *ctx, JSModuleDef *module)
{
    for (size_t kind = 0; kind < HELPERS; kind++)
        JS_SetModuleExport(ctx, module, helpers[kind].name, helper(kind));
    return 0;
}

void decisions_define(JSValueConst native)
{
    define_class(&decision_class, "Decision", NULL, 0);
    JSModuleDef *module = JS_NewCModule(js, "snaphook", start);
    for (size_t kind = 0; kind < HELPERS; kind++) {
        JS_AddModuleExport(js, module, helpers[kind].name);
        JS_DefinePropertyValueStr(js, native, helpers[kind].name, helper(kind), JS_PROP_C_W_E);
    }
}

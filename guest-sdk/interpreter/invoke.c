// The exports: one function per hook, from the host's records to a call of the script and from its answer to a decision.
#include "heap.h"
#include "interpreter.h"

static bool failed(Fault *fault)
{
    fault_of_exception(JS_GetException(js), fault);
    return false;
}

static void begin(Hook hook, const ContextRecord *context)
{
    invocation.hook = hook;
    invocation.context = context;
    clock_ms = (double)context->now_ms;
    deadline_ms = clock_ms + context->deadline_ms;
    engine_seed(context->seed);
}

static const char *kind_of(JSValueConst value)
{
    if (JS_IsNull(value))
        return "null";
    if (JS_IsBool(value))
        return "a boolean";
    if (JS_IsNumber(value))
        return "a number";
    if (JS_IsString(value))
        return "text";
    if (JS_IsBigInt(value))
        return "a BigInt";
    if (JS_IsSymbol(value))
        return "a symbol";
    if (JS_IsFunction(js, value))
        return "a function";
    return JS_IsArray(value) ? "an array" : "an object";
}

static bool wrong_answer(JSValueConst value, const char *wanted, Fault *fault)
{
    throw_contract("%s returned %s; it may return %s", hook_title(invocation.hook), kind_of(value), wanted);
    return failed(fault);
}

// Calls the hook and waits until its answer is there.
static bool call(JSValue given, JSValue *answer, Fault *fault)
{
    JSValue context = context_new(invocation.context);
    if (JS_IsException(given) || JS_IsException(context))
        return failed(fault);
    JSValue function = script.functions[invocation.hook];
    if (JS_IsUndefined(function)) {
        throw_contract("the script has no %s", hook_title(invocation.hook));
        return failed(fault);
    }
    JSValue arguments[] = {given, context};
    *answer = JS_Call(js, function, JS_UNDEFINED, 2, arguments);
    if (JS_IsException(*answer))
        return failed(fault);
    if (!settle(answer, fault))
        return false;
    if (!context_flush())
        return failed(fault);
    warn_of_rejections();
    Decision *decision = decision_of(*answer);
    if (decision == NULL && JS_IsObject(invocation.pending_decision)) {
        Builder builder = {0};
        build(&builder, "`");
        build(&builder, decision_name(decision_of(invocation.pending_decision)->kind));
        build(&builder, "` was called but what it gave was not returned, so it decides nothing");
        host_log(SNAPHOOK_HOOK_LOG_LEVEL_WARN, built(&builder));
    }
    return true;
}

// A decision that was made elsewhere, at load, may belong to another hook.
static bool misplaced(const Decision *decision, Fault *fault)
{
    throw_contract("`%s` does not belong to %s", decision_name(decision->kind), hook_title(invocation.hook));
    return failed(fault);
}

static Text message_of(const Decision *decision)
{
    return decision->message.is_some ? decision->message.val : TEXT("");
}

static void reject(const Decision *decision, snaphook_hook_types_rejection_t *rejection)
{
    *rejection = (snaphook_hook_types_rejection_t){decision->status, decision->code, message_of(decision)};
}

static void respond(const Decision *decision, snaphook_hook_types_new_response_t *response)
{
    *response = (snaphook_hook_types_new_response_t){decision->status, decision->headers, decision->payload.bytes};
}

bool exports_snaphook_hook_pre_hook_pre_hook(Text *connector, Text *endpoint, ContextRecord *context,
                                             exports_snaphook_hook_pre_hook_decision_t *ret, Fault *err)
{
    JSValue answer;
    Text type;
    begin(HOOK_PRE_HOOK, context);
    JSValue given = call_new(*connector, *endpoint);
    if (!call(given, &answer, err))
        return false;
    const Decision *decision = decision_of(answer);
    if (decision != NULL && decision->kind == DECISION_REJECT) {
        ret->tag = EXPORTS_SNAPHOOK_HOOK_PRE_HOOK_DECISION_REJECT;
        reject(decision, &ret->val.reject);
        return true;
    }
    if (decision != NULL && decision->kind == DECISION_RESPOND) {
        ret->tag = EXPORTS_SNAPHOOK_HOOK_PRE_HOOK_DECISION_RESPOND;
        respond(decision, &ret->val.respond);
        return true;
    }
    if (decision != NULL)
        return misplaced(decision, err);
    ret->tag = EXPORTS_SNAPHOOK_HOOK_PRE_HOOK_DECISION_CALL;
    if (JS_IsUndefined(answer) || is_call(answer))
        return call_changes(given, &ret->val.call.is_some, &ret->val.call.val) || failed(err);
    if (!JS_IsObject(answer) || JS_IsFunction(js, answer))
        return wrong_answer(answer, "the new arguments as an object, a decision, or nothing", err);
    ret->val.call.is_some = true;
    return payload_write(answer, "what preHook returns", &ret->val.call.val, &type) || failed(err);
}

bool exports_snaphook_hook_pre_request_pre_request(snaphook_hook_types_request_t *request, ContextRecord *context,
                                                   exports_snaphook_hook_pre_request_decision_t *ret, Fault *err)
{
    JSValue answer;
    begin(HOOK_PRE_REQUEST, context);
    JSValue given = request_new(request);
    if (!call(given, &answer, err))
        return false;
    const Decision *decision = decision_of(answer);
    if (decision != NULL && decision->kind == DECISION_REJECT) {
        ret->tag = EXPORTS_SNAPHOOK_HOOK_PRE_REQUEST_DECISION_REJECT;
        reject(decision, &ret->val.reject);
        return true;
    }
    if (decision != NULL && decision->kind == DECISION_RESPOND) {
        ret->tag = EXPORTS_SNAPHOOK_HOOK_PRE_REQUEST_DECISION_RESPOND;
        respond(decision, &ret->val.respond);
        return true;
    }
    if (decision != NULL)
        return misplaced(decision, err);
    ret->tag = EXPORTS_SNAPHOOK_HOOK_PRE_REQUEST_DECISION_SEND;
    if (JS_IsUndefined(answer) || is_request(answer))
        return request_changes(given, &ret->val.send.is_some, &ret->val.send.val) || failed(err);
    if (!JS_IsObject(answer) || JS_IsFunction(js, answer) || JS_IsArray(answer))
        return wrong_answer(answer, "a request with method, url, headers and body, a decision, or nothing", err);
    ret->val.send.is_some = true;
    return request_read(given, answer, &ret->val.send.val) || failed(err);
}

static void post_request_decision(const Decision *decision, exports_snaphook_hook_post_request_decision_t *ret)
{
    switch (decision->kind) {
    case DECISION_RETRY:
        ret->tag = EXPORTS_SNAPHOOK_HOOK_POST_REQUEST_DECISION_RETRY_STEP;
        ret->val.retry_step = decision->message;
        break;
    case DECISION_RETRY_RUN:
        ret->tag = EXPORTS_SNAPHOOK_HOOK_POST_REQUEST_DECISION_RETRY_RUN;
        ret->val.retry_run = decision->message;
        break;
    case DECISION_REAUTHENTICATE:
        ret->tag = EXPORTS_SNAPHOOK_HOOK_POST_REQUEST_DECISION_REAUTHENTICATE;
        ret->val.reauthenticate = decision->message;
        break;
    default:
        ret->tag = EXPORTS_SNAPHOOK_HOOK_POST_REQUEST_DECISION_FAIL;
        ret->val.fail.message = decision->message;
        ret->val.fail.code.is_some = decision->code.is_some;
        ret->val.fail.code.val = decision->code.val;
        break;
    }
}

bool exports_snaphook_hook_post_request_post_request(snaphook_hook_types_response_t *response, ContextRecord *context,
                                                     exports_snaphook_hook_post_request_decision_t *ret, Fault *err)
{
    JSValue answer;
    begin(HOOK_POST_REQUEST, context);
    JSValue given = response_new(response);
    if (!call(given, &answer, err))
        return false;
    const Decision *decision = decision_of(answer);
    if (decision != NULL && (decision->kind == DECISION_REJECT || decision->kind == DECISION_RESPOND || decision->kind >= DECISION_RECOVER))
        return misplaced(decision, err);
    if (decision != NULL && decision->kind != DECISION_PROCEED) {
        post_request_decision(decision, ret);
        return true;
    }
    exports_snaphook_hook_post_request_option_payload_t *payload = &ret->val.none;
    ret->tag = EXPORTS_SNAPHOOK_HOOK_POST_REQUEST_DECISION_NONE;
    if (decision != NULL) {
        ret->tag = EXPORTS_SNAPHOOK_HOOK_POST_REQUEST_DECISION_PROCEED;
        payload = &ret->val.proceed;
        payload->is_some = decision->has_payload;
        payload->val = decision->payload;
        if (decision->has_payload)
            return true;
    }
    if (decision != NULL || JS_IsUndefined(answer) || is_response(answer))
        return response_changes(given, &payload->is_some, &payload->val) || failed(err);
    payload->is_some = true;
    return payload_write(answer, "what postRequest returns", &payload->val.bytes, &payload->val.content_type) || failed(err);
}

bool exports_snaphook_hook_post_hook_post_hook(uint16_t status, HeaderList *headers, ContextRecord *context,
                                               exports_snaphook_hook_post_hook_decision_t *ret, Fault *err)
{
    JSValue answer;
    bool changed = true;
    begin(HOOK_POST_HOOK, context);
    JSValue given = result_new(status, *headers);
    if (!call(given, &answer, err))
        return false;
    const Decision *decision = decision_of(answer);
    if (decision != NULL && decision->kind == DECISION_REJECT) {
        ret->tag = EXPORTS_SNAPHOOK_HOOK_POST_HOOK_DECISION_REJECT;
        reject(decision, &ret->val.reject);
        return true;
    }
    if (decision != NULL)
        return misplaced(decision, err);
    bool done = JS_IsUndefined(answer) || is_result(answer)
                    ? result_changes(given, &changed, &ret->val.replace)
                    : payload_write(answer, "what postHook returns", &ret->val.replace.bytes, &ret->val.replace.content_type);
    ret->tag = changed ? EXPORTS_SNAPHOOK_HOOK_POST_HOOK_DECISION_REPLACE : EXPORTS_SNAPHOOK_HOOK_POST_HOOK_DECISION_KEEP;
    return done || failed(err);
}

bool exports_snaphook_hook_post_fail_post_fail(snaphook_hook_types_failure_t *failure, ContextRecord *context,
                                               exports_snaphook_hook_post_fail_decision_t *ret, Fault *err)
{
    JSValue answer;
    begin(HOOK_POST_FAIL, context);
    JSValue given = failure_new(failure);
    if (!call(given, &answer, err))
        return false;
    const Decision *decision = decision_of(answer);
    if (decision != NULL && decision->kind == DECISION_RECOVER) {
        ret->tag = EXPORTS_SNAPHOOK_HOOK_POST_FAIL_DECISION_RECOVER;
        ret->val.recover = decision->payload;
        return true;
    }
    if (decision != NULL && decision->kind == DECISION_REPLACE) {
        ret->tag = EXPORTS_SNAPHOOK_HOOK_POST_FAIL_DECISION_REPLACE;
        ret->val.replace = (snaphook_hook_types_replaced_failure_t){decision->status, decision->code, message_of(decision)};
        return true;
    }
    if (decision != NULL)
        return misplaced(decision, err);
    if (!JS_IsUndefined(answer) && !is_failure(answer))
        return wrong_answer(answer, "`recover(…)`, `replace(…)`, or nothing", err);
    bool changed;
    if (!failure_changes(given, failure, &changed, &ret->val.replace))
        return failed(err);
    ret->tag = changed ? EXPORTS_SNAPHOOK_HOOK_POST_FAIL_DECISION_REPLACE : EXPORTS_SNAPHOOK_HOOK_POST_FAIL_DECISION_KEEP;
    return true;
}

bool exports_snaphook_hook_step_step(Text *content_type, ContextRecord *context, exports_snaphook_hook_step_option_payload_t *ret, Fault *err)
{
    JSValue answer;
    begin(HOOK_STEP, context);
    JSValue given = script.is_native ? payload_given(*input_body(), *content_type) : JS_UNDEFINED;
    if (!call(given, &answer, err))
        return false;
    if (decision_of(answer) != NULL)
        return misplaced(decision_of(answer), err);
    ret->is_some = false;
    if (!JS_IsUndefined(answer)) {
        ret->is_some = true;
        return payload_write(answer, "what a step returns", &ret->val.bytes, &ret->val.content_type) || failed(err);
    }
    if (!JS_IsObject(given))
        return true;
    if (!payload_write(given, "the payload", &ret->val.bytes, &ret->val.content_type))
        return failed(err);
    ret->is_some = !body_is_same(&ret->val.bytes);
    return true;
}

// Refuses members that nobody would read; a misspelt one would otherwise be lost without a word.
static bool only_members(JSValueConst value, const char *what, const char *const *known, int count)
{
    JSPropertyEnum *names;
    uint32_t length;
    if (JS_GetOwnPropertyNames(js, &names, &length, value, JS_GPN_STRING_MASK | JS_GPN_ENUM_ONLY) < 0)
        return false;
    for (uint32_t i = 0; i < length; i++) {
        Text name;
        int at = 0;
        if (!text_of(JS_AtomToString(js, names[i].atom), &name))
            return false;
        while (at < count && !text_equals(name, known[at]))
            at++;
        if (at == count) {
            int shown = name.len > 40 ? 40 : (int)name.len;
            throw_contract("%s has a member `%.*s`; it may have %s, %s%s%s", what, shown, name.ptr, known[0], known[1], count > 2 ? ", " : "",
                           count > 2 ? known[2] : "");
            return false;
        }
    }
    return true;
}

static bool trigger_response(JSValueConst value, exports_snaphook_hook_trigger_response_t *response)
{
    static const char *const members[] = {"status", "headers", "body"};
    Decision answer = {0};
    bool has_body;
    if (!JS_IsObject(value) || JS_IsFunction(js, value) || JS_IsArray(value) || decision_of(value) != NULL) {
        throw_contract("the trigger's response is %s; it must be an object with status, headers and body",
                       decision_of(value) != NULL ? "a decision" : kind_of(value));
        return false;
    }
    if (!only_members(value, "the trigger's response", members, 3) || !answer_read(value, "the trigger's response", &answer, &has_body))
        return false;
    response->status = answer.status;
    response->headers = answer.headers;
    response->body.is_some = has_body;
    response->body.val = answer.payload.bytes;
    return true;
}

static bool trigger_decision(JSValueConst given, JSValueConst answer, exports_snaphook_hook_trigger_decision_t *ret)
{
    static const char *const members[] = {"payload", "response"};
    if (!only_members(answer, "what trigger returns", members, 2))
        return false;
    JSValue payload = JS_GetPropertyStr(js, answer, "payload"), response = JS_GetPropertyStr(js, answer, "response");
    if (JS_IsException(payload) || JS_IsException(response))
        return false;
    if (JS_IsUndefined(payload) && JS_IsUndefined(response)) {
        throw_contract("trigger returned an object without payload and response; it may return either or both, or nothing");
        return false;
    }
    ret->response.is_some = !JS_IsNull(response) && !JS_IsUndefined(response);
    if (ret->response.is_some && !trigger_response(response, &ret->response.val))
        return false;
    if (JS_IsUndefined(payload))
        return response_changes(given, &ret->payload.is_some, &ret->payload.val);
    ret->payload.is_some = true;
    return payload_write(payload, "the payload that trigger returns", &ret->payload.val.bytes, &ret->payload.val.content_type);
}

bool exports_snaphook_hook_trigger_trigger(exports_snaphook_hook_trigger_request_t *request, ContextRecord *context,
                                           exports_snaphook_hook_trigger_decision_t *ret, Fault *err)
{
    JSValue answer;
    begin(HOOK_TRIGGER, context);
    JSValue given = trigger_request_new(request);
    if (!call(given, &answer, err))
        return false;
    if (decision_of(answer) != NULL)
        return misplaced(decision_of(answer), err);
    ret->response.is_some = false;
    if (JS_IsUndefined(answer) || is_trigger_request(answer))
        return response_changes(given, &ret->payload.is_some, &ret->payload.val) || failed(err);
    if (!JS_IsObject(answer) || JS_IsFunction(js, answer) || JS_IsArray(answer))
        return wrong_answer(answer, "an object with payload and response, or nothing", err);
    return trigger_decision(given, answer, ret) || failed(err);
}

// Nothing is freed after a call: the instance ends with it. These stand in for the generated functions that would.
#define NO_CLEANUP(function, name) \
    __attribute__((export_name("cabi_post_snaphook:hook/" name))) void __wasm_export_exports_snaphook_hook_##function##_post_return(uint8_t *result) {}
NO_CLEANUP(pre_hook_pre_hook, "pre-hook@0.1.0#pre-hook")
NO_CLEANUP(pre_request_pre_request, "pre-request@0.1.0#pre-request")
NO_CLEANUP(post_request_post_request, "post-request@0.1.0#post-request")
NO_CLEANUP(post_hook_post_hook, "post-hook@0.1.0#post-hook")
NO_CLEANUP(post_fail_post_fail, "post-fail@0.1.0#post-fail")
NO_CLEANUP(step_step, "step@0.1.0#step")
NO_CLEANUP(trigger_trigger, "trigger@0.1.0#trigger")

void __component_type_object_force_link_hooks(void) {}

// What an invocation waits for: promises, timers in virtual time, and requests in flight. Virtual time moves only when nothing else can
// happen, so the same input always takes the same course.
#include "heap.h"
#include "interpreter.h"

typedef struct Timer {
    struct Timer *next; // By due time, then by age.
    double due;
    uint32_t id;
    JSValue function;
    int argc;
    JSValue arguments[];
} Timer;

typedef struct Ticket {
    struct Ticket *next;
    uint32_t number;
    JSValue settle[2];
} Ticket;

typedef struct Rejection {
    struct Rejection *next;
    JSValue promise, reason;
} Rejection;

double deadline_ms;
static Timer *timers;
static Ticket *tickets;
static uint32_t ticket_count, last_timer;
static Rejection *rejections;
static JSAtom then_atom;

static JSValue set_timeout(JSContext *ctx, JSValueConst this, int argc, JSValueConst *argv)
{
    double delay = 0;
    if (!JS_IsFunction(ctx, argv[0]))
        return JS_ThrowTypeError(ctx, "setTimeout takes a function");
    if (argc > 1 && JS_ToFloat64(ctx, &delay, argv[1]) < 0)
        return JS_EXCEPTION;
    int extra = argc > 2 ? argc - 2 : 0;
    Timer *timer = heap_allocate(sizeof *timer + (size_t)extra * sizeof(JSValue));
    if (timer == NULL)
        return JS_ThrowOutOfMemory(ctx);
    *timer = (Timer){NULL, clock_ms + (delay > 0 ? delay : 0), ++last_timer, JS_DupValue(ctx, argv[0]), extra};
    for (int i = 0; i < extra; i++)
        timer->arguments[i] = JS_DupValue(ctx, argv[i + 2]);
    Timer **place = &timers;
    while (*place != NULL && (*place)->due <= timer->due)
        place = &(*place)->next;
    timer->next = *place;
    *place = timer;
    return JS_NewUint32(ctx, timer->id);
}

static JSValue clear_timeout(JSContext *ctx, JSValueConst this, int argc, JSValueConst *argv)
{
    double id = 0;
    if (!JS_IsNumber(argv[0]) || JS_ToFloat64(ctx, &id, argv[0]) < 0)
        return JS_UNDEFINED;
    for (Timer **place = &timers; *place != NULL; place = &(*place)->next) {
        if ((*place)->id == id) {
            *place = (*place)->next;
            break;
        }
    }
    return JS_UNDEFINED;
}

static JSValue request_failure(const snaphook_hook_http_failure_t *failure)
{
    JS_ThrowTypeError(js, "%.*s", (int)failure->message.len, (const char *)failure->message.ptr);
    JSValue error = JS_GetException(js);
    JS_DefinePropertyValueStr(js, error, "code", string_of(failure->code), JS_PROP_C_W_E);
    return error;
}

// native.request(method, url, headers, body) → promise of {status, headers, body}.
static JSValue request(JSContext *ctx, JSValueConst this, int argc, JSValueConst *argv)
{
    if (invocation.hook == HOOK_LOADING)
        return JS_ThrowTypeError(ctx, "fetch is not available while the script is loaded, only inside its functions");
    snaphook_hook_http_request_t call = {.body.is_some = !JS_IsUndefined(argv[3])};
    if (!text_of(argv[0], &call.method) || !text_of(argv[1], &call.url) || !headers_read(argv[2], &call.headers))
        return JS_EXCEPTION;
    if (call.body.is_some && !engine_view_bytes(argv[3], &call.body.val.ptr, &call.body.val.len))
        return JS_ThrowTypeError(ctx, "a request's body must be bytes");
    Ticket *ticket = heap_allocate(sizeof *ticket);
    JSValue promise = ticket == NULL ? JS_ThrowOutOfMemory(ctx) : JS_NewPromiseCapability(ctx, ticket->settle);
    if (JS_IsException(promise))
        return promise;
    snaphook_hook_http_failure_t failure;
    if (!snaphook_hook_http_start(&call, &ticket->number, &failure)) {
        JSValue error = request_failure(&failure);
        JS_Call(ctx, ticket->settle[1], JS_UNDEFINED, 1, &error);
        return promise;
    }
    ticket->next = tickets;
    tickets = ticket;
    ticket_count++;
    return promise;
}

static JSValue response_of(snaphook_hook_http_response_t *response)
{
    JSValue object = JS_NewObject(js);
    JS_DefinePropertyValueStr(js, object, "status", JS_NewInt32(js, response->status), JS_PROP_C_W_E);
    JS_DefinePropertyValueStr(js, object, "headers", headers_new(response->headers), JS_PROP_C_W_E);
    JS_DefinePropertyValueStr(js, object, "body", JS_NewUint8ArrayCopy(js, response->body.ptr, response->body.len), JS_PROP_C_W_E);
    return object;
}

static void wait_for_request(void)
{
    uint32_t *numbers = heap_allocate(ticket_count * sizeof *numbers);
    if (numbers == NULL)
        __builtin_trap(); // Memory is exhausted, and the host knows it.
    size_t count = 0;
    for (Ticket *ticket = tickets; ticket != NULL; ticket = ticket->next)
        numbers[count++] = ticket->number;
    hooks_list_u32_t list = {numbers, count};
    snaphook_hook_http_tuple2_u32_result_response_failure_t answer;
    snaphook_hook_http_wait(&list, &answer);
    heap_free(numbers);
    for (Ticket **place = &tickets; *place != NULL; place = &(*place)->next) {
        Ticket *ticket = *place;
        if (ticket->number != answer.f0)
            continue;
        *place = ticket->next;
        ticket_count--;
        JSValue value = answer.f1.is_err ? request_failure(&answer.f1.val.err) : response_of(&answer.f1.val.ok);
        JS_Call(js, ticket->settle[answer.f1.is_err], JS_UNDEFINED, 1, &value);
        break;
    }
}

static void track_rejection(JSContext *ctx, JSValueConst promise, JSValueConst reason, bool handled, void *opaque)
{
    if (handled) {
        for (Rejection **place = &rejections; *place != NULL; place = &(*place)->next) {
            if (JS_VALUE_GET_PTR((*place)->promise) == JS_VALUE_GET_PTR(promise)) {
                *place = (*place)->next;
                break;
            }
        }
        return;
    }
    Rejection *rejection = heap_allocate(sizeof *rejection);
    if (rejection == NULL)
        return;
    *rejection = (Rejection){rejections, JS_DupValue(ctx, promise), JS_DupValue(ctx, reason)};
    rejections = rejection;
}

void warn_of_rejections(void)
{
    for (Rejection *rejection = rejections; rejection != NULL; rejection = rejection->next) {
        Fault fault;
        Builder builder = {0};
        fault_of_exception(rejection->reason, &fault);
        build(&builder, "Unhandled rejection: ");
        build_text(&builder, fault.message);
        host_log(SNAPHOOK_HOOK_LOG_LEVEL_WARN, built(&builder));
    }
    rejections = NULL;
}

static bool failed(Fault *fault)
{
    fault_of_exception(JS_GetException(js), fault);
    return false;
}

// Runs what waits in the job queue. False: a job threw.
static bool run_jobs(Fault *fault)
{
    JSContext *unused;
    for (;;) {
        int ran = JS_ExecutePendingJob(runtime, &unused);
        if (ran == 0)
            return true;
        if (ran < 0)
            return failed(fault);
    }
}

static bool run_timer(Fault *fault)
{
    Timer *timer = timers;
    if (timer->due > deadline_ms) {
        *fault = (Fault){.kind = SNAPHOOK_HOOK_TYPES_FAULT_KIND_DEADLINE,
                         .message = TEXT("a timer would wait beyond the time that the invocation may take"),
                         .stack = TEXT("")};
        return false;
    }
    timers = timer->next;
    if (timer->due > clock_ms)
        clock_ms = timer->due;
    JSValue result = JS_Call(js, timer->function, JS_UNDEFINED, timer->argc, timer->arguments);
    return !JS_IsException(result) || failed(fault);
}

static bool settle_promise(JSValue promise, JSValue *value, Fault *fault)
{
    for (;;) {
        switch (JS_PromiseState(js, promise)) {
        case JS_PROMISE_FULFILLED:
            *value = JS_PromiseResult(js, promise);
            return true;
        case JS_PROMISE_REJECTED:
            JS_PromiseMarkAsHandled(js, promise);
            track_rejection(js, promise, JS_UNDEFINED, true, NULL);
            fault_of_exception(JS_PromiseResult(js, promise), fault);
            return false;
        default:
            break;
        }
        if (JS_IsJobPending(runtime)) {
            JSContext *unused;
            if (JS_ExecutePendingJob(runtime, &unused) < 0)
                return failed(fault);
        } else if (tickets != NULL) {
            wait_for_request();
        } else if (timers != NULL) {
            if (!run_timer(fault))
                return false;
        } else {
            *fault = (Fault){.kind = SNAPHOOK_HOOK_TYPES_FAULT_KIND_NEVER_SETTLES,
                             .message = TEXT("a promise was returned that nothing can settle any more"),
                             .stack = TEXT("")};
            return false;
        }
    }
}

bool settle(JSValue *value, Fault *fault)
{
    if (JS_IsObject(*value)) {
        JSValue promise = *value;
        if (!JS_IsPromise(promise)) {
            JSValue then = JS_GetProperty(js, promise, then_atom);
            if (JS_IsException(then))
                return failed(fault);
            promise = JS_IsFunction(js, then) ? engine_resolve(promise) : JS_UNDEFINED;
            if (JS_IsException(promise))
                return failed(fault);
        }
        if (!JS_IsUndefined(promise))
            return settle_promise(promise, value, fault);
    }
    return !JS_IsJobPending(runtime) || run_jobs(fault);
}

void waiting_define(JSValueConst globals, JSValueConst native)
{
    static const JSCFunctionListEntry own[] = {
        JS_CFUNC_DEF("setTimeout", 1, set_timeout),
        JS_CFUNC_DEF("clearTimeout", 1, clear_timeout),
    };
    static const JSCFunctionListEntry internal[] = {JS_CFUNC_DEF("request", 4, request)};
    define_functions(globals, own, 2);
    define_functions(native, internal, 1);
    then_atom = JS_NewAtom(js, "then");
    JS_SetHostPromiseRejectionTracker(runtime, track_rejection, NULL);
}

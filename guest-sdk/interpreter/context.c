// `context`: the circumstances of the invocation, and the scopes of values that a run has, of which only what is asked for crosses.
#include "heap.h"
#include "interpreter.h"

#include <string.h>

// A value of a scope that the script has seen or set.
typedef struct Entry {
    struct Entry *next;
    JSAtom key;
    JSValue value;
    Text text;  // Its JSON as the host has it.
    bool loose; // Which may be written in another way.
} Entry;

typedef struct Scope {
    int scope;
    Entry *entries;
} Scope;

// Beside the scopes that the host numbers, the connection's fields look like one.
enum { CONNECTION = SNAPHOOK_HOOK_VARIABLES_SCOPE_TENANT_STATE + 1, SCOPE_COUNT };

static bool host_get(const int scope, Text *key, Text *value)
{
    return scope == CONNECTION ? snaphook_hook_connection_get(key, value)
                               : snaphook_hook_variables_get((snaphook_hook_variables_scope_t)scope, key, value);
}

typedef struct Context {
    const ContextRecord *record;
    JSValue parms;
    JSValue scopes[SCOPE_COUNT];
    JSValue state;
} Context;

static JSClassID context_class, scope_class;
// The two of state have objects of their own; see state.c.
static const char *const scope_names[SCOPE_COUNT] = {"variables", "meta", "config", "stepResults", NULL, NULL, "connection"};
static Scope scopes[SCOPE_COUNT];

static bool is_writable(const Scope *scope)
{
    return scope->scope == SNAPHOOK_HOOK_VARIABLES_SCOPE_VARIABLES || scope->scope == SNAPHOOK_HOOK_VARIABLES_SCOPE_META;
}

static Entry *seen(Scope *scope, JSAtom key)
{
    Entry *entry = scope->entries;
    while (entry != NULL && entry->key != key)
        entry = entry->next;
    return entry;
}

static Entry *remember(Scope *scope, JSAtom key)
{
    Entry *entry = seen(scope, key);
    if (entry == NULL) {
        entry = heap_allocate(sizeof *entry);
        if (entry == NULL) {
            JS_ThrowOutOfMemory(js);
            return NULL;
        }
        *entry = (Entry){scope->entries, JS_DupAtom(js, key), JS_UNDEFINED, {NULL, 0}, false};
        scope->entries = entry;
    }
    return entry;
}

// The name of a property as the host knows it; false for symbols, which no scope has.
static bool key_of(JSAtom atom, Text *key)
{
    JSValue value = JS_AtomToValue(js, atom);
    return JS_IsString(value) && engine_text(value, key);
}

// 1 and the entry when the scope has the key, 0 when it has not, -1 when something threw.
static int find(Scope *scope, JSAtom atom, Entry **entry)
{
    Text key, text;
    *entry = seen(scope, atom);
    if (*entry != NULL)
        return !JS_IsUndefined((*entry)->value);
    if (!key_of(atom, &key) || !host_get(scope->scope, &key, &text))
        return 0;
    JSValue value = json_parse(text.ptr, text.len);
    if (JS_IsException(value) || (*entry = remember(scope, atom)) == NULL)
        return -1;
    (*entry)->value = value;
    (*entry)->text = text;
    (*entry)->loose = json_loose;
    return 1;
}

static int get_own_property(JSContext *ctx, JSPropertyDescriptor *descriptor, JSValueConst object, JSAtom atom)
{
    Scope *scope = JS_GetOpaque(object, scope_class);
    Entry *entry;
    int found = find(scope, atom, &entry);
    if (found > 0 && descriptor != NULL) {
        descriptor->flags = JS_PROP_C_W_E;
        descriptor->value = JS_DupValue(ctx, entry->value);
        descriptor->getter = descriptor->setter = JS_UNDEFINED;
    }
    return found;
}

static int get_own_property_names(JSContext *ctx, JSPropertyEnum **table, uint32_t *length, JSValueConst object)
{
    Scope *scope = JS_GetOpaque(object, scope_class);
    hooks_list_string_t keys;
    if (scope->scope == CONNECTION)
        snaphook_hook_connection_fields(&keys);
    else
        snaphook_hook_variables_keys((snaphook_hook_variables_scope_t)scope->scope, &keys);
    JSPropertyEnum *names = js_malloc(ctx, (keys.len + 1) * sizeof *names);
    if (names == NULL)
        return -1;
    for (size_t i = 0; i < keys.len; i++)
        names[i] = (JSPropertyEnum){true, JS_NewAtomLen(ctx, (const char *)keys.ptr[i].ptr, keys.ptr[i].len)};
    *table = names;
    *length = (uint32_t)keys.len;
    return 0;
}

static int refused(const Scope *scope, snaphook_hook_variables_refusal_t refusal)
{
    const char *name = scope_names[scope->scope];
    switch (refusal) {
    case SNAPHOOK_HOOK_VARIABLES_REFUSAL_READ_ONLY:
        throw_contract("context.%s is read-only", name);
        break;
    case SNAPHOOK_HOOK_VARIABLES_REFUSAL_INVALID:
        throw_contract("context.%s does not take this value", name);
        break;
    default:
        JS_ThrowRangeError(js, "context.%s would outgrow its limit", name);
        break;
    }
    return -1;
}

// Hands a value to the host; an absent text removes the key.
static int store(Scope *scope, JSAtom atom, JSValueConst value, Text *text)
{
    Text key;
    snaphook_hook_variables_refusal_t refusal;
    if (!key_of(atom, &key)) {
        throw_contract("a symbol cannot be a key of context.%s", scope_names[scope->scope]);
        return -1;
    }
    if (!snaphook_hook_variables_set((snaphook_hook_variables_scope_t)scope->scope, &key, text, &refusal))
        return refused(scope, refusal);
    Entry *entry = remember(scope, atom);
    if (entry == NULL)
        return -1;
    entry->value = text == NULL ? JS_UNDEFINED : JS_DupValue(js, value);
    entry->text = text == NULL ? (Text){NULL, 0} : *text;
    entry->loose = false;
    return true;
}

static int set_property(JSContext *ctx, JSValueConst object, JSAtom atom, JSValueConst value, JSValueConst receiver, int flags)
{
    Scope *scope = JS_GetOpaque(object, scope_class);
    Text text;
    if (!is_writable(scope))
        return refused(scope, SNAPHOOK_HOOK_VARIABLES_REFUSAL_READ_ONLY);
    if (JS_IsUndefined(value))
        return store(scope, atom, value, NULL);
    if (scope->scope == SNAPHOOK_HOOK_VARIABLES_SCOPE_META && !JS_IsString(value)) {
        throw_contract("values of context.meta are text");
        return -1;
    }
    if (!json_write(value, &text))
        return -1;
    if (text.ptr == NULL) {
        throw_contract("a value of context.%s has no JSON form", scope_names[scope->scope]);
        return -1;
    }
    return store(scope, atom, value, &text);
}

static int define_own_property(JSContext *ctx, JSValueConst object, JSAtom atom, JSValueConst value, JSValueConst getter,
                               JSValueConst setter, int flags)
{
    if (flags & (JS_PROP_HAS_GET | JS_PROP_HAS_SET)) {
        throw_contract("context.%s holds values, not accessors", scope_names[((Scope *)JS_GetOpaque(object, scope_class))->scope]);
        return -1;
    }
    return set_property(ctx, object, atom, value, object, flags);
}

static int delete_property(JSContext *ctx, JSValueConst object, JSAtom atom)
{
    Scope *scope = JS_GetOpaque(object, scope_class);
    return is_writable(scope) ? store(scope, atom, JS_UNDEFINED, NULL) : refused(scope, SNAPHOOK_HOOK_VARIABLES_REFUSAL_READ_ONLY);
}

bool context_flush(void)
{
    for (int i = 0; i < 2; i++) {
        for (Entry *entry = scopes[i].entries; entry != NULL; entry = entry->next) {
            Text text;
            if (!JS_IsObject(entry->value))
                continue;
            if (!json_write(entry->value, &text))
                return false;
            bool same = text.ptr != NULL && same_data(text, entry->text, entry->loose);
            if (!same && store(&scopes[i], entry->key, entry->value, text.ptr == NULL ? NULL : &text) < 0)
                return false;
        }
    }
    return true;
}

JSValue context_new(const ContextRecord *record)
{
    Context *context = heap_allocate(sizeof *context);
    JSValue object = context == NULL ? JS_ThrowOutOfMemory(js) : JS_NewObjectClass(js, (int)context_class);
    if (!JS_IsException(object)) {
        *context = (Context){.record = record, .parms = JS_UNDEFINED, .state = JS_UNDEFINED};
        for (int i = 0; i < SCOPE_COUNT; i++)
            context->scopes[i] = JS_UNDEFINED;
        JS_SetOpaque(object, context);
    }
    return object;
}

static JSValue optional(const hooks_option_string_t *text)
{
    return text->is_some ? string_of(text->val) : JS_NULL;
}

// Milliseconds since 1970 as ISO 8601, by the days-to-date arithmetic of the proleptic Gregorian calendar.
static JSValue iso_time(uint64_t ms)
{
    uint64_t days = ms / 86400000, rest = ms % 86400000;
    uint64_t z = days + 719468, era = z / 146097, doe = z % 146097;
    uint64_t yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
    uint64_t doy = doe - (365 * yoe + yoe / 4 - yoe / 100), mp = (5 * doy + 2) / 153;
    uint64_t parts[] = {yoe + era * 400 + (mp >= 10), mp < 10 ? mp + 3 : mp - 9, doy - (153 * mp + 2) / 5 + 1,
                        rest / 3600000, rest / 60000 % 60, rest / 1000 % 60, rest % 1000};
    char text[] = "0000-00-00T00:00:00.000Z";
    static const uint8_t last[] = {3, 6, 9, 12, 15, 18, 22};
    for (int i = 0; i < 7; i++)
        for (int at = last[i]; parts[i] != 0 && at >= 0; at--, parts[i] /= 10)
            text[at] = (char)('0' + parts[i] % 10);
    return JS_NewStringLen(js, text, sizeof text - 1);
}

typedef enum Field { TENANT, FLOW, STEP, RUN, ATTEMPT, STARTED, PARMS, TEST_RUN, STATE, SCOPES } Field;

static JSValue scope_object(Context *context, int index)
{
    if (JS_IsUndefined(context->scopes[index])) {
        JSValue object = JS_NewObjectClass(js, (int)scope_class);
        if (JS_IsException(object))
            return object;
        JS_SetOpaque(object, &scopes[index]);
        context->scopes[index] = object;
    }
    return JS_DupValue(js, context->scopes[index]);
}

static JSValue get(JSContext *ctx, JSValueConst this, int magic)
{
    Context *context = JS_GetOpaque2(ctx, this, context_class);
    if (context == NULL)
        return JS_EXCEPTION;
    const ContextRecord *record = context->record;
    switch (magic) {
    case TENANT:
        return string_of(record->tenant);
    case FLOW:
        return optional(&record->flow);
    case STEP:
        return optional(&record->step);
    case RUN:
        return string_of(record->run_id);
    case ATTEMPT:
        return JS_NewUint32(ctx, record->attempt);
    case STARTED:
        return iso_time(record->started_at_ms);
    case PARMS:
        if (JS_IsUndefined(context->parms)) {
            JSValue parms = json_parse(record->parms.ptr, record->parms.len);
            if (JS_IsException(parms))
                return parms;
            context->parms = parms;
        }
        return JS_DupValue(ctx, context->parms);
    case TEST_RUN:
        return JS_NewBool(ctx, record->test_run);
    case STATE:
        if (JS_IsUndefined(context->state)) {
            JSValue state = state_new(record->flow.is_some || record->test_run);
            if (JS_IsException(state))
                return state;
            context->state = state;
        }
        return JS_DupValue(ctx, context->state);
    case SCOPES + CONNECTION: {
        // Most calls use none, and then there is nothing to make an object for.
        Text name = {(uint8_t *)"name", 4}, text;
        if (JS_IsUndefined(context->scopes[CONNECTION]) && !host_get(CONNECTION, &name, &text))
            return JS_UNDEFINED;
        return scope_object(context, CONNECTION);
    }
    default:
        return scope_object(context, magic - SCOPES);
    }
}

static JSValue to_json(JSContext *ctx, JSValueConst this, int argc, JSValueConst *argv)
{
    static const char *const names[] = {"tenant", "flow", "step", "runId", "attempt", "startedAt", "parms", "testRun"};
    JSValue object = JS_NewObject(ctx);
    for (int field = TENANT; field <= TEST_RUN; field++) {
        JSValue value = get(ctx, this, field);
        if (JS_IsException(value))
            return value;
        JS_DefinePropertyValueStr(ctx, object, names[field], value, JS_PROP_C_W_E);
    }
    return object;
}

static const JSCFunctionListEntry parts[] = {
    JS_CGETSET_MAGIC_DEF("tenant", get, NULL, TENANT),
    JS_CGETSET_MAGIC_DEF("flow", get, NULL, FLOW),
    JS_CGETSET_MAGIC_DEF("step", get, NULL, STEP),
    JS_CGETSET_MAGIC_DEF("runId", get, NULL, RUN),
    JS_CGETSET_MAGIC_DEF("attempt", get, NULL, ATTEMPT),
    JS_CGETSET_MAGIC_DEF("startedAt", get, NULL, STARTED),
    JS_CGETSET_MAGIC_DEF("parms", get, NULL, PARMS),
    JS_CGETSET_MAGIC_DEF("testRun", get, NULL, TEST_RUN),
    JS_CGETSET_MAGIC_DEF("variables", get, NULL, SCOPES + SNAPHOOK_HOOK_VARIABLES_SCOPE_VARIABLES),
    JS_CGETSET_MAGIC_DEF("meta", get, NULL, SCOPES + SNAPHOOK_HOOK_VARIABLES_SCOPE_META),
    JS_CGETSET_MAGIC_DEF("config", get, NULL, SCOPES + SNAPHOOK_HOOK_VARIABLES_SCOPE_CONFIG),
    JS_CGETSET_MAGIC_DEF("stepResults", get, NULL, SCOPES + SNAPHOOK_HOOK_VARIABLES_SCOPE_STEP_RESULTS),
    JS_CGETSET_MAGIC_DEF("connection", get, NULL, SCOPES + CONNECTION),
    JS_CGETSET_MAGIC_DEF("state", get, NULL, STATE),
    JS_CFUNC_DEF("toJSON", 0, to_json),
};

void context_define_classes(JSValueConst log)
{
    static JSClassExoticMethods exotic = {
        .get_own_property = get_own_property,
        .get_own_property_names = get_own_property_names,
        .delete_property = delete_property,
        .define_own_property = define_own_property,
        .set_property = set_property,
    };
    JSClassDef definition = {.class_name = "Values", .exotic = &exotic};
    JS_NewClassID(runtime, &scope_class);
    JS_NewClass(runtime, scope_class, &definition);
    JS_SetClassProto(js, scope_class, JS_NewObject(js));
    define_class(&context_class, "Context", parts, sizeof parts / sizeof *parts);
    JS_DefinePropertyValueStr(js, JS_GetClassProto(js, context_class), "log", JS_DupValue(js, log), JS_PROP_C_W_E);
    for (int i = 0; i < SCOPE_COUNT; i++)
        scopes[i].scope = i;
}

// What the parts of the interpreter share: the engine's handles, the invocation in progress, and each part's entry points.
#ifndef SNAPHOOK_INTERPRETER_H
#define SNAPHOOK_INTERPRETER_H

#include "hooks.h"
#include "quickjs.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef hooks_string_t Text;
typedef snaphook_hook_types_context_t ContextRecord;
typedef snaphook_hook_types_fault_t Fault;
typedef snaphook_hook_types_headers_t HeaderList;
typedef hooks_tuple2_string_string_t HeaderPair;

#define TEXT(literal) ((Text){(uint8_t *)(literal), sizeof(literal) - 1})

// In the order of the host's hook sets, whose bits they number.
typedef enum Hook {
    HOOK_PRE_HOOK,
    HOOK_PRE_REQUEST,
    HOOK_POST_REQUEST,
    HOOK_POST_HOOK,
    HOOK_POST_FAIL,
    HOOK_STEP,
    HOOK_TRIGGER,
    HOOK_COUNT,
    // Top-level code runs, at deploy.
    HOOK_LOADING = HOOK_COUNT,
} Hook;

// The export's name in a script: `preHook`, `default` for a step.
extern const char *const hook_names[HOOK_COUNT];

// The one script of this image.
typedef struct Script {
    JSValue functions[HOOK_COUNT]; // Undefined where there is none.
    JSAtom name;                   // File name in positions; 0 before a script is loaded.
    bool is_native;                // Else its functions are its dialect's, which take what they want of a payload themselves.
} Script;

// The one invocation of this instance.
typedef struct Invocation {
    Hook hook;
    const ContextRecord *context;
    JSValue contract_error;    // The last error that we threw because a hook may not do what it did.
    JSValue pending_decision;  // The last decision made by a helper, until it is returned.
    bool has_body;             // `body` has crossed.
    hooks_list_u8_t body;
    bool body_loose;           // It was read as JSON, and the same data may be written in another way.
    bool has_arguments;        // `arguments` have crossed.
    hooks_list_u8_t arguments;
    bool arguments_loose;
} Invocation;

extern JSRuntime *runtime;
extern JSContext *js;
extern Script script;
extern Invocation invocation;
extern double clock_ms;    // Now, moved by timers.
extern double deadline_ms; // Where virtual time ends.

// engine.c: what needs the engine's insides.
void engine_seed(uint64_t seed);
void engine_set_stack_limit(void);
// The UTF-8 of a string value; lone surrogates become U+FFFD. Points into the string where it can. False on exhausted memory.
bool engine_text(JSValueConst string, Text *text);
// Bytes as UTF-8, broken or not; with `fatal` broken ones throw.
JSValue engine_decode(const uint8_t *bytes, size_t length, bool fatal);
size_t engine_unfinished(const uint8_t *bytes, size_t length);
// A program of sloppy code, for `JS_EvalFunction`; its completion value is that of its last expression. Throws what is wrong with the text, which
// must end in a zero. The text's first line counts as `first_line`.
JSValue engine_compile(const char *text, size_t length, const char *name, int first_line);
// A data property of an object or of its prototypes, read without running any code; undefined where there is none.
JSValue engine_data_property(JSValueConst object, const char *name);
bool engine_is_error(JSValueConst value);
// A DOMException, which keeps its name and message apart from its properties.
bool engine_is_dom_exception(JSValueConst value);
JSValueConst engine_dom_name(JSValueConst exception);
JSValueConst engine_dom_message(JSValueConst exception);
// The stack trace of an error: the engine keeps it beside its properties, where only a getter reaches it, unless a script set its own.
JSValue engine_error_stack(JSValueConst error);
bool engine_last_throw(snaphook_hook_types_location_t *location);
// Where in an imported module the last throw was; its file, or 0 when it was in none.
JSAtom engine_last_throw_imported(snaphook_hook_types_location_t *location);
// Where the script stands now.
bool engine_position(snaphook_hook_types_location_t *location);
// Whether the code that runs is that of a module which the script imports.
bool engine_in_imported(void);
// Before the interpreter's own snapshot: makes and moves what every invocation would make or dirty.
void engine_prepare_snapshot(void);
void engine_forget_module(JSModuleDef *module);
// Makes everything there is part of the snapshot that is about to be taken.
void engine_seal(void);
JSValue engine_resolve(JSValueConst value);
JSAtom engine_symbol_iterator(void);
// The bytes that a typed array or a DataView shows; false when the value is neither.
bool engine_view_bytes(JSValueConst value, uint8_t **bytes, size_t *length);
// Whether a text, behind which zeros stand, is JSON.
bool json_is_valid(const uint8_t *bytes, size_t length);
// JSON text to a value; throws SyntaxError.
JSValue json_parse(const uint8_t *bytes, size_t length);
// Set by `json_parse` when its text may not be the one that `json_write` would write for the value.
extern bool json_loose;
// A value to JSON text. False and an exception when it throws; `text->ptr` NULL when the value has no JSON form.
bool json_write(JSValueConst value, Text *text);
// Set when the writer itself refused a value, as opposed to a `toJSON` that threw.
extern bool json_refused;

// text.c
JSValue string_of(Text text);
// The text of any value, by the language's rules; false when that threw.
bool text_of(JSValueConst value, Text *text);
bool text_equals(Text text, const char *other);
bool same_text(Text a, Text b);
bool text_equals_ignoring_case(Text text, const char *other);
Text text_copy(const uint8_t *bytes, size_t length);
// Grows; `failed` once memory is exhausted.
typedef struct Builder {
    uint8_t *bytes;
    size_t length, capacity;
    bool failed;
} Builder;
void build_bytes(Builder *builder, const void *bytes, size_t length);
void build(Builder *builder, const char *text);
void build_text(Builder *builder, Text text);
void build_number(Builder *builder, int64_t number);
void build_json_string(Builder *builder, Text text);
Text built(Builder *builder);

// faults.c
// Throws a TypeError that ends the invocation as `contract`, unless the script catches it.
JSValue throw_contract(const char *format, ...) __attribute__((format(printf, 1, 2)));
void fault_of_exception(JSValue exception, Fault *fault);
void fault_contract(Fault *fault, Text message);

// headers.c
void headers_define_class(JSValueConst globals);
JSValue headers_new(HeaderList list);
HeaderList *headers_of(JSValueConst value);
bool headers_changed(JSValueConst value);
// Reads `Headers`, pairs, or an object of name and text or texts. False when it threw.
bool headers_read(JSValueConst value, HeaderList *list);
void headers_append(HeaderList *list, Text name, Text value);
bool headers_find(const HeaderList *list, const char *name, Text *value);

// payload.c
// Text for a string, bytes for buffers, JSON for the rest; `what` names the value in errors. False when it threw.
// Bytes are the buffer's own: they hold as long as nothing else runs.
bool payload_write(JSValueConst value, const char *what, hooks_list_u8_t *bytes, Text *content_type);
// The same for what is handed over later: whatever becomes of a buffer, its bytes stay as they are now.
bool payload_keep(JSValueConst value, const char *what, snaphook_hook_types_payload_t *payload);
// The body: JSON as a value, `text/*` as a string, anything else as bytes.
JSValue payload_read(hooks_list_u8_t bytes, Text content_type);
// The same for a payload, which can be had in no other way: what says that it is JSON and is not is a string all the same, or bytes.
JSValue payload_given(hooks_list_u8_t bytes, Text content_type);
// Text of a body: UTF-8 without its mark.
JSValue body_text(const hooks_list_u8_t *bytes);
// JSON of a body, which may begin with the mark.
JSValue body_json(const hooks_list_u8_t *bytes);
// A value as a payload, for a hook to return and for decisions. Other than elsewhere, text that is JSON counts as JSON.
JSValue payload_new(JSValueConst value);
void payload_define_class(void);
const hooks_list_u8_t *input_body(void);
const hooks_list_u8_t *input_arguments(void);
// The media type of a payload that stands in the body's place; false where the headers say it.
bool input_payload_type(Text *type);
// The arguments as a value, to be read once.
JSValue arguments_read(void);
// Whether what was written says the same as what came, though that was written in another way if it was `loose`. If not, the script changed it.
bool same_data(Text written, Text came, bool loose);
bool body_is_same(const hooks_list_u8_t *written);
bool arguments_are_same(const hooks_list_u8_t *written);

// message.c: requests and responses.
void message_define_classes(void);
JSValue request_new(snaphook_hook_types_request_t *request);
JSValue response_new(snaphook_hook_types_response_t *response);
// Whether anything of it was changed; false in `*changed` leaves `request` alone. False when it threw.
bool request_changes(JSValueConst request, bool *changed, snaphook_hook_types_new_request_t *result);
bool request_read(JSValueConst given, JSValueConst value, snaphook_hook_types_new_request_t *result);
bool response_changes(JSValueConst response, bool *changed, snaphook_hook_types_payload_t *result);
bool is_request(JSValueConst value);
bool is_response(JSValueConst value);
// The request that a trigger is given; its body counts as a response's does.
JSValue trigger_request_new(exports_snaphook_hook_trigger_request_t *request);
bool is_trigger_request(JSValueConst value);

// query.c
// The parameters of a URL as an object: name to text, or to a list of texts where a name comes more than once.
JSValue query_of_url(Text url);

// given.c: what the other hooks are given.
void given_define_classes(void);
JSValue call_new(Text connector, Text endpoint);
bool call_changes(JSValueConst call, bool *changed, hooks_list_u8_t *arguments);
bool is_call(JSValueConst value);
JSValue result_new(uint16_t status, HeaderList headers);
bool result_changes(JSValueConst result, bool *changed, snaphook_hook_types_payload_t *payload);
bool is_result(JSValueConst value);
JSValue failure_new(snaphook_hook_types_failure_t *failure);
bool failure_changes(JSValueConst value, const snaphook_hook_types_failure_t *given, bool *changed, snaphook_hook_types_replaced_failure_t *result);
bool is_failure(JSValueConst value);

// context.c
void context_define_classes(JSValueConst log);
JSValue context_new(const ContextRecord *record);
// Hands values that were changed in place to the host. False when it threw.
bool context_flush(void);

// state.c
void state_define_class(void);
// `{flow, tenant}`; without a flow, its state is empty and cannot be written.
JSValue state_new(bool has_flow);

// decisions.c
typedef enum DecisionKind {
    DECISION_REJECT,
    DECISION_RESPOND,
    DECISION_PROCEED,
    DECISION_RETRY,
    DECISION_RETRY_RUN,
    DECISION_FAIL,
    DECISION_REAUTHENTICATE,
    DECISION_RECOVER,
    DECISION_REPLACE,
} DecisionKind;
typedef struct Decision {
    DecisionKind kind;
    bool has_payload;
    uint16_t status;
    snaphook_hook_types_option_reason_code_t code;
    hooks_option_string_t message;
    snaphook_hook_types_payload_t payload;
    HeaderList headers;
} Decision;
// The helpers, as the module "snaphook" and as internal functions.
void decisions_define(JSValueConst native);
Decision *decision_of(JSValueConst value);
const char *decision_name(DecisionKind kind);
// Status (200 when absent), headers and body of an answer; `*has_body` is false where the body is left out or null. False when it threw.
bool answer_read(JSValueConst value, const char *what, Decision *decision, bool *has_body);
// A reason code; undefined and null give none. False when it threw.
bool reason_code_read(JSValueConst value, snaphook_hook_types_option_reason_code_t *code);
bool status_read(JSValueConst value, const char *what, uint16_t *status);

// waiting.c: promises, timers and requests in flight.
void waiting_define(JSValueConst globals, JSValueConst native);
// Runs jobs, timers and requests until a value that may be a promise is settled. False: `fault` is filled.
bool settle(JSValue *value, Fault *fault);
// Logs the rejections that nobody handled.
void warn_of_rejections(void);

// host.c: log, chance, digests.
// Gives the object `context.log`.
JSValue host_define(JSValueConst globals, JSValueConst native);
void host_log(snaphook_hook_log_level_t level, Text message);
void define_functions(JSValueConst object, const JSCFunctionListEntry *entries, int count);
// A class without a constructor, for what only the host makes.
void define_class(JSClassID *class, const char *name, const JSCFunctionListEntry *entries, int count);

// load.c
void load_define(void);
// Fills `fault` with why a source did not become a program, and `*kind` where that is its syntax. Always false.
bool does_not_parse(Fault *fault, const char **kind);
// Adds to what the deploy's answer warns of, once per line. `message` must live for ever.
void load_warning(const char *message);
// The hook in a sentence.
const char *hook_title(Hook hook);

// library.c: other scripts that the script imports.
#define LIBRARY_MODULES 64
typedef struct Included {
    const char *name, *source;
    size_t length;
} Included;
int library_count(void);
// In the order in which they are to be evaluated.
Included library_text(int index);
// The scripts' names, without their versions.
JSValue library_names(void);
// Text that stays where it is while modules are parsed. Give it back to the heap.
char *library_keep(char *text, uint32_t length);
// The name of the module that `specifier` means in the file `base`.
char *library_name(const char *base, const char *specifier);
// The module with this name, compiled. NULL: it is not `known`, or an exception.
JSModuleDef *library_module(const char *name, bool *known);
// Once all are evaluated.
void library_forget(void);
// dialects.c: sources written for other products.
void dialects_define(JSValueConst native);
// Keeps what the prelude of the dialect with this number, from 1, describes.
void dialect_add(uint32_t number, JSValue dialect);
// Evaluates a source of a dialect; `*hooks` is then an object with the functions of its hooks. False: `fault` is filled, and `*kind` where it is
// not an exception.
bool dialect_evaluate(uint32_t number, const char *source, size_t length, const char *name, JSValue *hooks, Fault *fault, const char **kind);
// The sentence for a source of the dialect without any hook.
Text dialect_lack(uint32_t number);

// start.c
extern const char *start_problem; // Why the interpreter itself did not start.

// Wipes what lies below the caller, so that it does not become part of an image.
void stack_wipe(void);

#endif

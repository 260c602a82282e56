// Faults: what an exception becomes for the host, with the script's position. No code of the script runs here.
#include "heap.h"
#include "interpreter.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

JSValue throw_contract(const char *format, ...)
{
    char message[256];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(message, sizeof message, format, arguments);
    va_end(arguments);
    JS_ThrowTypeError(js, "%s", message);
    JSValue error = JS_GetException(js);
    invocation.contract_error = JS_DupValue(js, error);
    return JS_Throw(js, error);
}

static bool digits(const uint8_t **at, const uint8_t *end, uint32_t *number)
{
    const uint8_t *start = *at;
    *number = 0;
    for (; *at < end && **at >= '0' && **at <= '9' && *at - start < 9; ++*at)
        *number = *number * 10 + (uint32_t)(**at - '0');
    return *at > start;
}

// The first position in a stack trace that lies in the script: `name:line:column`.
static bool position_in(Text stack, snaphook_hook_types_location_t *location)
{
    Text name;
    if (script.name == JS_ATOM_NULL || !engine_text(JS_AtomToString(js, script.name), &name))
        return false;
    const uint8_t *end = stack.ptr + stack.len;
    for (const uint8_t *at = stack.ptr; at + name.len < end; at++) {
        if ((at > stack.ptr && at[-1] != '(' && at[-1] != ' ') || memcmp(at, name.ptr, name.len) != 0 || at[name.len] != ':')
            continue;
        const uint8_t *number = at + name.len + 1;
        if (digits(&number, end, &location->line) && number < end && *number == ':') {
            number++;
            if (digits(&number, end, &location->column))
                return true;
        }
    }
    return false;
}

// A text property without running code; empty when it is none.
static Text property_text(JSValueConst object, const char *name)
{
    Text text = TEXT("");
    JSValue value = engine_data_property(object, name);
    if (JS_IsString(value))
        engine_text(value, &text);
    return text;
}

// A text, empty for what is none.
static Text own_text(JSValueConst value)
{
    Text text = TEXT("");
    if (JS_IsString(value))
        engine_text(value, &text);
    return text;
}

// The stack trace of an error, empty for what is none.
static Text stack_of(JSValueConst exception)
{
    Text text = TEXT("");
    JSValue stack = engine_is_error(exception) ? engine_error_stack(exception) : JS_UNDEFINED;
    if (JS_IsString(stack))
        engine_text(stack, &text);
    return text;
}

static Text describe(JSValueConst exception)
{
    Builder builder = {0};
    Text text = TEXT("");
    bool dom = engine_is_dom_exception(exception);
    if (dom || engine_is_error(exception)) {
        Text name = dom ? own_text(engine_dom_name(exception)) : property_text(exception, "name");
        Text message = dom ? own_text(engine_dom_message(exception)) : property_text(exception, "message");
        build_text(&builder, name.len == 0 ? TEXT("Error") : name);
        if (message.len > 0) {
            build(&builder, ": ");
            build_text(&builder, message);
        }
        return built(&builder);
    }
    build(&builder, "Uncaught ");
    if (JS_IsString(exception)) {
        engine_text(exception, &text);
        build_json_string(&builder, text);
    } else if (JS_IsSymbol(exception)) {
        build(&builder, "symbol");
    } else if (JS_IsFunction(js, exception)) {
        build(&builder, "function");
    } else if (JS_IsObject(exception) && property_text(exception, "message").len > 0) {
        text = property_text(exception, "message");
        build(&builder, "object with the message ");
        build_json_string(&builder, text);
    } else if (JS_IsObject(exception)) {
        build(&builder, "object");
    } else if (text_of(exception, &text)) {
        build_text(&builder, text);
    }
    return built(&builder);
}

// A script may have made a stack trace of its own, of any length.
#define STACK_TEXT 16384

// Frames of the interpreter's own preludes tell an author nothing.
static Text own_frames(Text stack)
{
    Builder builder = {0};
    if (stack.len > STACK_TEXT)
        stack.len = STACK_TEXT;
    for (size_t start = 0; start < stack.len;) {
        size_t end = start;
        while (end < stack.len && stack.ptr[end] != '\n')
            end++;
        if (memmem(stack.ptr + start, end - start, "(snaphook:", 10) == NULL)
            build_bytes(&builder, stack.ptr + start, end - start + (end < stack.len));
        start = end + 1;
    }
    return built(&builder);
}

// Of what is thrown without a stack trace the host learns the place in an imported module too.
static Text imported_frame(void)
{
    snaphook_hook_types_location_t location;
    Text name;
    Builder builder = {0};
    JSAtom file = engine_last_throw_imported(&location);
    if (file == JS_ATOM_NULL || !engine_text(JS_AtomToString(js, file), &name))
        return TEXT("");
    build(&builder, "    at <anonymous> (");
    build_text(&builder, name);
    build(&builder, ":");
    build_number(&builder, location.line);
    build(&builder, ":");
    build_number(&builder, location.column);
    build(&builder, ")\n");
    return built(&builder);
}

void fault_of_exception(JSValue exception, Fault *fault)
{
    bool contract = JS_IsObject(exception) && JS_IsObject(invocation.contract_error) &&
                    JS_VALUE_GET_PTR(exception) == JS_VALUE_GET_PTR(invocation.contract_error);
    Text message = property_text(exception, "message");
    bool memory = heap.exhausted && (JS_IsNull(exception) || text_equals(message, "out of memory"));
    if (memory)
        heap_open_reserve();
    Text stack = stack_of(exception);
    fault->kind = memory ? SNAPHOOK_HOOK_TYPES_FAULT_KIND_MEMORY
                  : contract ? SNAPHOOK_HOOK_TYPES_FAULT_KIND_CONTRACT
                             : SNAPHOOK_HOOK_TYPES_FAULT_KIND_THREW;
    fault->message = memory ? TEXT("the script ran out of memory") : contract ? message : describe(exception);
    fault->location.is_some = position_in(stack, &fault->location.val);
    // What is no error has no trace; an error without a frame of the script was not thrown by it.
    if (!fault->location.is_some && (!engine_is_error(exception) || memory))
        fault->location.is_some = engine_last_throw(&fault->location.val);
    fault->stack = stack.len == 0 || memory ? imported_frame() : own_frames(stack);
}

void fault_contract(Fault *fault, Text message)
{
    *fault = (Fault){.kind = SNAPHOOK_HOOK_TYPES_FAULT_KIND_CONTRACT, .message = message, .stack = TEXT("")};
}

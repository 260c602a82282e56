// Positions: which line of the script a frame stands at, also in the memory of an instance that was stopped. Included by engine.c.

// Frames that are looked at; recursion makes many.
#define FRAMES 24

static JSFunctionBytecode *frame_bytecode(const JSStackFrame *frame)
{
    if (JS_VALUE_GET_TAG(frame->cur_func) != JS_TAG_OBJECT)
        return NULL;
    JSObject *function = JS_VALUE_GET_OBJ(frame->cur_func);
    return js_class_has_bytecode(function->class_id) ? function->u.func.function_bytecode : NULL;
}

static bool frame_position(const JSStackFrame *frame, snaphook_hook_types_location_t *location)
{
    JSFunctionBytecode *code = frame_bytecode(frame);
    if (code == NULL || script.name == JS_ATOM_NULL || code->filename != script.name)
        return false;
    int column = 1;
    uint32_t pc = frame->cur_pc == NULL ? 0 : (uint32_t)(frame->cur_pc - code->byte_code_buf) - 1;
    int line = find_line_num(js, code, pc, &column);
    *location = (snaphook_hook_types_location_t){(uint32_t)(line < 1 ? 1 : line), (uint32_t)(column < 1 ? 1 : column)};
    return true;
}

bool engine_position(snaphook_hook_types_location_t *location)
{
    for (JSStackFrame *frame = runtime->current_stack_frame; frame != NULL; frame = frame->prev_frame)
        if (frame_position(frame, location))
            return true;
    *location = (snaphook_hook_types_location_t){0, 0};
    return false;
}

static struct {
    bool known;
    snaphook_hook_types_location_t location;
} last_throw;

// Called by the engine whenever something is thrown. What promises pass on is thrown again where no frame of the script is; the place where
// the script threw it stands.
static void note_throw(void)
{
    snaphook_hook_types_location_t location;
    if (!engine_position(&location))
        return;
    last_throw.known = true;
    last_throw.location = location;
}

bool engine_last_throw(snaphook_hook_types_location_t *location)
{
    *location = last_throw.location;
    return last_throw.known;
}

// A builder without an allocator: the instance may have been stopped inside it. It lies where the C stack's reserve is, into which no frame of a
// script reaches, as does the stack of its own that the description is made on.
#define ACCOUNT ((char *)1024)
#define ACCOUNT_BYTES 4096
#define ACCOUNT_STACK ((uint8_t *)16384)

static size_t account_length;

static void account_put(const char *text, size_t length)
{
    if (length > ACCOUNT_BYTES - account_length)
        length = ACCOUNT_BYTES - account_length;
    memcpy(ACCOUNT + account_length, text, length);
    account_length += length;
}

static void account_text(const char *text)
{
    account_put(text, strlen(text));
}

static void account_number(uint32_t number)
{
    char digits[12];
    size_t at = sizeof digits;
    do {
        digits[--at] = (char)('0' + number % 10);
        number /= 10;
    } while (number != 0);
    account_put(digits + at, sizeof digits - at);
}

// A name inside a JSON string; what is not plain ASCII shows as a question mark.
static void account_atom(JSAtom atom)
{
    if (__JS_AtomIsTaggedInt(atom)) {
        account_number(__JS_AtomToUInt32(atom));
        return;
    }
    if (atom >= (uint32_t)runtime->atom_size || atom_is_free(runtime->atom_array[atom]))
        return;
    JSString *p = runtime->atom_array[atom];
    for (uint32_t i = 0; i < p->len && i < 80; i++) {
        int c = string_get(p, (int)i);
        char byte = c < 0x20 || c > 0x7e || c == '"' || c == '\\' ? '?' : (char)c;
        account_put(&byte, 1);
    }
}

static JSAtom frame_function(const JSStackFrame *frame)
{
    JSFunctionBytecode *code = frame_bytecode(frame);
    return code == NULL || code->func_name == JS_ATOM_NULL ? JS_ATOM_empty_string : code->func_name;
}

static __attribute__((noinline)) uint32_t *describe(void)
{
    static uint32_t result[2];
    snaphook_hook_types_location_t location;
    JSStackFrame *frame = runtime == NULL ? NULL : runtime->current_stack_frame;
    account_length = 0;
    int frames = 0;
    for (; frame != NULL && frames < 100000 && !frame_position(frame, &location); frames++)
        frame = frame->prev_frame;
    if (frame == NULL || frames == 100000) {
        account_text("{\"line\":null,\"column\":null,\"function\":\"\",\"stack\":\"\"}");
    } else {
        account_text("{\"line\":");
        account_number(location.line);
        account_text(",\"column\":");
        account_number(location.column);
        account_text(",\"function\":\"");
        account_atom(frame_function(frame));
        account_text("\",\"stack\":\"");
        for (frames = 0; frame != NULL && frames < FRAMES && account_length < ACCOUNT_BYTES - 300; frame = frame->prev_frame) {
            if (!frame_position(frame, &location))
                continue;
            account_text("    at ");
            if (frame_function(frame) == JS_ATOM_empty_string)
                account_text("<anonymous>");
            else
                account_atom(frame_function(frame));
            account_text(" (");
            account_atom(script.name);
            account_text(":");
            account_number(location.line);
            account_text(":");
            account_number(location.column);
            account_text(")\\n");
            frames++;
        }
        account_text("\"}");
    }
    result[0] = (uint32_t)(uintptr_t)ACCOUNT;
    result[1] = (uint32_t)account_length;
    return result;
}

// Describes the innermost frame of the script as JSON, with the frames around it. Called in a fresh instance that was given the memory of a
// stopped one, whose stack it must not write over: it runs on one of its own. Reads memory and nothing else.
__attribute__((export_name("snaphook_where"))) uint32_t *snaphook_where(void)
{
    __asm__ volatile("local.get %0\n\tglobal.set __stack_pointer" : : "r"(ACCOUNT_STACK));
    return describe();
}

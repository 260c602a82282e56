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

// Imported modules are named as they are imported; no script's own file is named so.
static bool is_imported(JSAtom file)
{
    static const char prefix[] = "script:";
    if (__JS_AtomIsTaggedInt(file) || file >= (uint32_t)runtime->atom_size || atom_is_free(runtime->atom_array[file]))
        return false;
    JSString *p = runtime->atom_array[file];
    for (uint32_t i = 0; i < sizeof prefix - 1; i++)
        if (i >= p->len || string_get(p, (int)i) != prefix[i])
            return false;
    return true;
}

// The file of a frame: the script's or that of a module which it imports; 0 for everybody else's.
static JSAtom frame_file(const JSStackFrame *frame)
{
    JSFunctionBytecode *code = frame_bytecode(frame);
    if (code == NULL || script.name == JS_ATOM_NULL)
        return JS_ATOM_NULL;
    return code->filename == script.name || is_imported(code->filename) ? code->filename : JS_ATOM_NULL;
}

static void frame_location(const JSStackFrame *frame, snaphook_hook_types_location_t *location)
{
    JSFunctionBytecode *code = frame_bytecode(frame);
    int column = 1;
    uint32_t pc = frame->cur_pc == NULL ? 0 : (uint32_t)(frame->cur_pc - code->byte_code_buf) - 1;
    int line = find_line_num(js, code, pc, &column);
    *location = (snaphook_hook_types_location_t){(uint32_t)(line < 1 ? 1 : line), (uint32_t)(column < 1 ? 1 : column)};
}

static bool frame_position(const JSStackFrame *frame, snaphook_hook_types_location_t *location)
{
    JSAtom file = frame_file(frame);
    if (file == JS_ATOM_NULL || file != script.name)
        return false;
    frame_location(frame, location);
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

// The innermost frame of the script or of a module that it imports.
static const JSStackFrame *innermost_frame(void)
{
    const JSStackFrame *frame = runtime->current_stack_frame;
    while (frame != NULL && frame_file(frame) == JS_ATOM_NULL)
        frame = frame->prev_frame;
    return frame;
}

bool engine_in_imported(void)
{
    const JSStackFrame *frame = innermost_frame();
    return frame != NULL && frame_file(frame) != script.name;
}

static struct {
    bool known;
    snaphook_hook_types_location_t location;
    JSAtom imported;
    snaphook_hook_types_location_t imported_location;
} last_throw;

// Called by the engine whenever something is thrown. What promises pass on is thrown again where no frame of the script is; the place where
// the script threw it stands.
static void note_throw(void)
{
    const JSStackFrame *frame = innermost_frame();
    if (frame == NULL)
        return;
    last_throw.imported = JS_ATOM_NULL;
    if (frame_file(frame) != script.name) {
        last_throw.imported = frame_file(frame);
        frame_location(frame, &last_throw.imported_location);
    }
    last_throw.known = engine_position(&last_throw.location);
}

bool engine_last_throw(snaphook_hook_types_location_t *location)
{
    *location = last_throw.location;
    return last_throw.known;
}

JSAtom engine_last_throw_imported(snaphook_hook_types_location_t *location)
{
    *location = last_throw.imported_location;
    return last_throw.imported;
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

static void account_place(const snaphook_hook_types_location_t *location)
{
    account_text("{\"line\":");
    account_number(location->line);
    account_text(",\"column\":");
    account_number(location->column);
}

static void account_stack(const JSStackFrame *frame)
{
    for (int frames = 0; frame != NULL && frames < FRAMES && account_length < ACCOUNT_BYTES - 300; frame = frame->prev_frame) {
        snaphook_hook_types_location_t location;
        JSAtom file = frame_file(frame);
        if (file == JS_ATOM_NULL)
            continue;
        frame_location(frame, &location);
        account_text("    at ");
        if (frame_function(frame) == JS_ATOM_empty_string)
            account_text("<anonymous>");
        else
            account_atom(frame_function(frame));
        account_text(" (");
        account_atom(file);
        account_text(":");
        account_number(location.line);
        account_text(":");
        account_number(location.column);
        account_text(")\\n");
        frames++;
    }
}

static __attribute__((noinline)) uint32_t *describe(void)
{
    static uint32_t result[2];
    snaphook_hook_types_location_t location;
    JSStackFrame *innermost = runtime == NULL ? NULL : runtime->current_stack_frame;
    account_length = 0;
    int frames = 0;
    for (; innermost != NULL && frames < 100000 && frame_file(innermost) == JS_ATOM_NULL; frames++)
        innermost = innermost->prev_frame;
    JSStackFrame *frame = innermost;
    for (; frame != NULL && frames < 100000 && !frame_position(frame, &location); frames++)
        frame = frame->prev_frame;
    if (frame == NULL || frames == 100000)
        account_text("{\"line\":null,\"column\":null");
    else
        account_place(&location);
    account_text(",\"function\":\"");
    if (innermost != NULL && frames < 100000)
        account_atom(frame_function(innermost));
    account_text("\",\"stack\":\"");
    if (frames < 100000)
        account_stack(innermost);
    account_text("\"}");
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

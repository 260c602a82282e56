// Other scripts that the script imports. The host hands them over, and says what each calls the others, before it has the script itself loaded.
#include "heap.h"
#include "interpreter.h"

#include <string.h>

// The host refuses what is more.
#define ALIASES 256

typedef struct Module {
    JSAtom name; // As `script:signing@2`, which is its file name in positions too.
    char *source;
    uint32_t length;
    JSModuleDef *definition;
} Module;

// What `specifier` means in the file `base`.
typedef struct Alias {
    JSAtom base, specifier, name;
} Alias;

static struct {
    Module modules[LIBRARY_MODULES];
    Alias aliases[ALIASES];
    int module_count, alias_count;
} library;

char *library_keep(char *text, uint32_t length)
{
    // As `cabi_realloc` decides: longer texts are blocks of the heap already.
    if (length >= LOADING_ASIDE)
        return text;
    char *copy = heap_allocate(length + 1);
    if (copy == NULL)
        __builtin_trap();
    memcpy(copy, text, length);
    copy[length] = '\0';
    return copy;
}

int library_count(void)
{
    return library.module_count;
}

Included library_text(int index)
{
    const Module *module = &library.modules[index];
    return (Included){JS_AtomToCString(js, module->name), module->source, module->length};
}

JSValue library_names(void)
{
    JSValue names = JS_NewArray(js);
    for (int i = 0; i < library.module_count && !JS_IsException(names); i++) {
        const char *name = JS_AtomToCString(js, library.modules[i].name);
        if (name == NULL)
            return JS_EXCEPTION;
        const char *start = strchr(name, ':') + 1, *end = strchr(start, '@');
        JS_DefinePropertyValueUint32(js, names, (uint32_t)i, JS_NewStringLen(js, start, (size_t)(end - start)), JS_PROP_C_W_E);
        JS_FreeCString(js, name);
    }
    return names;
}

// Hands over a module. Its source must come from `cabi_realloc`, with a zero behind it.
__attribute__((export_name("snaphook_import"))) void snaphook_import(const char *name, uint32_t name_length, char *source, uint32_t length)
{
    if (library.module_count == LIBRARY_MODULES)
        __builtin_trap();
    library.modules[library.module_count++] = (Module){JS_NewAtomLen(js, name, name_length), library_keep(source, length), length, NULL};
}

// Says that a file calls a module by another name than its own.
__attribute__((export_name("snaphook_alias"))) void snaphook_alias(const char *base, uint32_t base_length, const char *specifier,
                                                                   uint32_t specifier_length, const char *name, uint32_t name_length)
{
    if (library.alias_count == ALIASES)
        __builtin_trap();
    library.aliases[library.alias_count++] =
        (Alias){JS_NewAtomLen(js, base, base_length), JS_NewAtomLen(js, specifier, specifier_length), JS_NewAtomLen(js, name, name_length)};
}

char *library_name(const char *base, const char *specifier)
{
    JSAtom from = JS_NewAtom(js, base), called = JS_NewAtom(js, specifier);
    char *name = NULL;
    for (int i = 0; i < library.alias_count && name == NULL; i++) {
        const Alias *alias = &library.aliases[i];
        if (alias->base == from && alias->specifier == called) {
            const char *text = JS_AtomToCString(js, alias->name);
            name = text == NULL ? NULL : js_strdup(js, text);
            JS_FreeCString(js, text);
        }
    }
    JS_FreeAtom(js, from);
    JS_FreeAtom(js, called);
    return name != NULL ? name : js_strdup(js, specifier);
}

JSModuleDef *library_module(const char *name, bool *known)
{
    JSAtom atom = JS_NewAtom(js, name);
    Module *module = NULL;
    for (int i = 0; i < library.module_count && module == NULL; i++)
        if (library.modules[i].name == atom)
            module = &library.modules[i];
    JS_FreeAtom(js, atom);
    *known = module != NULL;
    if (module == NULL)
        return NULL;
    JSValue value = JS_Eval(js, module->source, module->length, name, JS_EVAL_TYPE_MODULE | JS_EVAL_FLAG_COMPILE_ONLY);
    if (JS_IsException(value))
        return NULL;
    module->definition = JS_VALUE_GET_PTR(value);
    return module->definition;
}

void library_forget(void)
{
    for (int i = 0; i < library.module_count; i++) {
        Module *module = &library.modules[i];
        if (module->definition != NULL)
            engine_forget_module(module->definition);
        heap_free(module->source);
        JS_FreeAtom(js, module->name);
    }
    for (int i = 0; i < library.alias_count; i++) {
        JS_FreeAtom(js, library.aliases[i].base);
        JS_FreeAtom(js, library.aliases[i].specifier);
        JS_FreeAtom(js, library.aliases[i].name);
    }
    memset(&library, 0, sizeof library);
}

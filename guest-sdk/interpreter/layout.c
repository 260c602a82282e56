// What lies where when a snapshot is taken. Each page that an invocation dirties costs time when it ends, so what is written in every one of
// them is laid side by side at the end of the heap, and what would be made at first use is made beforehand. Included by engine.c.

// Methods of the language's own objects are made when they are first looked at. Made now, no invocation pays for them.
static void make_lazy_properties(void)
{
    struct list_head *at;
    list_for_each(at, &runtime->gc_obj_list) {
        JSGCObjectHeader *header = list_entry(at, JSGCObjectHeader, link);
        if (JS_GC_TYPE(header) != JS_GC_OBJ_TYPE_JS_OBJECT)
            continue;
        JSObject *object = (JSObject *)header;
        for (int i = 0; i < object->shape->prop_count; i++) {
            JSShapeProperty *property = &get_shape_prop(object->shape)[i];
            bool lazy = (property->flags & JS_PROP_TMASK) == JS_PROP_AUTOINIT && js_autoinit_get_id(&object->prop[i]) == JS_AUTOINIT_ID_PROP;
            if (lazy && JS_AutoInitProperty(js, object, property->atom, &object->prop[i], property) < 0)
                JS_FreeValue(js, JS_GetException(js));
        }
    }
}

// Moves a table to the end of the heap.
static void *moved(void *table, size_t size)
{
    void *fresh = js_malloc_rt(runtime, size);
    if (fresh == NULL)
        return table;
    memcpy(fresh, table, size);
    js_free_rt(runtime, table);
    return fresh;
}

static void move_tables(void)
{
    // The old places are not to be filled with what is written often.
    heap_forget_free();
    JS_ResizeAtomHash(runtime, runtime->atom_hash_size);
    // Room for the atoms of scripts and of calls, so that the table does not move with them.
    size_t room = 512;
    JSAtomStruct **atoms = js_malloc_rt(runtime, ((size_t)runtime->atom_size + room) * sizeof *atoms);
    if (atoms != NULL) {
        memcpy(atoms, runtime->atom_array, (size_t)runtime->atom_size * sizeof *atoms);
        js_free_rt(runtime, runtime->atom_array);
        runtime->atom_array = atoms;
    }
    runtime->shape_hash = moved(runtime->shape_hash, (size_t)runtime->shape_hash_size * sizeof *runtime->shape_hash);
}

void engine_prepare_snapshot(void)
{
    make_lazy_properties();
    JS_RunGC(runtime);
    move_tables();
}

// Takes the script's module out of the list of modules: nobody can import it, and the list lies among old objects.
void engine_forget_module(JSModuleDef *module)
{
    list_del(&module->link);
    init_list_head(&module->link);
}

static uint64_t pending_seed;
static bool seeded;

void engine_seed(uint64_t seed)
{
    pending_seed = seed;
    seeded = false;
}

// Called by `Math.random`: the generator's state lies apart from what every invocation writes, and few invocations use it.
static void note_chance(void)
{
    if (invocation.hook == HOOK_LOADING)
        load_warning("Math.random at top level gives the same values in every invocation, since top-level code runs once, at deploy");
    if (seeded)
        return;
    seeded = true;
    // The generator stands still at 0. Mixing keeps neighbouring seeds apart.
    uint64_t seed = (pending_seed ^ (pending_seed >> 33)) * 0xff51afd7ed558ccdull;
    seed ^= seed >> 33;
    js->random_state = seed == 0 ? 0x9e3779b97f4a7c15ull : seed;
}

// Called by `Date` whenever it asks for the time.
static void note_clock(void)
{
    if (invocation.hook == HOOK_LOADING)
        load_warning("the time at top level is that of the deploy in every invocation, since top-level code runs once, at deploy");
}

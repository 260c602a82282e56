// JSON in and out. Included by engine.c.

JSValue json_parse(const uint8_t *bytes, size_t length)
{
    char *text = js_malloc(js, length + 1);
    if (text == NULL)
        return JS_EXCEPTION;
    memcpy(text, bytes, length);
    text[length] = '\0';
    JSValue value = JS_ParseJSON(js, text, length, "<json>");
    js_free(js, text);
    return value;
}

bool json_write(JSValueConst value, Text *text)
{
    JSValue string = JS_JSONStringify(js, value, JS_UNDEFINED, JS_UNDEFINED);
    if (JS_IsException(string))
        return false;
    if (JS_IsUndefined(string)) {
        *text = (Text){NULL, 0};
        return true;
    }
    return engine_text(string, text);
}

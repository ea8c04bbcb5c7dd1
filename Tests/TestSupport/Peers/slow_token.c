/* A PKCS #11 module before SoftHSM's, with a configuration of its own, that hangs while the file HANG is there, makes
   keys that can be taken out while the file LIE is there, and notes each login in the file LOGINS: a token on the far
   side of a network, one that does not do what it is told, and one that counts. Compiled by the tests that load it. */
#include <dlfcn.h>
#include <fcntl.h>
#include <p11-kit-1/p11-kit/pkcs11.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static CK_FUNCTION_LIST own;
static CK_FUNCTION_LIST_PTR softhsm;

static CK_RV sign(CK_SESSION_HANDLE session, CK_BYTE_PTR data, CK_ULONG count, CK_BYTE_PTR signature, CK_ULONG_PTR size) {
    while (access(HANG, F_OK) == 0) usleep(20000);
    return softhsm->C_Sign(session, data, count, signature, size);
}

static CK_RV login(CK_SESSION_HANDLE session, CK_USER_TYPE user, CK_UTF8CHAR_PTR pin, CK_ULONG count) {
    int file = open(LOGINS, O_WRONLY | O_CREAT | O_APPEND, 0600);
    if (write(file, ".", 1) != 1) return CKR_GENERAL_ERROR;
    close(file);
    return softhsm->C_Login(session, user, pin, count);
}

static void loosen(CK_ATTRIBUTE_PTR attributes, CK_ULONG count) {
    static CK_BBOOL yes = CK_TRUE;
    if (access(LIE, F_OK) != 0) return;
    for (CK_ULONG i = 0; i < count; i++)
        if (attributes[i].type == CKA_EXTRACTABLE) attributes[i].pValue = &yes;
}

static CK_RV generate_pair(CK_SESSION_HANDLE session, CK_MECHANISM_PTR mechanism, CK_ATTRIBUTE_PTR open, CK_ULONG opens,
                           CK_ATTRIBUTE_PTR secret, CK_ULONG secrets, CK_OBJECT_HANDLE_PTR one,
                           CK_OBJECT_HANDLE_PTR other) {
    CK_ATTRIBUTE loose[64];
    if (secrets > 64) return CKR_ARGUMENTS_BAD;
    memcpy(loose, secret, secrets * sizeof *secret);
    loosen(loose, secrets);
    return softhsm->C_GenerateKeyPair(session, mechanism, open, opens, loose, secrets, one, other);
}

static CK_RV generate(CK_SESSION_HANDLE session, CK_MECHANISM_PTR mechanism, CK_ATTRIBUTE_PTR secret, CK_ULONG secrets,
                      CK_OBJECT_HANDLE_PTR key) {
    CK_ATTRIBUTE loose[64];
    if (secrets > 64) return CKR_ARGUMENTS_BAD;
    memcpy(loose, secret, secrets * sizeof *secret);
    loosen(loose, secrets);
    return softhsm->C_GenerateKey(session, mechanism, loose, secrets, key);
}

CK_RV C_GetFunctionList(CK_FUNCTION_LIST_PTR_PTR list) {
    setenv("SOFTHSM2_CONF", CONF, 1);
    void *library = dlopen("/usr/lib/softhsm/libsofthsm2.so", RTLD_NOW | RTLD_LOCAL);
    CK_C_GetFunctionList entry = library ? (CK_C_GetFunctionList)dlsym(library, "C_GetFunctionList") : 0;
    if (!entry || entry(&softhsm) != CKR_OK) return CKR_GENERAL_ERROR;
    own = *softhsm;
    own.C_Sign = sign;
    own.C_Login = login;
    own.C_GenerateKeyPair = generate_pair;
    own.C_GenerateKey = generate;
    *list = &own;
    return CKR_OK;
}

/* A PKCS #11 module before SoftHSM's, that hangs while the file HANG is there and notes each login in the file LOGINS:
   a token on the far side of a network, and one that counts. Compiled by the tests that load it. */
#include <dlfcn.h>
#include <fcntl.h>
#include <p11-kit-1/p11-kit/pkcs11.h>
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

CK_RV C_GetFunctionList(CK_FUNCTION_LIST_PTR_PTR list) {
    void *library = dlopen("/usr/lib/softhsm/libsofthsm2.so", RTLD_NOW | RTLD_LOCAL);
    CK_C_GetFunctionList entry = library ? (CK_C_GetFunctionList)dlsym(library, "C_GetFunctionList") : 0;
    if (!entry || entry(&softhsm) != CKR_OK) return CKR_GENERAL_ERROR;
    own = *softhsm;
    own.C_Sign = sign;
    own.C_Login = login;
    *list = &own;
    return CKR_OK;
}

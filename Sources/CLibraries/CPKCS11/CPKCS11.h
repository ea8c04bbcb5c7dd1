#pragma once
/* The interface alone: a module that an operator names is loaded by dlopen(3), and nothing is linked. */
#include <p11-kit-1/p11-kit/pkcs11.h>
#include <sys/prctl.h>

/* What Swift cannot import: a cast within a macro, and a function of variable arguments. */
static const CK_ULONG CPKCS11_UNAVAILABLE = (CK_ULONG)-1;
static inline int CPKCS11_forbid_dumps(void) { return prctl(PR_SET_DUMPABLE, 0, 0, 0, 0); }

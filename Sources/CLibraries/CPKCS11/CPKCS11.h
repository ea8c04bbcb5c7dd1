#pragma once
/* The interface alone: a module that an operator names is loaded by dlopen(3), and nothing is linked. */
#include <p11-kit-1/p11-kit/pkcs11.h>

/* What Swift cannot import: a cast within a macro. */
static const CK_ULONG CPKCS11_UNAVAILABLE = (CK_ULONG)-1;

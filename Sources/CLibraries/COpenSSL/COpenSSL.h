#pragma once
/* A key whose private half is elsewhere has a method of its own (EC_KEY_METHOD_new(3), RSA_meth_new(3)), which OpenSSL 3
   calls deprecated and has no other word for: an SSL_CTX does not sign with a provider's key of another library context
   (3.0.19: an internal_error alert), and a provider in its own would be asked for each peer's key, too
   (tpm2-software/tpm2-openssl#113). */
#define OPENSSL_SUPPRESS_DEPRECATED
#include <openssl/asn1t.h>
#include <openssl/bio.h>
#include <openssl/core_dispatch.h>
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/kdf.h>
#include <openssl/params.h>
#include <openssl/pem.h>
#include <openssl/provider.h>
#include <openssl/rand.h>
#include <openssl/rsa.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>
#include <string.h>
#include <sys/prctl.h>
#if defined(__x86_64__)
#include <cpuid.h>
#endif

/* What Swift cannot import: macros over *_ctrl calls, typed stacks, and variadic functions. No logic here. */

static const uint64_t COpenSSL_OP_NO_RENEGOTIATION = SSL_OP_NO_RENEGOTIATION;
static const uint64_t COpenSSL_OP_CIPHER_SERVER_PREFERENCE = SSL_OP_CIPHER_SERVER_PREFERENCE;
static const uint64_t COpenSSL_OP_CLEANSE_PLAINTEXT = SSL_OP_CLEANSE_PLAINTEXT;
static const uint64_t COpenSSL_OP_NO_COMPRESSION = SSL_OP_NO_COMPRESSION;
static const uint64_t COpenSSL_OP_NO_TICKET = SSL_OP_NO_TICKET;
static const uint64_t COpenSSL_OP_NO_SESSION_RESUMPTION_ON_RENEGOTIATION =
    SSL_OP_NO_SESSION_RESUMPTION_ON_RENEGOTIATION;

/* RFC 2253 text with UTF-8 as it is. */
static const unsigned long COpenSSL_XN_FLAG_RFC2253_UTF8 = XN_FLAG_RFC2253 & ~ASN1_STRFLGS_ESC_MSB;

static inline long COpenSSL_SSL_CTX_set_mode(SSL_CTX *context, long mode) { return SSL_CTX_set_mode(context, mode); }
static inline long COpenSSL_SSL_CTX_set_session_cache_mode(SSL_CTX *context, long mode) {
    return SSL_CTX_set_session_cache_mode(context, mode);
}
static inline int COpenSSL_SSL_CTX_set_min_proto_version(SSL_CTX *context, int version) {
    return (int)SSL_CTX_set_min_proto_version(context, version);
}
static inline int COpenSSL_SSL_CTX_set_max_proto_version(SSL_CTX *context, int version) {
    return (int)SSL_CTX_set_max_proto_version(context, version);
}
static inline int COpenSSL_SSL_set_max_proto_version(SSL *ssl, int version) {
    return (int)SSL_set_max_proto_version(ssl, version);
}
static inline int COpenSSL_SSL_CTX_set1_groups_list(SSL_CTX *context, const char *list) {
    return (int)SSL_CTX_set1_groups_list(context, (char *)list);
}
static inline int COpenSSL_SSL_CTX_set1_sigalgs_list(SSL_CTX *context, const char *list) {
    return (int)SSL_CTX_set1_sigalgs_list(context, list);
}
static inline int COpenSSL_SSL_CTX_set1_client_sigalgs_list(SSL_CTX *context, const char *list) {
    return (int)SSL_CTX_set1_client_sigalgs_list(context, list);
}
static inline long COpenSSL_SSL_CTX_set_max_cert_list(SSL_CTX *context, long limit) {
    return SSL_CTX_set_max_cert_list(context, limit);
}
static inline int COpenSSL_SSL_CTX_add1_chain_cert(SSL_CTX *context, X509 *certificate) {
    return (int)SSL_CTX_add1_chain_cert(context, certificate);
}
static inline int COpenSSL_SSL_CTX_clear_chain_certs(SSL_CTX *context) {
    return (int)SSL_CTX_clear_chain_certs(context);
}
static inline int COpenSSL_SSL_set_tlsext_host_name(SSL *ssl, const char *name) {
    return (int)SSL_set_tlsext_host_name(ssl, name);
}
static inline long COpenSSL_SSL_CTX_set_tlsext_servername_callback(
    SSL_CTX *context, int (*callback)(SSL *, int *, void *)) {
    return SSL_CTX_set_tlsext_servername_callback(context, callback);
}
static inline void COpenSSL_raise(int reason) { ERR_raise(ERR_LIB_USER, reason); }
static inline void COpenSSL_BIO_clear_retry_flags(BIO *bio) { BIO_clear_retry_flags(bio); }
static inline void COpenSSL_BIO_set_retry_read(BIO *bio) { BIO_set_retry_read(bio); }
static inline void COpenSSL_BIO_set_retry_write(BIO *bio) { BIO_set_retry_write(bio); }
static inline long COpenSSL_BIO_get_mem_data(BIO *bio, char **data) { return BIO_get_mem_data(bio, data); }

static inline int COpenSSL_sk_X509_num(const STACK_OF(X509) * stack) { return sk_X509_num(stack); }
static inline X509 *COpenSSL_sk_X509_value(const STACK_OF(X509) * stack, int index) {
    return sk_X509_value(stack, index);
}
static inline STACK_OF(X509) * COpenSSL_sk_X509_new(void) { return sk_X509_new_null(); }
static inline int COpenSSL_sk_X509_push(STACK_OF(X509) * stack, X509 *certificate) {
    return sk_X509_push(stack, certificate);
}
static inline void COpenSSL_sk_X509_free(STACK_OF(X509) * stack) { sk_X509_free(stack); }
/* With a reference to each certificate. */
static inline void COpenSSL_sk_X509_pop_free(STACK_OF(X509) * stack) { sk_X509_pop_free(stack, X509_free); }

static inline int COpenSSL_sk_GENERAL_NAME_num(const GENERAL_NAMES *stack) { return sk_GENERAL_NAME_num(stack); }
static inline GENERAL_NAME *COpenSSL_sk_GENERAL_NAME_value(const GENERAL_NAMES *stack, int index) {
    return sk_GENERAL_NAME_value(stack, index);
}
static inline GENERAL_NAMES *COpenSSL_sk_GENERAL_NAME_new(void) { return sk_GENERAL_NAME_new_null(); }
static inline int COpenSSL_sk_GENERAL_NAME_push(GENERAL_NAMES *stack, GENERAL_NAME *name) {
    return sk_GENERAL_NAME_push(stack, name);
}
static inline int COpenSSL_sk_ASN1_OBJECT_num(const STACK_OF(ASN1_OBJECT) * stack) {
    return sk_ASN1_OBJECT_num(stack);
}
static inline ASN1_OBJECT *COpenSSL_sk_ASN1_OBJECT_value(const STACK_OF(ASN1_OBJECT) * stack, int index) {
    return sk_ASN1_OBJECT_value(stack, index);
}
static inline STACK_OF(ASN1_OBJECT) * COpenSSL_sk_ASN1_OBJECT_new(void) { return sk_ASN1_OBJECT_new_null(); }
static inline int COpenSSL_sk_ASN1_OBJECT_push(STACK_OF(ASN1_OBJECT) * stack, ASN1_OBJECT *object) {
    return sk_ASN1_OBJECT_push(stack, object);
}
static inline void COpenSSL_sk_ASN1_OBJECT_free(STACK_OF(ASN1_OBJECT) * stack) {
    sk_ASN1_OBJECT_pop_free(stack, ASN1_OBJECT_free);
}
static inline STACK_OF(X509_NAME) * COpenSSL_sk_X509_NAME_new(void) { return sk_X509_NAME_new_null(); }
static inline int COpenSSL_sk_X509_NAME_push(STACK_OF(X509_NAME) * stack, X509_NAME *name) {
    return sk_X509_NAME_push(stack, name);
}
static inline void COpenSSL_sk_X509_EXTENSION_free(STACK_OF(X509_EXTENSION) * stack) {
    sk_X509_EXTENSION_pop_free(stack, X509_EXTENSION_free);
}

/* OSSL_PARAM keeps the address of each name, which a Swift string does not have for long. */
static inline int COpenSSL_HKDF_derive(
    EVP_KDF_CTX *context, const char *digest, const void *key, size_t key_count, const void *salt, size_t salt_count,
    const void *info, size_t info_count, unsigned char *output, size_t output_count) {
    OSSL_PARAM parameters[] = {
        OSSL_PARAM_construct_utf8_string(OSSL_KDF_PARAM_DIGEST, (char *)digest, 0),
        OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_KEY, (void *)key, key_count),
        OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_SALT, (void *)salt, salt_count),
        OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_INFO, (void *)info, info_count),
        OSSL_PARAM_construct_end(),
    };
    return EVP_KDF_derive(context, output, output_count, parameters);
}

static inline int COpenSSL_HMAC_init(
    EVP_MAC_CTX *context, const char *digest, const unsigned char *key, size_t key_count) {
    OSSL_PARAM parameters[] = {
        OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, (char *)digest, 0),
        OSSL_PARAM_construct_end(),
    };
    return EVP_MAC_init(context, key, key_count, parameters);
}

/* CRC-32C of three runs at once by the processor's own instruction, which Swift cannot name: it takes three cycles but
   starts anew in each. The runs are `words` long and lie one after the other. */
#if defined(__x86_64__)
static inline int COpenSSL_has_crc32c(void) {
    unsigned int a, b, c, d;
    return __get_cpuid(1, &a, &b, &c, &d) && (c & bit_SSE4_2);
}
__attribute__((target("sse4.2"))) static inline void COpenSSL_crc32c(
    uint64_t sums[3], const unsigned char *bytes, size_t words) {
    uint64_t one = sums[0], two = sums[1], three = sums[2];
    for (size_t index = 0; index < words; index++, bytes += 8) {
        uint64_t word[3];
        memcpy(&word[0], bytes, 8);
        memcpy(&word[1], bytes + words * 8, 8);
        memcpy(&word[2], bytes + words * 16, 8);
        one = __builtin_ia32_crc32di(one, word[0]);
        two = __builtin_ia32_crc32di(two, word[1]);
        three = __builtin_ia32_crc32di(three, word[2]);
    }
    sums[0] = one, sums[1] = two, sums[2] = three;
}
#else
static inline int COpenSSL_has_crc32c(void) { return 0; }
static inline void COpenSSL_crc32c(uint64_t sums[3], const unsigned char *bytes, size_t words) {}
#endif

static inline int COpenSSL_forbid_dumps(void) { return prctl(PR_SET_DUMPABLE, 0, 0, 0, 0); }

#pragma once
#include <curl/curl.h>

// curl_easy_setopt, curl_multi_setopt and curl_easy_getinfo are variadic, which Swift cannot call: one shim for each
// type.
typedef size_t (*CCurl_write)(char *bytes, size_t size, size_t count, void *owner);
typedef int (*CCurl_seek)(void *owner, curl_off_t offset, int origin);
typedef int (*CCurl_socket)(CURL *easy, curl_socket_t socket, int what, void *owner, void *watch);
typedef int (*CCurl_timer)(CURLM *multi, long milliseconds, void *owner);
typedef CURLcode (*CCurl_context)(CURL *easy, void *context, void *owner);

static inline CURLcode CCurl_set_long(CURL *easy, CURLoption option, long value) {
    return curl_easy_setopt(easy, option, value);
}
static inline CURLcode CCurl_set_size(CURL *easy, CURLoption option, curl_off_t value) {
    return curl_easy_setopt(easy, option, value);
}
static inline CURLcode CCurl_set_string(CURL *easy, CURLoption option, const char *value) {
    return curl_easy_setopt(easy, option, value);
}
static inline CURLcode CCurl_set_pointer(CURL *easy, CURLoption option, void *value) {
    return curl_easy_setopt(easy, option, value);
}
static inline CURLcode CCurl_set_write(CURL *easy, CURLoption option, CCurl_write value) {
    return curl_easy_setopt(easy, option, value);
}
static inline CURLcode CCurl_set_seek(CURL *easy, CCurl_seek value) {
    return curl_easy_setopt(easy, CURLOPT_SEEKFUNCTION, value);
}
static inline CURLcode CCurl_set_context(CURL *easy, CCurl_context value) {
    return curl_easy_setopt(easy, CURLOPT_SSL_CTX_FUNCTION, value);
}
static inline CURLMcode CCurl_set_socket(CURLM *multi, CCurl_socket value, void *owner) {
    curl_multi_setopt(multi, CURLMOPT_SOCKETDATA, owner);
    return curl_multi_setopt(multi, CURLMOPT_SOCKETFUNCTION, value);
}
static inline CURLMcode CCurl_set_timer(CURLM *multi, CCurl_timer value, void *owner) {
    curl_multi_setopt(multi, CURLMOPT_TIMERDATA, owner);
    return curl_multi_setopt(multi, CURLMOPT_TIMERFUNCTION, value);
}
// CURLAUTH_BASIC is a cast, which Swift cannot import.
static inline CURLcode CCurl_set_basic(CURL *easy) { return curl_easy_setopt(easy, CURLOPT_HTTPAUTH, CURLAUTH_BASIC); }
// The SSL of the connection that a callback is called for; 0 when there is none.
static inline void *CCurl_session(CURL *easy) {
    struct curl_tlssessioninfo *info = 0;
    return curl_easy_getinfo(easy, CURLINFO_TLS_SSL_PTR, &info) || !info ? 0 : info->internals;
}
static inline CURLMcode CCurl_multi_long(CURLM *multi, CURLMoption option, long value) {
    return curl_multi_setopt(multi, option, value);
}
static inline long CCurl_status(CURL *easy) {
    long status = 0;
    curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &status);
    return status;
}
static inline CURL *CCurl_done(CURLM *multi, CURLcode *result) {
    int left = 0;
    CURLMsg *message;
    while ((message = curl_multi_info_read(multi, &left)))
        if (message->msg == CURLMSG_DONE) {
            *result = message->data.result;
            return message->easy_handle;
        }
    return 0;
}

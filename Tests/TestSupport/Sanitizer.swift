import Glibc

/// Whether a sanitizer runs in this process: it keeps freed memory and shadows the rest, so that how much of it is
/// resident says nothing about us. `packaging/test` measures it without one.
package let isSanitized = dlsym(nil, "__asan_init") != nil || dlsym(nil, "__tsan_init") != nil

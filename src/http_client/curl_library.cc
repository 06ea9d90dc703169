#include "http_client/curl_library.h"

#include <dlfcn.h>

#include <optional>
#include <type_traits>

namespace tflite_serving {

const CurlLibrary* CurlLibrary::Load() {
  static const std::optional<CurlLibrary> curl = []() -> std::optional<CurlLibrary> {
    void* const library = ::dlopen("libcurl.so.4", RTLD_NOW | RTLD_LOCAL);
    if (library == nullptr) return std::nullopt;
    CurlLibrary found;
    bool is_complete = true;
    const auto find = [&](const char* name, auto& function) {
      function = reinterpret_cast<std::remove_reference_t<decltype(function)>>(::dlsym(library, name));
      is_complete = is_complete && function != nullptr;
    };
    find("curl_easy_cleanup", found.easy_cleanup);
    find("curl_easy_getinfo", found.easy_getinfo);
    find("curl_easy_init", found.easy_init);
    find("curl_easy_reset", found.easy_reset);
    find("curl_easy_setopt", found.easy_setopt);
    find("curl_easy_strerror", found.easy_strerror);
    find("curl_free", found.free);
    find("curl_global_init", found.global_init);
    find("curl_multi_add_handle", found.multi_add_handle);
    find("curl_multi_cleanup", found.multi_cleanup);
    find("curl_multi_info_read", found.multi_info_read);
    find("curl_multi_init", found.multi_init);
    find("curl_multi_perform", found.multi_perform);
    find("curl_multi_poll", found.multi_poll);
    find("curl_multi_remove_handle", found.multi_remove_handle);
    find("curl_multi_wakeup", found.multi_wakeup);
    find("curl_slist_append", found.slist_append);
    find("curl_slist_free_all", found.slist_free_all);
    find("curl_url", found.url);
    find("curl_url_cleanup", found.url_cleanup);
    find("curl_url_get", found.url_get);
    find("curl_url_set", found.url_set);
    if (!is_complete || found.global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK) return std::nullopt;
    return found;
  }();
  return curl ? &*curl : nullptr;
}

}  // namespace tflite_serving

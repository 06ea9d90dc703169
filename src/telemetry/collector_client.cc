#include "telemetry/collector_client.h"

#include <curl/curl.h>
#include <dlfcn.h>

#include <algorithm>
#include <cstddef>
#include <optional>
#include <string_view>
#include <type_traits>
#include <utility>

#include <fmt/format.h>

namespace tflite_serving {
namespace {

using std::chrono::milliseconds;

// libcurl's functions. It is loaded once there is a collector: if it were linked, each start of this program would take some milliseconds longer, and
// some megabytes, for it and all that it brings.
struct Curl {
  decltype(&curl_easy_cleanup) easy_cleanup = nullptr;
  decltype(&curl_easy_getinfo) easy_getinfo = nullptr;
  decltype(&curl_easy_init) easy_init = nullptr;
  decltype(&curl_easy_setopt) easy_setopt = nullptr;
  decltype(&curl_easy_strerror) easy_strerror = nullptr;
  decltype(&curl_free) free = nullptr;
  decltype(&curl_global_init) global_init = nullptr;
  decltype(&curl_multi_add_handle) multi_add_handle = nullptr;
  decltype(&curl_multi_cleanup) multi_cleanup = nullptr;
  decltype(&curl_multi_info_read) multi_info_read = nullptr;
  decltype(&curl_multi_init) multi_init = nullptr;
  decltype(&curl_multi_perform) multi_perform = nullptr;
  decltype(&curl_multi_poll) multi_poll = nullptr;
  decltype(&curl_multi_remove_handle) multi_remove_handle = nullptr;
  decltype(&curl_multi_wakeup) multi_wakeup = nullptr;
  decltype(&curl_slist_append) slist_append = nullptr;
  decltype(&curl_slist_free_all) slist_free_all = nullptr;
  decltype(&curl_url) url = nullptr;
  decltype(&curl_url_cleanup) url_cleanup = nullptr;
  decltype(&curl_url_get) url_get = nullptr;
  decltype(&curl_url_set) url_set = nullptr;

  // Null: it is not there, or lacks one of these. It stays loaded.
  static const Curl* Load();
};

const Curl* Curl::Load() {
  static const std::optional<Curl> curl = []() -> std::optional<Curl> {
    void* const library = ::dlopen("libcurl.so.4", RTLD_NOW | RTLD_LOCAL);
    if (library == nullptr) return std::nullopt;
    Curl found;
    bool is_complete = true;
    const auto find = [&](const char* name, auto& function) {
      function = reinterpret_cast<std::remove_reference_t<decltype(function)>>(::dlsym(library, name));
      is_complete = is_complete && function != nullptr;
    };
    find("curl_easy_cleanup", found.easy_cleanup);
    find("curl_easy_getinfo", found.easy_getinfo);
    find("curl_easy_init", found.easy_init);
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

constexpr size_t kMaxAnswerBytes = size_t{64} << 10;

// "host:port" of an HTTP or HTTPS URL; empty for any other text.
std::string PlaceOf(const Curl* lib, const std::string& url) {
  const std::unique_ptr<CURLU, decltype(Curl::url_cleanup)> parsed(lib->url(), lib->url_cleanup);
  if (lib->url_set(parsed.get(), CURLUPART_URL, url.c_str(), 0) != CURLUE_OK) return {};
  const auto part = [&](CURLUPart which) {
    char* text = nullptr;
    lib->url_get(parsed.get(), which, &text, CURLU_DEFAULT_PORT);
    const std::unique_ptr<char, decltype(Curl::free)> owner(text, lib->free);
    return std::string(text != nullptr ? text : "");
  };
  const std::string scheme = part(CURLUPART_SCHEME);
  if (scheme != "http" && scheme != "https") return {};
  return part(CURLUPART_HOST) + ":" + part(CURLUPART_PORT);
}

bool IsHeader(std::string_view name, std::string_view value) {
  constexpr std::string_view kSeparators = "\"(),/:;<=>?@[\\]{}";  // RFC 9110: a name is a token
  return !name.empty() && std::ranges::all_of(name, [&](char c) { return c > ' ' && c <= '~' && kSeparators.find(c) == std::string_view::npos; }) &&
         std::ranges::all_of(value, [](char c) { return static_cast<unsigned char>(c) >= ' ' && c != '\x7f'; });
}

size_t Receive(const char* data, size_t, size_t size, void* to) {
  std::string& body = *static_cast<std::string*>(to);
  body.append(data, std::min(size, kMaxAnswerBytes - body.size()));
  return size;
}

}  // namespace

struct CollectorClient::Handles {
  const Curl* const lib;
  curl_slist* headers = nullptr;
  std::unique_ptr<CURL, decltype(Curl::easy_cleanup)> easy{lib->easy_init(), lib->easy_cleanup};
  std::unique_ptr<CURLM, decltype(Curl::multi_cleanup)> multi{lib->multi_init(), lib->multi_cleanup};

  explicit Handles(const Curl* loaded) : lib(loaded) {}
  Handles(const Handles&) = delete;
  Handles& operator=(const Handles&) = delete;
  ~Handles() { lib->slist_free_all(headers); }
};

CollectorClient::CollectorClient(std::unique_ptr<Handles> handles, std::string place, milliseconds timeout)
    : handles_(std::move(handles)), place_(std::move(place)), timeout_(timeout) {}

CollectorClient::~CollectorClient() = default;

StatusOr<std::unique_ptr<CollectorClient>> CollectorClient::Create(const std::string& url, const KeyValues& headers, milliseconds timeout) {
  const Curl* const lib = Curl::Load();
  if (lib == nullptr) return FailedPreconditionError("traces need libcurl.so.4 (Debian's libcurl4), which cannot be loaded");
  auto handles = std::make_unique<Handles>(lib);
  if (handles->easy == nullptr || handles->multi == nullptr) return InternalError("libcurl cannot be initialized");
  std::string place = PlaceOf(lib, url);
  if (place.empty()) return InvalidArgumentError("the endpoint for traces is not a URL of http:// or https://");

  const auto add_header = [&](const std::string& line) { handles->headers = lib->slist_append(handles->headers, line.c_str()); };
  add_header("Content-Type: application/x-protobuf");
  add_header("Expect:");  // not to be waited for
  for (const auto& [name, value] : headers) {
    if (!IsHeader(name, value)) return InvalidArgumentError("a header for the collector of traces is not one that HTTP can carry");
    add_header(value.empty() ? name + ";" : fmt::format("{}: {}", name, value));  // so curl spells one without a value
  }
  CURL* easy = handles->easy.get();
  lib->easy_setopt(easy, CURLOPT_URL, url.c_str());
  lib->easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
  lib->easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 0L);
  lib->easy_setopt(easy, CURLOPT_SSL_VERIFYPEER, 1L);
  lib->easy_setopt(easy, CURLOPT_SSL_VERIFYHOST, 2L);
  lib->easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
  lib->easy_setopt(easy, CURLOPT_QUICK_EXIT, 1L);  // does not wait for a resolver that hangs
  lib->easy_setopt(easy, CURLOPT_USERAGENT, "tflite-serving");
  lib->easy_setopt(easy, CURLOPT_HTTPHEADER, handles->headers);
  lib->easy_setopt(easy, CURLOPT_WRITEFUNCTION, &Receive);
  return std::unique_ptr<CollectorClient>(new CollectorClient(std::move(handles), std::move(place), timeout));
}

CollectorClient::Answer CollectorClient::Post(const std::string& message) {
  Answer answer;
  char error[CURL_ERROR_SIZE] = "";
  const Curl* const lib = handles_->lib;
  CURL* easy = handles_->easy.get();
  CURLM* multi = handles_->multi.get();
  lib->easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE, static_cast<curl_off_t>(message.size()));
  lib->easy_setopt(easy, CURLOPT_POSTFIELDS, message.data());
  lib->easy_setopt(easy, CURLOPT_WRITEDATA, &answer.body);
  lib->easy_setopt(easy, CURLOPT_ERRORBUFFER, error);

  lib->multi_add_handle(multi, easy);
  const TimePoint timeout = Clock::Steady().Now() + timeout_;
  for (int running = 1;;) {
    lib->multi_perform(multi, &running);
    const TimePoint::duration left = std::min(timeout, end_by_.load()) - Clock::Steady().Now();
    if (running == 0 || left <= TimePoint::duration(0)) break;
    lib->multi_poll(multi, nullptr, 0, static_cast<int>(std::chrono::ceil<milliseconds>(left).count()), nullptr);
  }
  int num_left = 0;
  const CURLMsg* end = lib->multi_info_read(multi, &num_left);
  if (end == nullptr) {
    answer.error = "no answer in time";
  } else if (const CURLcode result = end->data.result; result != CURLE_OK) {
    answer.error = error[0] != '\0' ? error : lib->easy_strerror(result);
  } else {
    curl_off_t retry_after_s = 0;
    lib->easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &answer.http_status);
    lib->easy_getinfo(easy, CURLINFO_RETRY_AFTER, &retry_after_s);
    answer.retry_after = std::chrono::seconds(retry_after_s);
  }
  lib->multi_remove_handle(multi, easy);
  return answer;
}

void CollectorClient::EndBy(TimePoint deadline) {
  end_by_ = deadline;
  handles_->lib->multi_wakeup(handles_->multi.get());  // any thread may
}

}  // namespace tflite_serving

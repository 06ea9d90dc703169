#include "http_client/http_client.h"

#include <algorithm>
#include <cctype>

#include <fmt/format.h>

#include "http_client/curl_library.h"

namespace tflite_serving {
namespace {

using std::chrono::milliseconds;

constexpr size_t kMaxHeaderBytes = size_t{64} << 10;  // of an answer, names and values
constexpr long kMaxRedirects = 5;
constexpr milliseconds kStopInterval{100};  // between two looks whether a request is still wanted

// What is being received; libcurl's callbacks get a pointer to it.
struct Receiver {
  const CurlLibrary* lib;
  CURL* easy;
  const HttpClient::Sink& sink;
  size_t max_body_bytes;
  HttpClientResponse response;
  size_t header_bytes = 0;

  static size_t OnHeader(const char* data, size_t, size_t size, void* to) { return static_cast<Receiver*>(to)->TakeHeader({data, size}) ? size : 0; }
  static size_t OnBody(const char* data, size_t, size_t size, void* to) { return static_cast<Receiver*>(to)->TakeBody({data, size}) ? size : 0; }

  bool TakeHeader(std::string_view line) {
    header_bytes += line.size();
    if (header_bytes > kMaxHeaderBytes) return false;
    if (line.starts_with("HTTP/")) response.headers.clear();  // another answer begins, after a redirect
    const size_t colon = line.find(':');
    if (colon == std::string_view::npos) return true;
    std::string name(line.substr(0, colon));
    std::ranges::transform(name, name.begin(), [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
    std::string_view value = line.substr(colon + 1);
    while (!value.empty() && std::string_view(" \t").find(value.front()) != std::string_view::npos) value.remove_prefix(1);
    while (!value.empty() && std::string_view(" \t\r\n").find(value.back()) != std::string_view::npos) value.remove_suffix(1);
    response.headers.emplace_back(std::move(name), value);
    return true;
  }

  bool TakeBody(std::string_view piece) {
    if (response.status == 0) lib->easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &response.status);
    if (sink && response.status / 100 == 2) return sink(response, piece);
    response.body.append(piece.substr(0, max_body_bytes - response.body.size()));
    return true;
  }
};

}  // namespace

std::string_view HttpClientResponse::Header(std::string_view name) const {
  const auto found = std::ranges::find(headers, name, [](const auto& header) -> std::string_view { return header.first; });
  return found == headers.end() ? std::string_view() : std::string_view(found->second);
}

bool IsHttpHeader(std::string_view name, std::string_view value) {
  constexpr std::string_view kSeparators = "\"(),/:;<=>?@[\\]{}";  // RFC 9110: a name is a token
  return !name.empty() && std::ranges::all_of(name, [&](char c) { return c > ' ' && c <= '~' && kSeparators.find(c) == std::string_view::npos; }) &&
         std::ranges::all_of(value, [](char c) { return static_cast<unsigned char>(c) >= ' ' && c != '\x7f'; });
}

struct HttpClient::Handles {
  const CurlLibrary* const lib;
  std::unique_ptr<CURL, decltype(CurlLibrary::easy_cleanup)> easy{lib->easy_init(), lib->easy_cleanup};
  std::unique_ptr<CURLM, decltype(CurlLibrary::multi_cleanup)> multi{lib->multi_init(), lib->multi_cleanup};
};

HttpClient::HttpClient(std::unique_ptr<Handles> handles, HttpClientOptions options) : handles_(std::move(handles)), options_(std::move(options)) {}

HttpClient::~HttpClient() = default;

StatusOr<std::unique_ptr<HttpClient>> HttpClient::Create(std::string_view what, HttpClientOptions options) {
  const CurlLibrary* const lib = CurlLibrary::Load();
  if (lib == nullptr) return FailedPreconditionError(fmt::format("{} need libcurl.so.4 (Debian's libcurl4), which cannot be loaded", what));
  auto handles = std::make_unique<Handles>(lib);
  if (handles->easy == nullptr || handles->multi == nullptr) return InternalError("libcurl cannot be initialized");
  return std::unique_ptr<HttpClient>(new HttpClient(std::move(handles), std::move(options)));
}

std::string HttpClient::PlaceOf(const std::string& url) const {
  const CurlLibrary* const lib = handles_->lib;
  const std::unique_ptr<CURLU, decltype(CurlLibrary::url_cleanup)> parsed(lib->url(), lib->url_cleanup);
  if (lib->url_set(parsed.get(), CURLUPART_URL, url.c_str(), 0) != CURLUE_OK) return {};
  const auto part = [&](CURLUPart which) {
    char* text = nullptr;
    lib->url_get(parsed.get(), which, &text, CURLU_DEFAULT_PORT);
    const std::unique_ptr<char, decltype(CurlLibrary::free)> owner(text, lib->free);
    return std::string(text != nullptr ? text : "");
  };
  const std::string scheme = part(CURLUPART_SCHEME);
  if (scheme != "http" && scheme != "https") return {};
  return part(CURLUPART_HOST) + ":" + part(CURLUPART_PORT);
}

void HttpClient::SetOptions(const HttpClientRequest& request) {
  const CurlLibrary* const lib = handles_->lib;
  CURL* const easy = handles_->easy.get();
  lib->easy_reset(easy);  // connections stay
  lib->easy_setopt(easy, CURLOPT_URL, request.url.c_str());
  lib->easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
  lib->easy_setopt(easy, CURLOPT_FOLLOWLOCATION, options_.follows_redirects ? 1L : 0L);
  lib->easy_setopt(easy, CURLOPT_MAXREDIRS, kMaxRedirects);
  lib->easy_setopt(easy, CURLOPT_REDIR_PROTOCOLS_STR, request.url.starts_with("https:") ? "https" : "http,https");
  lib->easy_setopt(easy, CURLOPT_SSL_VERIFYPEER, 1L);
  lib->easy_setopt(easy, CURLOPT_SSL_VERIFYHOST, 2L);
  if (!options_.ca_file.empty()) lib->easy_setopt(easy, CURLOPT_CAINFO, options_.ca_file.c_str());
  if (!options_.uses_proxies) lib->easy_setopt(easy, CURLOPT_PROXY, "");
  lib->easy_setopt(easy, CURLOPT_NETRC, static_cast<long>(options_.uses_netrc ? CURL_NETRC_OPTIONAL : CURL_NETRC_IGNORED));
  lib->easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, static_cast<long>(options_.connect_timeout.count()));
  if (options_.idle_timeout.count() > 0) {
    lib->easy_setopt(easy, CURLOPT_LOW_SPEED_LIMIT, 1L);
    lib->easy_setopt(easy, CURLOPT_LOW_SPEED_TIME, static_cast<long>(std::chrono::ceil<std::chrono::seconds>(options_.idle_timeout).count()));
  }
  lib->easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
  lib->easy_setopt(easy, CURLOPT_QUICK_EXIT, 1L);  // does not wait for a resolver that hangs
  lib->easy_setopt(easy, CURLOPT_USERAGENT, "tflite-serving");
  lib->easy_setopt(easy, CURLOPT_PATH_AS_IS, 1L);  // as it was signed
  if (request.method == "HEAD") {
    lib->easy_setopt(easy, CURLOPT_NOBODY, 1L);
  } else if (request.method != "GET") {
    lib->easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE, static_cast<curl_off_t>(request.body.size()));
    lib->easy_setopt(easy, CURLOPT_POSTFIELDS, request.body.data() != nullptr ? request.body.data() : "");
    lib->easy_setopt(easy, CURLOPT_CUSTOMREQUEST, request.method.c_str());
  }
}

HttpClientResponse HttpClient::Send(const HttpClientRequest& request, TimePoint deadline, const Cancellation* stop, const Sink& sink) {
  const CurlLibrary* const lib = handles_->lib;
  CURL* const easy = handles_->easy.get();
  CURLM* const multi = handles_->multi.get();
  Receiver receiver{.lib = lib, .easy = easy, .sink = sink, .max_body_bytes = options_.max_body_bytes, .response = {}};
  char error[CURL_ERROR_SIZE] = "";

  curl_slist* list = lib->slist_append(nullptr, "Expect:");  // not to be waited for
  for (const auto& [name, value] : request.headers) {
    const std::string line = value.empty() ? name + ";" : fmt::format("{}: {}", name, value);  // so curl spells one without a value
    list = lib->slist_append(list, line.c_str());
  }
  const std::unique_ptr<curl_slist, decltype(CurlLibrary::slist_free_all)> headers(list, lib->slist_free_all);

  SetOptions(request);
  lib->easy_setopt(easy, CURLOPT_HTTPHEADER, headers.get());
  lib->easy_setopt(easy, CURLOPT_HEADERFUNCTION, &Receiver::OnHeader);
  lib->easy_setopt(easy, CURLOPT_HEADERDATA, &receiver);
  lib->easy_setopt(easy, CURLOPT_WRITEFUNCTION, &Receiver::OnBody);
  lib->easy_setopt(easy, CURLOPT_WRITEDATA, &receiver);
  lib->easy_setopt(easy, CURLOPT_ERRORBUFFER, error);

  lib->multi_add_handle(multi, easy);
  for (int running = 1;;) {
    lib->multi_perform(multi, &running);
    TimePoint::duration left = std::min(deadline, end_by_.load()) - Clock::Steady().Now();
    if (running == 0 || left <= TimePoint::duration(0) || (stop != nullptr && stop->cancelled())) break;
    if (stop != nullptr) left = std::min<TimePoint::duration>(left, kStopInterval);
    lib->multi_poll(multi, nullptr, 0, static_cast<int>(std::min<int64_t>(std::chrono::ceil<milliseconds>(left).count(), INT32_MAX)), nullptr);
  }
  HttpClientResponse& response = receiver.response;
  response.status = 0;  // also of an answer that broke off
  int num_left = 0;
  if (const CURLMsg* end = lib->multi_info_read(multi, &num_left); end == nullptr) {
    response.error = stop != nullptr && stop->cancelled() ? "no longer wanted" : "no answer in time";
  } else if (const CURLcode result = end->data.result; result != CURLE_OK) {
    response.error = error[0] != '\0' ? error : lib->easy_strerror(result);
  } else {
    curl_off_t retry_after_s = 0;
    lib->easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &response.status);
    lib->easy_getinfo(easy, CURLINFO_RETRY_AFTER, &retry_after_s);
    response.retry_after = std::chrono::seconds(retry_after_s);
  }
  lib->multi_remove_handle(multi, easy);
  return std::move(response);
}

void HttpClient::EndBy(TimePoint deadline) {
  end_by_ = deadline;
  handles_->lib->multi_wakeup(handles_->multi.get());  // any thread may
}

}  // namespace tflite_serving

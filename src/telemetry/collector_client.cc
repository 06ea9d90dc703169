#include "telemetry/collector_client.h"

#include <curl/curl.h>

#include <algorithm>
#include <cstddef>
#include <string_view>
#include <utility>

#include <fmt/format.h>

namespace tflite_serving {
namespace {

using std::chrono::milliseconds;

constexpr size_t kMaxAnswerBytes = size_t{64} << 10;

// "host:port" of an HTTP or HTTPS URL; empty for any other text.
std::string PlaceOf(const std::string& url) {
  const std::unique_ptr<CURLU, decltype(&curl_url_cleanup)> parsed(curl_url(), &curl_url_cleanup);
  if (curl_url_set(parsed.get(), CURLUPART_URL, url.c_str(), 0) != CURLUE_OK) return {};
  const auto part = [&parsed](CURLUPart which) {
    char* text = nullptr;
    curl_url_get(parsed.get(), which, &text, CURLU_DEFAULT_PORT);
    const std::unique_ptr<char, decltype(&curl_free)> owner(text, &curl_free);
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
  curl_slist* headers = nullptr;
  std::unique_ptr<CURL, decltype(&curl_easy_cleanup)> easy{curl_easy_init(), &curl_easy_cleanup};
  std::unique_ptr<CURLM, decltype(&curl_multi_cleanup)> multi{curl_multi_init(), &curl_multi_cleanup};

  Handles() = default;
  Handles(const Handles&) = delete;
  Handles& operator=(const Handles&) = delete;
  ~Handles() { curl_slist_free_all(headers); }
};

CollectorClient::CollectorClient(std::unique_ptr<Handles> handles, std::string place, milliseconds timeout)
    : handles_(std::move(handles)), place_(std::move(place)), timeout_(timeout) {}

CollectorClient::~CollectorClient() = default;

StatusOr<std::unique_ptr<CollectorClient>> CollectorClient::Create(const std::string& url, const KeyValues& headers, milliseconds timeout) {
  static const CURLcode initialized = curl_global_init(CURL_GLOBAL_DEFAULT);
  auto handles = std::make_unique<Handles>();
  if (initialized != CURLE_OK || handles->easy == nullptr || handles->multi == nullptr) return InternalError("libcurl cannot be initialized");
  std::string place = PlaceOf(url);
  if (place.empty()) return InvalidArgumentError("the endpoint for traces is not a URL of http:// or https://");

  const auto add_header = [&handles](const std::string& line) { handles->headers = curl_slist_append(handles->headers, line.c_str()); };
  add_header("Content-Type: application/x-protobuf");
  add_header("Expect:");  // not to be waited for
  for (const auto& [name, value] : headers) {
    if (!IsHeader(name, value)) return InvalidArgumentError("a header for the collector of traces is not one that HTTP can carry");
    add_header(value.empty() ? name + ";" : fmt::format("{}: {}", name, value));  // so curl spells one without a value
  }
  CURL* easy = handles->easy.get();
  curl_easy_setopt(easy, CURLOPT_URL, url.c_str());
  curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
  curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 0L);
  curl_easy_setopt(easy, CURLOPT_SSL_VERIFYPEER, 1L);
  curl_easy_setopt(easy, CURLOPT_SSL_VERIFYHOST, 2L);
  curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
  curl_easy_setopt(easy, CURLOPT_QUICK_EXIT, 1L);  // does not wait for a resolver that hangs
  curl_easy_setopt(easy, CURLOPT_USERAGENT, "tflite-serving");
  curl_easy_setopt(easy, CURLOPT_HTTPHEADER, handles->headers);
  curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, &Receive);
  return std::unique_ptr<CollectorClient>(new CollectorClient(std::move(handles), std::move(place), timeout));
}

CollectorClient::Answer CollectorClient::Post(const std::string& message) {
  Answer answer;
  char error[CURL_ERROR_SIZE] = "";
  CURL* easy = handles_->easy.get();
  CURLM* multi = handles_->multi.get();
  curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE, static_cast<curl_off_t>(message.size()));
  curl_easy_setopt(easy, CURLOPT_POSTFIELDS, message.data());
  curl_easy_setopt(easy, CURLOPT_WRITEDATA, &answer.body);
  curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, error);

  curl_multi_add_handle(multi, easy);
  const TimePoint timeout = Clock::Steady().Now() + timeout_;
  for (int running = 1;;) {
    curl_multi_perform(multi, &running);
    const TimePoint::duration left = std::min(timeout, end_by_.load()) - Clock::Steady().Now();
    if (running == 0 || left <= TimePoint::duration(0)) break;
    curl_multi_poll(multi, nullptr, 0, static_cast<int>(std::chrono::ceil<milliseconds>(left).count()), nullptr);
  }
  int num_left = 0;
  const CURLMsg* end = curl_multi_info_read(multi, &num_left);
  if (end == nullptr) {
    answer.error = "no answer in time";
  } else if (const CURLcode result = end->data.result; result != CURLE_OK) {
    answer.error = error[0] != '\0' ? error : curl_easy_strerror(result);
  } else {
    curl_off_t retry_after_s = 0;
    curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &answer.http_status);
    curl_easy_getinfo(easy, CURLINFO_RETRY_AFTER, &retry_after_s);
    answer.retry_after = std::chrono::seconds(retry_after_s);
  }
  curl_multi_remove_handle(multi, easy);
  return answer;
}

void CollectorClient::EndBy(TimePoint deadline) {
  end_by_ = deadline;
  curl_multi_wakeup(handles_->multi.get());  // any thread may
}

}  // namespace tflite_serving

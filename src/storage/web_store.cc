#include "storage/web_store.h"

#include <charconv>
#include <chrono>
#include <optional>
#include <string_view>
#include <utility>

#include <fmt/format.h>

#include "storage/location.h"
#include "storage/text_formats.h"

namespace tflite_serving {
namespace {

constexpr size_t kMaxPageBytes = size_t{8} << 20;
constexpr std::chrono::seconds kIdleTimeout{30};
constexpr std::string_view kTimePrefix = "Last-Modified: ";  // of a tag that is one

std::optional<uint64_t> ParseNumber(std::string_view text) {
  uint64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (text.empty() || error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return number;
}

// Empty: the answer has none.
std::string TagOf(const HttpClientResponse& response) {
  if (const std::string_view tag = response.Header("etag"); !tag.empty()) return std::string(tag);
  const std::string_view time = response.Header("last-modified");
  return time.empty() ? "" : fmt::format("{}{}", kTimePrefix, time);
}

// Where a partial answer begins ("bytes 5-9/10"); nothing if it does not say.
std::optional<uint64_t> BeginOf(const HttpClientResponse& response) {
  constexpr std::string_view kUnit = "bytes ";
  std::string_view range = response.Header("content-range");
  if (!range.starts_with(kUnit)) return std::nullopt;
  range.remove_prefix(kUnit.size());
  return ParseNumber(range.substr(0, range.find('-')));
}

}  // namespace

WebStore::WebStore(std::string root, const Environment& environment)
    : root_(std::move(root)),
      clients_({.idle_timeout = kIdleTimeout,
                .max_body_bytes = kMaxPageBytes,
                .follows_redirects = true,
                .uses_netrc = true,
                .ca_file = environment("SSL_CERT_FILE")}) {}

std::string WebStore::UrlOf(const std::string& path) const { return fmt::format("{}/{}", root_, EscapeUrl(path)); }

Status WebStore::Failure(const std::string& path, const HttpClientResponse& response) const {
  const std::string text = fmt::format("{}: {}", UrlOf(path), response.status == 0 ? response.error : fmt::format("HTTP status {}", response.status));
  switch (response.status) {
    case 401:
    case 403:
      return {StatusCode::kPermissionDenied, text};
    case 404:
    case 410:
      return NotFoundError(text);
    case 412:
      return UnavailableError(fmt::format("{} has changed since it was looked at", UrlOf(path)));
    default:
      break;
  }
  return response.status == 0 || response.status == 429 || response.status >= 500 ? UnavailableError(text) : UnknownError(text);
}

StatusOr<RemoteObject> WebStore::Describe(const std::string& path, TimePoint deadline, const Cancellation& stop) {
  // What is compressed on the way has another size.
  const HttpClientRequest request{.method = "HEAD", .url = UrlOf(path), .headers = {{"Accept-Encoding", "identity"}}};
  const HttpClientResponse response = clients_.Send(request, deadline, stop);
  if (response.status != 200) return Failure(path, response);
  const std::optional<uint64_t> size = ParseNumber(response.Header("content-length"));
  std::string tag = TagOf(response);
  if (!size || tag.empty()) {
    return FailedPreconditionError(fmt::format("{}: the server tells no {}, without which a change cannot be seen", UrlOf(path),
                                               size ? "ETag and no Last-Modified" : "Content-Length"));
  }
  return RemoteObject{.size_bytes = *size, .entity_tag = std::move(tag)};
}

StatusOr<std::vector<std::string>> WebStore::ListDirectory(const std::string& path, TimePoint deadline, const Cancellation& stop) {
  const std::string directory = path.empty() ? "" : path + "/";
  const HttpClientResponse response = clients_.Send({.url = UrlOf(directory)}, deadline, stop);
  if (response.status != 200) return Failure(directory, response);
  if (!response.Header("content-type").starts_with("text/html")) {
    return FailedPreconditionError(
        fmt::format("{} is no page that lists a directory: its type is \"{}\", expected text/html; a file's URL has to end in "
                    ".tflite",
                    UrlOf(directory), response.Header("content-type")));
  }
  return ParseDirectoryPage(response.body, path);
}

StatusOr<std::vector<RemoteObject>> WebStore::List(const std::string& path, TimePoint deadline, const Cancellation& stop) {
  std::vector<RemoteObject> objects;
  if (IsModelFilePath(path)) {
    StatusOr<RemoteObject> file = Describe(path, deadline, stop);
    if (!file.ok() && file.status().code() != StatusCode::kNotFound) return file.status();
    if (file.ok()) objects.push_back(*std::move(file));
    return objects;
  }
  struct Directory {
    std::string name;  // below `path`, with "/" at the end, or empty
    size_t depth = 0;
  };
  std::vector<Directory> waiting = {{}};
  for (size_t i = 0; i < waiting.size(); ++i) {
    const Directory directory = waiting[i];
    std::string below = path + (path.empty() || directory.name.empty() ? "" : "/") + directory.name;
    if (below.ends_with('/')) below.pop_back();
    const StatusOr<std::vector<std::string>> entries = ListDirectory(below, deadline, stop);
    if (!entries.ok() && entries.status().code() == StatusCode::kNotFound && i == 0) return objects;
    if (!entries.ok()) return entries.status();
    for (const std::string& entry : *entries) {
      if (entry.ends_with('/')) {
        if (directory.depth < kMaxWebDepth) waiting.push_back({directory.name + entry, directory.depth + 1});
        continue;
      }
      StatusOr<RemoteObject> object = Describe(fmt::format("{}{}{}", below, below.empty() ? "" : "/", entry), deadline, stop);
      if (!object.ok() && object.status().code() == StatusCode::kNotFound) continue;  // gone since then
      if (!object.ok()) return object.status();
      object->name = directory.name + entry;
      objects.push_back(*std::move(object));
    }
    if (objects.size() > kMaxWebFiles || waiting.size() > kMaxWebDirectories) {
      return ResourceExhaustedError(fmt::format("{} has more than {} files or {} directories", UrlOf(path), kMaxWebFiles, kMaxWebDirectories));
    }
  }
  return objects;
}

StatusOr<FileDigests> WebStore::Read(const std::string& path, const RemoteObject& object, uint64_t offset, const Cancellation& stop,
                                     const Sink& sink) {
  HttpClientHeaders headers = {{"Accept-Encoding", "identity"}};
  if (object.entity_tag.starts_with(kTimePrefix)) {
    headers.emplace_back("If-Unmodified-Since", object.entity_tag.substr(kTimePrefix.size()));
  } else if (!object.entity_tag.starts_with("W/")) {  // a weak tag never matches
    headers.emplace_back("If-Match", object.entity_tag);
  }
  if (offset > 0) headers.emplace_back("Range", fmt::format("bytes={}-", offset));
  uint64_t at = 0;
  bool is_same = true;
  const auto take = [&](const HttpClientResponse& head, std::string_view piece) {
    // Whoever does not know the conditions sends what there is.
    is_same = TagOf(head) == object.entity_tag && (head.status != 206 || BeginOf(head) == offset);
    const uint64_t begin = (head.status == 206 ? offset : 0) + at;
    at += piece.size();
    return is_same && sink(begin, piece);
  };
  const HttpClientResponse response = clients_.Send({.url = UrlOf(path), .headers = headers}, kNoDeadline, stop, take);
  if (!is_same) return UnavailableError(fmt::format("{} has changed since it was looked at", UrlOf(path)));
  if (response.status != 200 && response.status != 206) return Failure(path, response);
  return FileDigests{};
}

}  // namespace tflite_serving

#include "storage/location.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <utility>

#include <fmt/format.h>

namespace tflite_serving {
namespace {

struct Scheme {
  std::string_view prefix;
  StoreKind kind;
};
constexpr std::array kSchemes = {Scheme{"s3://", StoreKind::kS3}, Scheme{"gs://", StoreKind::kGoogle}, Scheme{"https://", StoreKind::kWeb},
                                 Scheme{"http://", StoreKind::kWeb}};
constexpr size_t kMaxNameBytes = 255;  // of a file, on any file system of use

const Scheme* SchemeOf(std::string_view path) {
  const auto found = std::ranges::find_if(kSchemes, [path](const Scheme& one) { return path.starts_with(one.prefix); });
  return found == kSchemes.end() ? nullptr : &*found;
}

bool IsUnreserved(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || std::string_view("-._~").find(c) != std::string_view::npos;
}

// A host with its port, or a bucket.
bool IsPlainHost(std::string_view host) {
  return !host.empty() && std::ranges::all_of(host, [](char c) { return IsUnreserved(c) || c == ':' || c == '[' || c == ']'; });
}

}  // namespace

bool IsRemotePath(std::string_view path) { return SchemeOf(path) != nullptr; }

bool IsModelFilePath(std::string_view path) { return path.ends_with(".tflite"); }

bool IsPlainPath(std::string_view path) {
  for (;;) {
    const std::string_view part = path.substr(0, path.find('/'));
    if (part.empty() || part == "." || part == ".." || part.size() > kMaxNameBytes || part.find('\0') != std::string_view::npos) return false;
    if (part.size() == path.size()) return true;
    path.remove_prefix(part.size() + 1);
  }
}

StatusOr<Location> ParseLocation(std::string_view url) {
  const Scheme* const scheme = SchemeOf(url);
  if (scheme == nullptr) return InvalidArgumentError(fmt::format("{} is not a URL of s3://, gs://, http:// or https://", url));
  std::string_view rest = url.substr(scheme->prefix.size());
  const std::string_view host = rest.substr(0, rest.find('/'));
  rest.remove_prefix(host.size());
  if (host.find('@') != std::string_view::npos) {
    return InvalidArgumentError(
        fmt::format("a {} URL must not have a user name or a password: it would be seen in logs; write them to ~/.netrc", scheme->prefix));
  }
  if (!IsPlainHost(host)) {
    return InvalidArgumentError(fmt::format("{} has no {}", url, scheme->kind == StoreKind::kWeb ? "host" : "bucket"));
  }
  while (rest.starts_with('/')) rest.remove_prefix(1);
  while (rest.ends_with('/')) rest.remove_suffix(1);
  Location location{.kind = scheme->kind, .root = fmt::format("{}{}", scheme->prefix, host), .path = std::string(rest)};
  if (scheme->kind == StoreKind::kWeb) {
    if (rest.find_first_of("?#") != std::string_view::npos) return InvalidArgumentError(fmt::format("{} has a query or a fragment", url));
    StatusOr<std::string> plain = UnescapeUrl(rest);
    if (!plain.ok()) return InvalidArgumentError(fmt::format("{}: {}", url, plain.status().message()));
    location.path = *std::move(plain);
  }
  if (!location.path.empty() && !IsPlainPath(location.path)) {
    return InvalidArgumentError(fmt::format("{} has a part that is empty, \".\" or \"..\", or longer than {} bytes", url, kMaxNameBytes));
  }
  return location;
}

std::string EscapeUrl(std::string_view text, bool with_slashes) {
  std::string escaped;
  for (const char c : text) {
    if (IsUnreserved(c) || (c == '/' && !with_slashes)) {
      escaped.push_back(c);
    } else {
      fmt::format_to(std::back_inserter(escaped), "%{:02X}", static_cast<unsigned char>(c));
    }
  }
  return escaped;
}

StatusOr<std::string> UnescapeUrl(std::string_view text) {
  std::string plain;
  while (!text.empty()) {
    if (text.front() != '%') {
      plain.push_back(text.front());
      text.remove_prefix(1);
      continue;
    }
    unsigned byte = 0;
    const std::string_view digits = text.substr(1, 2);
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), byte, 16);
    if (digits.size() != 2 || error != std::errc() || end != digits.data() + digits.size() || byte == 0) {
      return InvalidArgumentError("a % without two hexadecimal digits of a byte");
    }
    plain.push_back(static_cast<char>(byte));
    text.remove_prefix(3);
  }
  return plain;
}

}  // namespace tflite_serving

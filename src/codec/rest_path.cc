#include "codec/rest_path.h"

#include <algorithm>
#include <charconv>
#include <cstdint>
#include <optional>
#include <string>
#include <system_error>

#include <fmt/format.h>

namespace tflite_serving {
namespace {

constexpr std::string_view kApiPrefix = "/v1/";

constexpr char Lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c | ' ') : c; }

// Removes `prefix`, in any case, from the front of `text`.
bool Take(std::string_view& text, std::string_view prefix) {
  const bool matches = text.starts_with(prefix) || std::ranges::equal(text.substr(0, prefix.size()), prefix, {}, Lower);
  if (matches) text.remove_prefix(prefix.size());
  return matches;
}

// Removes what stands before the next '/' or ':'; empty if there is nothing.
std::string_view TakeSegment(std::string_view& text) {
  const std::string_view segment(text.begin(), std::ranges::find_if(text, [](char c) { return c == '/' || c == ':'; }));
  text.remove_prefix(segment.size());
  return segment;
}

int HexDigit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  c = Lower(c);
  return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

// %XX becomes the byte; a percent sign without two hex digits stays.
void PercentDecode(std::string_view text, std::string& decoded) {
  const size_t plain = std::min(text.find('%'), text.size());
  decoded.assign(text.substr(0, plain));
  for (size_t i = plain; i < text.size(); ++i) {
    const int high = text[i] == '%' && i + 2 < text.size() ? HexDigit(text[i + 1]) : -1;
    const int low = high >= 0 ? HexDigit(text[i + 2]) : -1;
    if (low < 0) {
      decoded += text[i];
    } else {
      decoded += static_cast<char>(high * 16 + low);
      i += 2;
    }
  }
}

std::string PercentDecode(std::string_view text) {
  std::string decoded;
  PercentDecode(text, decoded);
  return decoded;
}

// "/versions/5", "/labels/stable" or nothing. False: one of the words, with nothing fitting behind it.
bool TakeVersionOrLabel(std::string_view& rest, std::string_view& version, std::string_view& label) {
  if (Take(rest, "/versions/")) {
    version = TakeSegment(rest);
    return !version.empty() && std::ranges::all_of(version, [](char c) { return c >= '0' && c <= '9'; });
  }
  if (Take(rest, "/labels/")) {
    label = TakeSegment(rest);
    return !label.empty();
  }
  return true;
}

// What stands behind the model, its version and its label.
std::optional<RestRoute> RouteOf(std::string_view method, std::string_view rest) {
  if (method == "POST") {
    if (rest == ":predict") return RestRoute::kPredict;
    if (rest == ":classify") return RestRoute::kClassify;
    if (rest == ":regress") return RestRoute::kRegress;
  } else if (method == "GET" || method == "HEAD") {
    if (rest.empty()) return RestRoute::kStatus;
    if (std::string_view end = rest; Take(end, "/metadata") && end.empty()) return RestRoute::kMetadata;
    if (Take(rest, "/profile") && rest.empty()) return RestRoute::kProfile;
  }
  return std::nullopt;
}

// Whether it is a status or metadata of a version or label, but of no model.
bool LacksName(std::string_view method, std::string_view behind_models) {
  std::string_view version;
  std::string_view label;
  const bool chosen = TakeVersionOrLabel(behind_models, version, label) && !(version.empty() && label.empty());
  const std::optional<RestRoute> route = RouteOf(method, behind_models);
  return chosen && (route == RestRoute::kStatus || route == RestRoute::kMetadata);
}

}  // namespace

Status MalformedRequest(std::string_view method, std::string_view target) {
  return InvalidArgumentError(fmt::format("Malformed request: {} {}", method, target));
}

Status ParseRestPath(std::string_view method, std::string_view target, RestPath& path) {
  std::string_view behind_models;
  const auto malformed = [&] {
    if (LacksName(method, behind_models)) return InvalidArgumentError("Missing model name in request.");
    return MalformedRequest(method, target);
  };
  const size_t path_end = std::min(target.find('?'), target.size());
  std::string_view rest = target.substr(0, path_end);
  path.route = RestRoute::kNotApi;
  path.query = target.substr(std::min(path_end + 1, target.size()));
  path.spec.name.clear();
  path.spec.version.reset();
  path.spec.version_label.clear();
  if (!Take(rest, kApiPrefix)) return OkStatus();
  if (method == "OPTIONS") {
    path.route = RestRoute::kOptions;
    return OkStatus();
  }
  if (!Take(rest, "models")) return malformed();
  if (rest.empty() && RouteOf(method, rest) == RestRoute::kStatus) {
    path.route = RestRoute::kList;
    return OkStatus();
  }
  behind_models = rest;
  if (!Take(rest, "/")) return malformed();
  const std::string_view name = TakeSegment(rest);
  std::string_view version;
  std::string_view label;
  if (name.empty() || !TakeVersionOrLabel(rest, version, label)) return malformed();
  const std::optional<RestRoute> route = RouteOf(method, rest);
  if (!route) return malformed();
  path.route = *route;
  PercentDecode(name, path.spec.name);
  PercentDecode(label, path.spec.version_label);
  if (version.empty()) return OkStatus();
  int64_t number = 0;
  if (std::from_chars(version.begin(), version.end(), number).ec != std::errc()) {
    return InvalidArgumentError(fmt::format("Failed to convert version: {} to numeric.", version));
  }
  path.spec.version = number;
  return OkStatus();
}

std::optional<std::string> FindQueryParameter(std::string_view query, std::string_view name) {
  while (!query.empty()) {
    const std::string_view parameter = query.substr(0, query.find('&'));
    query.remove_prefix(std::min(parameter.size() + 1, query.size()));
    const size_t key_end = std::min(parameter.find('='), parameter.size());
    if (PercentDecode(parameter.substr(0, key_end)) != name) continue;
    std::string value(parameter.substr(std::min(key_end + 1, parameter.size())));
    std::ranges::replace(value, '+', ' ');
    return PercentDecode(value);
  }
  return std::nullopt;
}

}  // namespace tflite_serving

#include "telemetry/tracer_options.h"

#include <algorithm>
#include <charconv>
#include <optional>
#include <string_view>
#include <utility>

#include <fmt/format.h>

namespace tflite_serving {
namespace {

std::string_view Trimmed(std::string_view text) {
  const size_t begin = text.find_first_not_of(" \t");
  return begin == std::string_view::npos ? std::string_view() : text.substr(begin, text.find_last_not_of(" \t") + 1 - begin);
}

std::optional<std::string> PercentDecoded(std::string_view text) {
  std::string decoded;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '%') {
      decoded += text[i];
      continue;
    }
    const std::string_view digits = text.substr(i + 1, 2);
    unsigned byte = 0;
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), byte, 16);
    if (error != std::errc() || end != digits.data() + 2) return std::nullopt;
    decoded += static_cast<char>(byte);
    i += 2;
  }
  return decoded;
}

// "key=value,key=value", percent-encoded. All or nothing.
std::optional<KeyValues> ParseKeyValues(std::string_view text) {
  KeyValues pairs;
  while (!text.empty()) {
    const std::string_view pair = text.substr(0, text.find(','));
    text.remove_prefix(std::min(pair.size() + 1, text.size()));
    if (Trimmed(pair).empty()) continue;
    const size_t equals = pair.find('=');
    if (equals == std::string_view::npos) return std::nullopt;
    std::optional<std::string> key = PercentDecoded(Trimmed(pair.substr(0, equals)));
    std::optional<std::string> value = PercentDecoded(Trimmed(pair.substr(equals + 1)));
    if (!key || key->empty() || !value) return std::nullopt;
    pairs.emplace_back(*std::move(key), *std::move(value));
  }
  return pairs;
}

std::optional<double> ParseRatio(std::string_view text) {
  double ratio = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), ratio);
  if (error != std::errc() || end != text.data() + text.size() || !(ratio >= 0 && ratio <= 1)) return std::nullopt;
  return ratio;
}

}  // namespace

Status ReadTracerEnvironment(const std::function<const char*(const char* name)>& lookup, TracerOptions& options) {
  std::string unreadable;
  // `parse` gives nothing for what it cannot read. An empty variable is one that is not set.
  const auto read = [&](const char* name, auto& option, const auto& parse) {
    const char* text = lookup(name);
    if (text == nullptr || *text == '\0') return;
    if (auto parsed = parse(text)) {
      option = *std::move(parsed);
    } else {
      unreadable += (unreadable.empty() ? "" : ", ") + std::string(name);
    }
  };
  const auto as_it_is = [](std::string_view text) { return std::optional<std::string>(text); };
  const auto with_path = [](std::string_view text) { return std::optional(fmt::format("{}{}v1/traces", text, text.ends_with('/') ? "" : "/")); };
  read("OTEL_EXPORTER_OTLP_ENDPOINT", options.endpoint, with_path);
  read("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", options.endpoint, as_it_is);
  read("OTEL_EXPORTER_OTLP_HEADERS", options.headers, ParseKeyValues);
  read("OTEL_EXPORTER_OTLP_TRACES_HEADERS", options.headers, ParseKeyValues);
  read("OTEL_TRACES_SAMPLER_ARG", options.sample_ratio, ParseRatio);
  read("OTEL_RESOURCE_ATTRIBUTES", options.resource, ParseKeyValues);
  std::erase_if(options.resource, [&options](const auto& attribute) {
    const bool is_name = attribute.first == "service.name";
    if (is_name) options.service_name = attribute.second;
    return is_name;
  });
  read("OTEL_SERVICE_NAME", options.service_name, as_it_is);
  return unreadable.empty() ? OkStatus() : InvalidArgumentError("cannot read what the environment has in " + unreadable);
}

}  // namespace tflite_serving

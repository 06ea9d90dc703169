#include "api/api_keys_file.h"

#include <openssl/sha.h>
#include <sys/random.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <optional>
#include <utility>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "base/file.h"
#include "telemetry/log.h"

namespace tflite_serving {
namespace {

constexpr std::pair<std::string_view, Scope> kScopes[] = {
    {"inference", Scope::kInference}, {"metadata", Scope::kMetadata}, {"metrics", Scope::kMetrics}, {"admin", Scope::kAdmin}};
constexpr std::string_view kHashPrefix = "sha256:";
constexpr std::string_view kKeyPrefix = "tfls_";  // by which scanners for leaked secrets can know one
constexpr size_t kKeyBytes = 32;
constexpr size_t kMaxNameChars = 64;

std::string ToHex(std::span<const uint8_t> bytes) { return fmt::format("{:02x}", fmt::join(bytes, "")); }

std::optional<Sha256Digest> ParseDigest(std::string_view text) {
  Sha256Digest digest{};
  if (!text.starts_with(kHashPrefix) || text.size() != kHashPrefix.size() + 2 * digest.size()) return std::nullopt;
  text.remove_prefix(kHashPrefix.size());
  for (size_t i = 0; i < digest.size(); ++i) {
    const char* const end = text.data() + 2 * i + 2;
    const auto [read, error] = std::from_chars(end - 2, end, digest[i], 16);
    if (error != std::errc() || read != end) return std::nullopt;
  }
  return digest;
}

bool IsName(std::string_view name) {
  const auto is_allowed = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '-' || c == '.';
  };
  return !name.empty() && name.size() <= kMaxNameChars && std::ranges::all_of(name, is_allowed);
}

// The first word, which is taken off.
std::string_view TakeWord(std::string_view& line) {
  constexpr std::string_view kBlanks = " \t\r";
  line.remove_prefix(std::min(line.find_first_not_of(kBlanks), line.size()));
  const std::string_view word = line.substr(0, line.find_first_of(kBlanks));
  line.remove_prefix(word.size());
  return word;
}

StatusOr<uint8_t> ParseScopes(std::string_view text) {
  uint8_t scopes = 0;
  for (bool more = true; more;) {
    const size_t comma = text.find(',');
    const std::string_view word = text.substr(0, comma);
    const auto* const known = std::ranges::find(kScopes, word, &std::pair<std::string_view, Scope>::first);
    if (known == std::end(kScopes)) {
      return InvalidArgumentError(fmt::format("\"{}\" is no scope; there are inference, metadata, metrics and admin, with commas between", word));
    }
    scopes = static_cast<uint8_t>(scopes | static_cast<uint8_t>(known->second));
    more = comma != std::string_view::npos;
    if (more) text.remove_prefix(comma + 1);
  }
  return scopes;
}

Status ParseLimit(std::string_view word, ApiKey& key) {
  const size_t equals = word.find('=');
  double* const field = word.substr(0, equals) == "rate" ? &key.rate_per_second : word.substr(0, equals) == "burst" ? &key.burst : nullptr;
  if (field == nullptr || equals == std::string_view::npos) return InvalidArgumentError("after the hash there may be rate=N and burst=N");
  const char* const end = word.data() + word.size();
  const auto [read, error] = std::from_chars(word.data() + equals + 1, end, *field);
  if (error != std::errc() || read != end || !(*field > 0) || *field > kMaxRatePerSecond) {
    return InvalidArgumentError(fmt::format("{}: expected a number above 0, up to {:.0f}", word, kMaxRatePerSecond));
  }
  return OkStatus();
}

StatusOr<ApiKey> ParseKey(std::string_view line) {
  ApiKey key;
  key.name = TakeWord(line);
  if (!IsName(key.name)) return InvalidArgumentError(fmt::format("a name is up to {} letters, digits, '_', '-' and '.'", kMaxNameChars));
  TFLS_ASSIGN_OR_RETURN(key.scopes, ParseScopes(TakeWord(line)));
  const std::optional<Sha256Digest> digest = ParseDigest(TakeWord(line));
  if (!digest) return InvalidArgumentError("behind the scopes goes sha256: and 64 hexadecimal digits, the hash of the key and not the key itself");
  key.digest = *digest;
  for (std::string_view word; !(word = TakeWord(line)).empty();) TFLS_RETURN_IF_ERROR(ParseLimit(word, key));
  if (key.burst > 0 && key.rate_per_second == 0) return InvalidArgumentError("burst goes with a rate");
  if (key.rate_per_second > 0) key.burst = std::max(key.burst > 0 ? key.burst : key.rate_per_second, 1.0);
  return key;
}

}  // namespace

std::string_view ScopeName(Scope scope) { return std::ranges::find(kScopes, scope, &std::pair<std::string_view, Scope>::second)->first; }

Sha256Digest Sha256(std::string_view bytes) {
  Sha256Digest digest{};
  SHA256(reinterpret_cast<const unsigned char*>(bytes.data()), bytes.size(), digest.data());
  return digest;
}

StatusOr<std::vector<ApiKey>> ParseApiKeys(std::string_view text, std::string_view file_name) {
  std::vector<ApiKey> keys;
  for (size_t number = 1; !text.empty(); ++number) {
    const size_t end = text.find('\n');
    const std::string_view whole = text.substr(0, end);
    text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
    std::string_view line = whole.substr(0, whole.find('#'));
    std::string_view rest = line;
    if (TakeWord(rest).empty()) continue;
    StatusOr<ApiKey> key = ParseKey(line);
    if (!key.ok()) return InvalidArgumentError(fmt::format("{}:{}: {}", file_name, number, key.status().message()));
    if (std::ranges::find(keys, key->digest, &ApiKey::digest) != keys.end()) {
      return InvalidArgumentError(fmt::format("{}:{}: another line has the same key", file_name, number));
    }
    if (keys.size() == kMaxApiKeys) return InvalidArgumentError(fmt::format("{}: more than {} keys", file_name, kMaxApiKeys));
    keys.push_back(*std::move(key));
  }
  return keys;
}

StatusOr<std::vector<ApiKey>> ReadApiKeysFile(const std::string& path) {
  TFLS_ASSIGN_OR_RETURN(const std::string text, ReadFile(path, kMaxApiKeysFileBytes));
  StatusOr<std::vector<ApiKey>> keys = ParseApiKeys(text, path);
  if (keys.ok() && keys->empty()) TFLS_WARNING("{} has no key: everyone is refused, but for health checks", path);
  return keys;
}

StatusOr<std::string> NewApiKeyLine(std::string_view name, std::string_view scopes, std::string& key) {
  if (!IsName(name)) return InvalidArgumentError(fmt::format("a name is up to {} letters, digits, '_', '-' and '.'", kMaxNameChars));
  TFLS_RETURN_IF_ERROR(ParseScopes(scopes).status());
  std::array<uint8_t, kKeyBytes> random{};
  if (::getrandom(random.data(), random.size(), 0) != static_cast<ssize_t>(random.size())) return ErrnoToStatus(errno, "getrandom");
  key = fmt::format("{}{}", kKeyPrefix, ToHex(random));
  return fmt::format("{} {} {}{}", name, scopes, kHashPrefix, ToHex(Sha256(key)));
}

}  // namespace tflite_serving
